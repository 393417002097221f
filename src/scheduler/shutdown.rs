//! How a runtime ends.
//!
//! 1. No task is spawned any more; the flag goes up; no core changes hands any more.
//! 2. Every sleeping thread is woken, sees the flag, and ends.
//! 3. On its way out a thread wakes the tasks that live, a few at a time, which gets them into the
//!    injector, and empties the queues: dropping a queued task drops its future. Several share that;
//!    whoever finds that all were woken finds each in a queue, or some thread has it in hand (for
//!    `Owned` keeps its lock until those it has woken are in the injector). The *last thread out*
//!    does so once more. A poll that still runs (in a call that blocks) ends with its task in a
//!    queue, and its thread is then not out yet. So when the last one is out, no task is left
//!    anywhere.
//! 4. What `spawn_blocking` has accepted is not dropped: each thread runs such calls before it is
//!    out, when the other tasks are gone (`shared::leftover`).
//! 5. The monitor does the same once: a call may wait for a task that is queued behind
//!    it, and there may be no other thread to drop that.
//!
//! A task that is added when its part of the list has had its turn was added by a thread that sees
//! the flag (both take the lock of that part), and so does whoever polls it: it ends in its first
//! poll, and never sleeps.
//!
//! The last thread does it, and not the one that asked: that one may not want to wait. What comes
//! into the injector after the last one is out (a task whose spawner or waker was between its two
//! steps when the flag went up) is dropped by whoever brings it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::shared::Shared;
use crate::shared::leftover::{Accepted, drop_tasks};
use crate::spawned;

/// Begins the end. Returns at once; a second call changes nothing.
pub(crate) fn begin(shared: &Arc<Shared>) {
    if !shared.begin_shutdown() {
        return;
    }
    spawned::close(shared);
    shared.pool.close();
    // Whoever waits for a timer or a socket without being a task of this runtime: those wakers are
    // foreign code. The threads call them on their way out, and not this one, which may not want to
    // wait; one that blocks holds up no other.
    shared.wake_soon(shared.driver_handle.shutdown().into_iter());
    for (_, slot) in shared.slots.iter() {
        shared.unpark(slot);
    }
    shared.ring_monitor();
    if let Some(edges) = shared.edges.get() {
        edges.stop();
    }
    if let Some(alarm) = &shared.watched.alarm {
        alarm.ring();
    }
    // The threads may all have been out before the tasks were woken, or there were none.
    if shared.threads.runners() == 0 && !shared.turns.is_some() {
        drop_tasks(shared, Accepted::Dropped);
    }
}

/// How long is too long to wait without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits for the threads, for at most `limit`. `false`: some still run.
pub(crate) fn wait(shared: &Arc<Shared>, limit: Option<Duration>) -> bool {
    let threads = &shared.threads;
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let mut all = threads.wait_for_all(Some(limit.unwrap_or(PATIENCE).min(PATIENCE)));
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if !all && left != Some(Duration::ZERO) {
        shared.tell_of_waiting_end();
        all = threads.wait_for_all(left);
    }
    if all && limit.is_none() {
        threads.join_all();
    }
    if all {
        drop_tasks(shared, Accepted::Dropped);
        #[cfg(debug_assertions)]
        check(shared);
    }
    all
}

/// The invariants that must hold when every thread is out.
#[cfg(debug_assertions)]
fn check(shared: &Shared) {
    assert!(shared.owned.adds_up(), "tasks spawned = ended (finished or cancelled) + alive");
    // One that a strange thread is waking is dropped by that thread, which may not have come to it.
    let deadline = Instant::now() + PATIENCE;
    while shared.owned.anyone_stranded() && Instant::now() < deadline {
        if shared.config.current_thread {
            break;
        }
        std::thread::yield_now();
    }
    assert!(
        !shared.owned.anyone_stranded() || shared.config.current_thread,
        "no task outlives its runtime's threads (but one that a thread in `block_on` polls)"
    );
    // (There that thread may also be in a call, with a permit.)
    let counts = shared.pool.counts();
    assert!(
        counts.async_threads == 0 || shared.config.current_thread,
        "every permit taken was returned"
    );
}
