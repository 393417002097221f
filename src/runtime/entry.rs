//! What the attribute macros expand to. Not for people.

use std::future::Future;
use std::time::Duration;

use crate::runtime::{Builder, Runtime};

/// The runtime of an entry point.
#[derive(Debug)]
pub struct Entry(Builder);

impl Entry {
    /// With several cores.
    pub fn multi_thread() -> Self {
        Entry(Builder::new_multi_thread())
    }

    /// With one core.
    pub fn current_thread() -> Self {
        Entry(Builder::new_current_thread())
    }

    /// See [`Builder::worker_threads`].
    pub fn worker_threads(mut self, count: usize) -> Self {
        self.0.worker_threads(count);
        self
    }

    /// See [`Builder::max_async_threads`].
    pub fn max_async_threads(mut self, count: usize) -> Self {
        self.0.max_async_threads(count);
        self
    }

    /// See [`Builder::start_paused`].
    #[cfg(feature = "test-util")]
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.0.start_paused(paused);
        self
    }

    /// See [`Builder::deterministic`].
    #[cfg(feature = "test-util")]
    pub fn seed(self, seed: u64) -> super::seeds::Seeds {
        super::seeds::Seeds::new(self.0, seed)
    }

    fn build(&mut self) -> Runtime {
        match self.0.build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the runtime cannot be built: {error}"),
        }
    }

    /// Runs `main`. What still runs when it returns, or panics, does not hold up the end of the
    /// process.
    pub fn main<F: Future>(mut self, main: F) -> F::Output {
        let mut runtime = self.build();
        runtime.patience = Some(Duration::ZERO);
        runtime.block_on(main)
    }

    /// Runs a test, and waits for what it started.
    pub fn test<F: Future>(mut self, test: F) -> F::Output {
        self.build().block_on(test)
    }
}
