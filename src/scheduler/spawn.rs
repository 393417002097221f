//! How a future becomes a task of a runtime.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use async_task::{ScheduleInfo, WithInfo};

use super::shared::Shared;
use crate::context;
use crate::raw_task::{Caught, Header, JoinHandle, Runnable};

/// Spawns `future` on `shared`. After shutdown has begun the future is dropped at once, and the
/// handle says that the task was cancelled.
pub(crate) fn spawn<F>(
    shared: &Arc<Shared>,
    future: F,
    spawned_at: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let header = Header::new(spawned_at);
    let hint = context::with(|thread| thread.map(|thread| thread.id as usize));
    let place = shared.owned.reserve(hint);
    let ending = {
        let (shared, header) = (shared.clone(), header.clone());
        move || {
            header.end();
            if let Some(place) = place {
                shared.owned.remove(place);
            }
        }
    };
    let schedule = {
        let shared = shared.clone();
        WithInfo(move |task: Runnable, info: ScheduleInfo| {
            context::schedule(&shared, task, info.woken_while_running);
        })
    };
    let caught = Caught::new(future, ending);
    let (runnable, task) =
        async_task::Builder::new().metadata(header.clone()).spawn(|_| caught, schedule);
    let waker = runnable.waker();
    let accepted = place.is_some_and(|place| shared.owned.fill(place, waker.clone()));
    let handle = JoinHandle::new(task, header, Some(waker));
    if accepted {
        runnable.schedule()
    } else {
        drop(runnable)
    }
    handle
}
