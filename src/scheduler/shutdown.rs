//! How a runtime ends.
//!
//! 1. No task is spawned any more; the flag goes up; no core changes hands any more.
//! 2. Every task that lives is woken, so that each is in a queue or in some thread's poll; every
//!    sleeping thread is woken, sees the flag, and ends.
//! 3. Whoever is the *last thread out* empties the queues: dropping a queued task drops its future.
//!    A poll that still runs (in a call that blocks) ends with its task in a queue, and its thread
//!    is then not out yet. So when the last one is out, no task is left anywhere.
//! 4. What `spawn_blocking` has accepted is not dropped: each thread runs such calls before it is
//!    out, when the other tasks are gone (`shared::leftover`).
//!
//! The last thread does it, and not the one that asked: that one may not want to wait. What comes
//! into the injector after the last one is out (a task whose spawner was between its two steps when
//! the flag went up) is dropped by whoever brings it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::primitive::quietly;
use crate::shared::Shared;
use crate::shared::leftover::{Accepted, drop_tasks};

/// Begins the end. Returns at once; a second call changes nothing.
pub(crate) fn begin(shared: &Arc<Shared>) {
    if !shared.begin_shutdown() {
        return;
    }
    let wakers = shared.owned.close();
    let spares = shared.pool.close();
    wakers.into_iter().for_each(|waker: Waker| quietly(|| waker.wake()));
    shared.driver_handle.shutdown();
    for slot in spares {
        shared.unpark(shared.slots.get(slot));
    }
    for (_, slot) in shared.slots.iter() {
        shared.unpark(slot);
    }
    shared.ring_monitor();
    if let Some(edges) = shared.edges.get() {
        edges.stop();
    }
    // The threads may all have been out before the tasks were woken, or there were none.
    if shared.threads.runners() == 0 {
        drop_tasks(shared, Accepted::Dropped);
    }
}

/// Waits for the threads, for at most `limit`. `false`: some still run.
pub(crate) fn wait(shared: &Arc<Shared>, limit: Option<Duration>) -> bool {
    let all = shared.threads.join_all(limit);
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
