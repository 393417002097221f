//! Signals, as [`tokio::signal`](https://docs.rs/tokio/1.54/tokio/signal/).

pub use threadlet::signal::{ctrl_c, unix};
