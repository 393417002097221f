//! What becomes of tasks that are still queued when the runtime ends: dropping a queued task drops
//! its future. Who drops them, and when, is told in `scheduler::shutdown`.
//!
//! But a call that `spawn_blocking` has accepted runs, as in tokio. It runs on a thread of the
//! runtime that ends, and after all that is to be dropped: it may wait for what a task holds. A
//! thread that is not the runtime's runs nobody's calls: that one drops them as well.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use super::{Shared, entered};
use crate::primitive::quietly;
use crate::spawned::{Runnable, TaskRef, as_task};

/// A task came into the injector after the flag went up. The threads that are still there drop it;
/// if there are none, the caller does.
#[cold]
pub(crate) fn came_late(shared: &Arc<Shared>) {
    if shared.threads.runners() == 0 {
        drop_tasks(shared, Accepted::Dropped);
    }
}

/// What becomes of calls that were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// By a thread of the runtime.
    Run,
    /// By any other.
    Dropped,
}

thread_local! {
    /// The runtime whose tasks this thread is dropping.
    static DROPPING: Cell<*const Shared> = const { Cell::new(ptr::null()) };
    /// Where those that it wakes for that go. Never dropped, so that it is there to the thread's very
    /// end: a thread-local of the user's may wake a task, or drop a runtime, when ours would be gone.
    /// Only [`wake_some`] fills it, and takes it back.
    static WOKEN: RefCell<Option<ManuallyDrop<Vec<Runnable>>>> = const { RefCell::new(None) };
}

/// Keeps a task that this thread wakes to drop it. Any other comes back.
#[inline]
pub(crate) fn collect(task: Runnable) -> Option<Runnable> {
    WOKEN.with(|woken| match &mut *woken.borrow_mut() {
        None => Some(task),
        Some(woken) => {
            woken.push(task);
            None
        }
    })
}

/// Gets some more of those that sleep into the queue, in one step. `false`: all of them were. They
/// do not wait with this thread: one may wait in its drop for another's.
pub(crate) fn wake_some(shared: &Shared) -> bool {
    shared.owned.wake_some(|tasks| {
        WOKEN.set(Some(ManuallyDrop::new(Vec::with_capacity(tasks.len()))));
        tasks.into_iter().for_each(TaskRef::wake);
        let woken = WOKEN.take().map(ManuallyDrop::into_inner);
        shared.injector.push_batch(woken.into_iter().flatten());
    })
}

/// Drops what is queued, and what that puts into the queues in turn. (Called again from the drop of
/// a task it does nothing: the loop that drops that task finds what has been queued. Otherwise a
/// chain of tasks that wake each other when they are dropped would need as deep a stack.)
pub(crate) fn drop_tasks(shared: &Arc<Shared>, accepted: Accepted) {
    let before = DROPPING.get();
    if ptr::eq(before, &**shared) {
        return;
    }
    DROPPING.set(&**shared);
    // A destructor of a task may use its runtime: what it spawns is cancelled at once.
    let entry = entered::enter(shared.clone());
    drop_all(shared, accepted);
    entered::leave(entry);
    DROPPING.set(before);
}

fn drop_all(shared: &Shared, accepted: Accepted) {
    loop {
        while let Some(waker) = shared.due.pop() {
            quietly(|| waker.wake());
        }
        while let Some(task) = queued(shared) {
            if accepted == Accepted::Run && task.header().is_accepted() {
                shared.accepted.lock().push_back(task);
            } else {
                as_task(Some(task.header().id), || quietly(|| drop(task)));
            }
        }
        if wake_some(shared) {
            continue;
        }
        let next = (accepted == Accepted::Run).then(|| shared.accepted.lock().pop_front());
        match next.flatten() {
            // Not all of them at once: what this one leaves is to be dropped before the next.
            Some(task) => as_task(Some(task.header().id), || run_quietly(task)),
            None if shared.due.len() == 0 && shared.injector.len() == 0 => return,
            None => {}
        }
    }
}

fn queued(shared: &Shared) -> Option<Runnable> {
    let injected = shared.injector.pop();
    injected.or_else(|| {
        shared.seats.iter().find_map(|seat| seat.lifo.take().or_else(|| seat.queue.pop()))
    })
}

fn run_quietly(task: Runnable) {
    quietly(|| task.run());
}
