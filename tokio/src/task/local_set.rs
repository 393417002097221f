//! Tasks that stay on one thread.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use threadlet::task as ours;

use super::{JoinHandle, LocalEnterGuard};
use crate::part;
use crate::runtime::Runtime;

/// Tasks that stay on one thread, as
/// [tokio's](https://docs.rs/tokio/1.54/tokio/task/struct.LocalSet.html).
#[derive(Debug, Default)]
pub struct LocalSet(ours::LocalSet);

impl LocalSet {
    /// Without a task.
    pub fn new() -> LocalSet {
        LocalSet(ours::LocalSet::new())
    }

    /// Makes it the current one of this thread while the guard lives.
    pub fn enter(&self) -> LocalEnterGuard {
        self.0.enter()
    }

    /// Starts a task. It runs while the set is polled.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.0.spawn_local(future)
    }

    /// Runs a future to its end, and the tasks beside it.
    ///
    /// # Panics
    ///
    /// In a task, or in another `block_on`, but for a call there that may block.
    #[track_caller]
    pub fn block_on<F: Future>(&self, rt: &Runtime, future: F) -> F::Output {
        part::demand_blocking();
        self.0.block_on(rt, future)
    }

    /// Polls a future, and the tasks beside it.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        self.0.run_until(future).await
    }

    /// Its number.
    pub fn id(&self) -> crate::runtime::Id {
        self.0.id()
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Deref for LocalSet {
    type Target = ours::LocalSet;

    fn deref(&self) -> &ours::LocalSet {
        &self.0
    }
}
