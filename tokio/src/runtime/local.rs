//! A runtime of one thread.

use std::io;
use std::time::Duration;

use threadlet::runtime as ours;

use super::{Builder, EnterGuard, Handle, LocalOptions, RuntimeMetrics};
use crate::part::{self, Waits};
use crate::task::JoinHandle;

/// A runtime whose tasks all stay on the thread that made it, as
/// [tokio's](https://docs.rs/tokio/1.54/tokio/runtime/struct.LocalRuntime.html).
#[derive(Debug)]
pub struct LocalRuntime {
    waits: Waits,
    ours: ours::LocalRuntime,
    handle: Handle,
}

impl LocalRuntime {
    pub(super) fn around(ours: ours::LocalRuntime) -> LocalRuntime {
        let handle = Handle(ours.handle().clone());
        LocalRuntime { waits: Waits, ours, handle }
    }

    /// With timers and sockets.
    pub fn new() -> io::Result<LocalRuntime> {
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
    }

    /// A reference to it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Starts a task.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.ours.spawn_local(future)
    }

    /// Runs a closure that may block, on another thread.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.ours.spawn_blocking(func)
    }

    /// Runs a future to its end, and the tasks beside it.
    ///
    /// # Panics
    ///
    /// In a task, or in another `block_on`, but for a call there that may block.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        part::demand_blocking();
        self.ours.block_on(future)
    }

    /// Makes it the current one of this thread while the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(self.ours.enter())
    }

    /// Figures of it.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.ours.metrics()
    }

    /// Shuts it down, and waits for its threads for so long at most.
    #[track_caller]
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
