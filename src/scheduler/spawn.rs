//! How a future becomes a task of a runtime.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use crate::context;
use crate::shared::Shared;
use crate::spawned::{self, Birth, JoinHandle, Origin, Runnable, Schedule, traced};

/// Spawns `future` on `shared`. After shutdown has begun the future is dropped at once, and the
/// handle says that the task was cancelled.
pub(crate) fn spawn<F>(shared: &Arc<Shared>, future: F, origin: Origin<'_>) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_as(shared, future, birth(shared, origin.place), origin.name)
}

/// The same for a call that is to run though the runtime is shut down meanwhile.
pub(crate) fn spawn_accepted<F>(
    shared: &Arc<Shared>,
    future: F,
    origin: Origin<'_>,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_as(shared, future, birth(shared, origin.place).accepted(), origin.name)
}

fn birth(shared: &Shared, spawned_at: &'static Location<'static>) -> Birth {
    let hint = context::with(|thread| thread.map(|thread| thread.part()));
    // Where a test replays, the same task has the same place each time.
    let hint = hint.or_else(|| shared.turns.is_some().then_some(0));
    Birth::new(hint, spawned_at)
}

fn spawn_as<F>(shared: &Arc<Shared>, future: F, birth: Birth, name: &str) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    if let Some(book) = &shared.watched.book {
        book.born(birth.id, name);
    }
    let future = traced::task(future, "task", name, &birth);
    spawned::spawn::<Here, _, _>(birth, shared, &shared.owned, future)
}

/// Where the calling thread can best leave a task for its runtime.
struct Here;

impl Schedule for Here {
    #[inline]
    fn schedule(task: Runnable, yielded: bool) {
        context::schedule(task, yielded);
    }
}
