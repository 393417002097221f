//! Tasks, as [`tokio::task`](https://docs.rs/tokio/1.54/tokio/task/).

pub mod coop;
mod local_set;

pub use real::task::{LocalKey, futures};
pub use threadlet::task::{
    AbortHandle, Builder, Id, JoinError, JoinHandle, JoinSet, LocalEnterGuard, block_in_place, id,
    spawn, spawn_blocking, spawn_local, try_id, yield_now,
};

pub use self::local_set::LocalSet;

pub use self::coop::{Unconstrained, consume_budget, unconstrained};

pub mod join_set {
    //! Sets of tasks.
    pub use threadlet::task::JoinSet;
}
