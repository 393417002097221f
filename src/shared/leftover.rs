//! What becomes of tasks that are still queued when the runtime ends: dropping a queued task drops
//! its future. Who drops them, and when, is told in `scheduler::shutdown`.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use super::{Shared, entered};
use crate::primitive::quietly;
use crate::spawned::as_task;

/// A task came into the injector after the flag went up. The threads that are still there drop it;
/// if there are none, the caller does.
#[cold]
pub(crate) fn came_late(shared: &Arc<Shared>) {
    if shared.threads.runners() == 0 {
        drop_tasks(shared);
    }
}

thread_local! {
    /// The runtime whose tasks this thread is dropping.
    static DROPPING: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// Drops what is queued, and what that puts into the queues in turn. (Called again from the drop of
/// a task it does nothing: the loop that drops that task finds what has been queued. Otherwise a
/// chain of tasks that wake each other when they are dropped would need as deep a stack.)
pub(crate) fn drop_tasks(shared: &Arc<Shared>) {
    let before = DROPPING.get();
    if ptr::eq(before, &**shared) {
        return;
    }
    DROPPING.set(&**shared);
    // A destructor of a task may use its runtime: what it spawns is cancelled at once.
    let entry = entered::enter(shared.clone());
    drop_all(shared);
    entered::leave(entry);
    DROPPING.set(before);
}

fn drop_all(shared: &Shared) {
    loop {
        while let Some(waker) = shared.due.pop() {
            quietly(|| waker.wake());
        }
        let injected = shared.injector.pop();
        let task = injected.or_else(|| {
            shared.seats.iter().find_map(|seat| seat.lifo.take().or_else(|| seat.queue.pop()))
        });
        match task {
            Some(task) => as_task(Some(task.metadata().id), || quietly(|| drop(task))),
            None => return,
        }
    }
}
