//! Runtimes, as [`tokio::runtime`](https://docs.rs/tokio/1.54/tokio/runtime/).

pub use threadlet::runtime::{
    Builder, EnterGuard, Handle, Id, Metrics as RuntimeMetrics, Runtime, RuntimeFlavor,
    TryCurrentError, is_rt_shutdown_err,
};
