//! Runtimes, as [`tokio::runtime`](https://docs.rs/tokio/1.54/tokio/runtime/).

mod builder;

use std::io;
use std::ops::Deref;
use std::time::Duration;

pub use threadlet::runtime::{
    EnterGuard, Handle, Id, LocalOptions, LocalRuntime, Metrics as RuntimeMetrics, RuntimeFlavor,
    TryCurrentError, is_rt_shutdown_err, worker_index,
};

pub use self::builder::Builder;
use crate::task::JoinHandle;

/// A runtime, as [tokio's](https://docs.rs/tokio/1.54/tokio/runtime/struct.Runtime.html).
#[derive(Debug)]
pub struct Runtime(threadlet::runtime::Runtime);

impl Runtime {
    /// Of many threads.
    pub fn new() -> io::Result<Runtime> {
        Builder::new_multi_thread().enable_all().build()
    }

    /// Runs a future to its end.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    /// Starts a task.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    /// Runs a closure that may block.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.0.spawn_blocking(func)
    }

    /// Makes it the current one of this thread while the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }

    /// A reference to it.
    pub fn handle(&self) -> &Handle {
        self.0.handle()
    }

    /// Figures of it.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.0.metrics()
    }

    /// Shuts it down, and waits for its threads for so long at most.
    pub fn shutdown_timeout(self, duration: Duration) {
        self.0.shutdown_timeout(duration);
    }

    /// Shuts it down, and waits for nothing.
    pub fn shutdown_background(self) {
        self.0.shutdown_background();
    }
}

impl Deref for Runtime {
    type Target = threadlet::runtime::Runtime;

    fn deref(&self) -> &threadlet::runtime::Runtime {
        &self.0
    }
}
