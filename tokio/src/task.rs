//! Tasks, as [`tokio::task`](https://docs.rs/tokio/1.54/tokio/task/).

pub mod coop;

pub use real::task::{LocalKey, futures};
pub use threadlet::task::{
    AbortHandle, Id, JoinError, JoinHandle, JoinSet, LocalEnterGuard, LocalSet, id, spawn,
    spawn_blocking, spawn_local, try_id, yield_now,
};

/// Runs a closure that may block, right here, on every flavour of runtime.
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    // Of a root that has no core it is a plain call.
    threadlet::task::block_in_place(|| crate::budget::uncounted(f))
}

pub use self::coop::{Unconstrained, consume_budget, unconstrained};

pub mod join_set {
    //! Sets of tasks.
    pub use threadlet::task::JoinSet;
}
