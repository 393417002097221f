//! How a future becomes a task of a runtime.

use std::future::Future;
use std::sync::Arc;

use async_task::{ScheduleInfo, WithInfo};

use crate::context;
use crate::shared::Shared;
use crate::spawned::{Caught, Header, JoinHandle, Life, Origin, OwnedKey, Runnable, traced};

/// Spawns `future` on `shared`. After shutdown has begun the future is dropped at once, and the
/// handle says that the task was cancelled.
pub(crate) fn spawn<F>(shared: &Arc<Shared>, future: F, origin: Origin<'_>) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_as(shared, future, Header::new(origin.place), origin.name)
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
    spawn_as(shared, future, Header::of_accepted(origin.place), origin.name)
}

fn spawn_as<F>(
    shared: &Arc<Shared>,
    future: F,
    header: Arc<Header>,
    name: &str,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let future = traced::task(future, "task", name, &header);
    let hint = context::with(|thread| thread.map(|thread| thread.id as usize));
    let key = shared.owned.reserve(hint);
    let life = Owner { shared: shared.clone(), header: header.clone(), key };
    let schedule = {
        let shared = shared.clone();
        WithInfo(move |task: Runnable, info: ScheduleInfo| {
            context::schedule(&shared, task, info.woken_while_running);
        })
    };
    let caught = Caught::new(future, life);
    let (runnable, task) =
        async_task::Builder::new().metadata(header.clone()).spawn(|_| caught, schedule);
    let waker = runnable.waker();
    let accepted = key.is_some_and(|key| shared.owned.fill(key, waker.clone()));
    let handle = JoinHandle::new(task, header, Some(waker));
    if accepted {
        runnable.schedule()
    } else {
        drop(runnable)
    }
    shared.owned.is_spawned();
    handle
}

/// The runtime, as a task's future sees it.
struct Owner {
    shared: Arc<Shared>,
    header: Arc<Header>,
    key: Option<OwnedKey>,
}

impl Life for Owner {
    fn is_over(&self) -> bool {
        self.header.is_aborted() || (self.shared.is_shutdown() && !self.header.is_accepted())
    }

    fn end(self) {
        self.header.end();
        // In a child of `fork` a lock may be held by a thread that is not there.
        if let Some(key) = self.key.filter(|_| !self.shared.is_of_parent()) {
            self.shared.owned.remove(key);
        }
    }
}
