//! Where a task goes that is woken, spawned or has yielded on this thread.

use std::cell::Cell;
use std::ptr;

use super::thread::{Core, Thread, with};
use crate::shared::Shared;
use crate::spawned::Runnable;

/// Puts a task where the calling thread can best leave it for `shared`.
#[inline]
pub(crate) fn schedule(shared: &Shared, task: Runnable, yielded: bool) {
    let task = Cell::new(Some(task));
    with(|thread| {
        let Some(thread) = thread.filter(|thread| ptr::eq(&**thread.shared, shared)) else {
            return;
        };
        thread.with_core(|core| {
            if let Some(task) = task.take() {
                push(thread, core, task, yielded);
            }
        });
        if yielded {
            task.set(task.take().and_then(|task| thread.keep(task)));
        }
    });
    if let Some(task) = task.take() {
        shared.inject(task);
    }
}

/// Into the held core's own queues: the LIFO slot for a task that was woken, the end of the queue
/// for one that yielded and for whoever is pushed out of the slot.
#[inline]
fn push(thread: &Thread<'_>, core: Core<'_>, task: Runnable, yielded: bool) {
    let task = if yielded { Some(task) } else { core.seat.lifo.replace(Some(task)) };
    let Some(task) = task else { return };
    // A task that yields with nobody else in line is run by this very thread, which is between its
    // poll and the next look at its queue: nobody needs to wake for it.
    let alone = yielded && core.seat.queue.len() == 0 && core.seat.lifo.is_empty();
    // SAFETY: `with_core` runs its closure only while this thread holds the core.
    if let Err(task) = unsafe { core.seat.queue.push(task) } {
        overflow(thread, core, task);
    }
    if !alone {
        thread.shared.notify();
    }
}

/// The seat's queue is full: half of it goes to the injector, and the new task behind it.
#[cold]
fn overflow(thread: &Thread<'_>, core: Core<'_>, task: Runnable) {
    let half = core.seat.queue.len() / 2;
    let batch = std::iter::from_fn(|| core.seat.queue.pop()).take(half);
    thread.shared.injector.push_batch(batch.chain(std::iter::once(task)));
}
