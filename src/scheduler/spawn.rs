//! How a future becomes a task of a runtime.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use async_task::{ScheduleInfo, WithInfo};

use crate::context;
use crate::shared::Shared;
use crate::spawned::{Header, JoinHandle, Origin, Runnable, build, start, traced};

/// Spawns `future` on `shared`. After shutdown has begun the future is dropped at once, and the
/// handle says that the task was cancelled.
pub(crate) fn spawn<F>(shared: &Arc<Shared>, future: F, origin: Origin<'_>) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_as(shared, future, header(shared, origin.place), origin.name)
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
    spawn_as(shared, future, header(shared, origin.place).accepted(), origin.name)
}

fn header(shared: &Arc<Shared>, spawned_at: &'static Location<'static>) -> Header {
    let hint = context::with(|thread| thread.map(|thread| thread.id as usize));
    Header::new(shared.clone(), hint, spawned_at)
}

fn spawn_as<F>(shared: &Arc<Shared>, future: F, header: Header, name: &str) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let future = traced::task(future, "task", name, &header);
    let schedule = WithInfo(|task: Runnable, info: ScheduleInfo| {
        context::schedule(task, info.woken_while_running);
    });
    start(&shared.owned, build(header, future, schedule))
}
