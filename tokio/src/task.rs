//! Tasks, as [`tokio::task`](https://docs.rs/tokio/1.54/tokio/task/).

pub mod coop;

pub use real::task::{LocalKey, futures};
pub use threadlet::task::{
    AbortHandle, Id, JoinError, JoinHandle, block_in_place, spawn, spawn_blocking, yield_now,
};

pub use self::coop::{Unconstrained, consume_budget, unconstrained};
