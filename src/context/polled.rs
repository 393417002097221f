//! What the calling thread polls: something of ours or a stranger's, a task or a root.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use super::thread::{Thread, with};
use crate::spawned::Id;

thread_local! {
    static IN_ROOT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, a poll of the root future by a thread that has no core and nobody else to serve.
pub(crate) fn in_root<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_ROOT.set(self.0);
        }
    }
    let _restore = Restore(IN_ROOT.replace(true));
    f()
}

/// Whether the calling thread is in a poll of a runtime of ours: a task's, or the root future's. A
/// call that blocks here harms nobody; anywhere else it would hold up a stranger's tasks.
pub(crate) fn is_ours() -> bool {
    IN_ROOT.get() || with(|thread| thread.is_some_and(|thread| thread.poll.active.get()))
}

/// The seat whose core this thread has in a poll; none in a call, which may lose it at any moment.
pub(crate) fn polling_seat() -> Option<usize> {
    with(|thread| {
        let thread =
            thread.filter(|thread| thread.poll.active.get() && !thread.poll.in_region.get())?;
        thread.lent().map(|(seat, _)| seat)
    })
}

/// The task that this thread polls.
pub(crate) fn polled_task() -> Option<Id> {
    with(|thread| {
        let thread = thread.filter(|thread| thread.poll.of_task.get())?;
        // Ordering: Relaxed. This thread has written it.
        Id::from_number(thread.slot.task.load(Ordering::Relaxed))
    })
}

/// What is polled yields, to give way to whatever is ready.
pub(crate) fn yields() {
    with(|thread| {
        if let Some(thread) = thread {
            thread.poll.yielded.set(true);
        }
    });
}

impl Thread<'_> {
    /// Whether something has yielded since this was last asked. That it may have been in a poll
    /// that has lost its core since costs a look.
    pub(crate) fn has_yielded(&self) -> bool {
        self.poll.yielded.take()
    }
}

/// Runs `f`, which polls something that is no task, perhaps inside a task's poll.
pub(crate) fn outside_task<R>(f: impl FnOnce() -> R) -> R {
    struct Restore<'t>(Option<&'t Cell<bool>>, bool);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            if let Some(cell) = self.0 {
                cell.set(self.1);
            }
        }
    }
    with(|thread| {
        let cell = thread.map(|thread| &thread.poll.of_task);
        let _restore = Restore(cell, cell.is_some_and(|cell| cell.replace(false)));
        f()
    })
}
