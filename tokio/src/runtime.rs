//! Runtimes, as [`tokio::runtime`](https://docs.rs/tokio/1.54/tokio/runtime/).

mod builder;
mod handle;
mod local;

use std::io;
use std::ops::Deref;
use std::time::Duration;

pub use threadlet::runtime::{
    Id, LocalOptions, Metrics as RuntimeMetrics, RuntimeFlavor, TryCurrentError,
    is_rt_shutdown_err, worker_index,
};

pub use self::builder::Builder;
pub use self::handle::{EnterGuard, Handle};
pub use self::local::LocalRuntime;
use crate::part::{self, Waits};
use crate::task::JoinHandle;

/// A runtime, as [tokio's](https://docs.rs/tokio/1.54/tokio/runtime/struct.Runtime.html).
#[derive(Debug)]
pub struct Runtime {
    waits: Waits,
    ours: threadlet::runtime::Runtime,
    handle: Handle,
}

impl Runtime {
    fn around(ours: threadlet::runtime::Runtime) -> Runtime {
        let handle = Handle(ours.handle().clone());
        Runtime { waits: Waits, ours, handle }
    }

    /// Of many threads.
    pub fn new() -> io::Result<Runtime> {
        Builder::new_multi_thread().enable_all().build()
    }

    /// Runs a future to its end.
    ///
    /// # Panics
    ///
    /// In a task, or in another `block_on`, but for a call there that may block.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        part::demand_blocking();
        self.ours.block_on(future)
    }

    /// Starts a task.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.ours.spawn(future)
    }

    /// Runs a closure that may block.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.ours.spawn_blocking(func)
    }

    /// Makes it the current one of this thread while the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(self.ours.enter())
    }

    /// A reference to it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Figures of it.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.ours.metrics()
    }

    /// Shuts it down, and waits for its threads for so long at most.
    pub fn shutdown_timeout(self, duration: Duration) {
        if duration.is_zero() {
            return self.shutdown_background();
        }
        drop(self.waits);
        self.ours.shutdown_timeout(duration);
    }

    /// Shuts it down, and waits for nothing.
    pub fn shutdown_background(self) {
        std::mem::forget(self.waits);
        self.ours.shutdown_background();
    }
}

impl Deref for Runtime {
    type Target = threadlet::runtime::Runtime;

    fn deref(&self) -> &threadlet::runtime::Runtime {
        &self.ours
    }
}
