//! Where a task goes that is woken, spawned or has yielded on this thread.

use std::sync::Arc;

use super::core::HeldCore;
use super::thread::{Thread, with};
use crate::shared::leftover;
use crate::spawned::Runnable;

/// Puts a task where the calling thread can best leave it for its runtime.
#[inline]
pub(crate) fn schedule(task: Runnable, yielded: bool) {
    let left = with(|thread| match thread {
        Some(thread) if task.header().is_of(Arc::as_ptr(thread.shared).cast()) => {
            leave_here(thread, task, yielded)
        }
        _ => Some(task),
    });
    if let Some(task) = left.and_then(leftover::collect) {
        task.inject();
    }
}

/// With the thread's core, or with the thread itself. Returns the task if it cannot be left there.
#[inline]
fn leave_here(thread: &Thread<'_>, task: Runnable, yielded: bool) -> Option<Runnable> {
    if thread.watches {
        note_wake(thread, &task, yielded);
    }
    if let Some(core) = thread.core_in_hand() {
        push(thread, &core, task, yielded);
        return None;
    }
    if yielded { thread.go_on_here(task) } else { Some(task) }
}

/// The task is woken, or spawned, and goes into a queue: for those who want to know.
#[cold]
fn note_wake(thread: &Thread<'_>, task: &Runnable, yielded: bool) {
    thread.shared.is_queued(task);
    // That one was woken in its own poll is no news, and the clock is dear beside a yield.
    if !yielded {
        thread.log.woke(task.header().id);
    }
}

/// Into the held core's own queues: the LIFO slot for a task that was woken, the end of the queue
/// for one that yielded and for whoever is pushed out of the slot. In a current-thread runtime all go
/// to the end: there the order in which tasks run is the one in which they were woken.
#[inline]
fn push(thread: &Thread<'_>, core: &HeldCore<'_>, task: Runnable, yielded: bool) {
    let seat = core.seat();
    let in_order = yielded || thread.shared.config.current_thread;
    let task = if in_order { Some(task) } else { core.put_last(task) };
    let Some(task) = task else { return };
    // A task that yields with nobody else in line is run by this very thread, which is between its
    // poll and the next look at its queue: nobody needs to wake for it.
    let alone = yielded && seat.queue.len() == 0 && seat.lifo.is_empty();
    if let Err(task) = core.push(task) {
        overflow(thread, core, task);
    }
    // Nor is there anybody else where there is one seat.
    if !alone && thread.shared.seats.len() > 1 {
        thread.shared.notify();
    }
}

/// The seat's queue is full: half of it goes to the injector, and the new task behind it.
#[cold]
fn overflow(thread: &Thread<'_>, core: &HeldCore<'_>, task: Runnable) {
    let half = core.seat().queue.take_half();
    thread.shared.injector.push_batch(half.chain(std::iter::once(task)));
}
