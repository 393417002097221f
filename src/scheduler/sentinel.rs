//! The sentinel: learns from the kernel, at the moment it happens, that a thread went to sleep.
//!
//! It is a spare, the only one that does not wait to be chosen: it waits on the rings of all other
//! threads, and takes the core of one that blocks for itself. So a hand-off that it makes needs no
//! second thread to wake up: the CPU that falls free is the sentinel's, and it goes on there with
//! the core's tasks. Another spare is the sentinel then.
//!
//! A *watch*, the time that one thread is the sentinel, begins and ends with a swap of
//! [`Shared::sentinel`], so there is one sentinel at most. While there is none, edges wait in the
//! epoll, and the monitor stands behind as always. A watch that nobody keeps is found by every
//! thread that waits as a spare, before it sleeps; who leaves it wakes one of them; and the monitor
//! looks after both.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use crate::context::Thread;
use crate::detect::edges::Edges;
use crate::detect::ring::Look;
use crate::protocol::Cause;
use crate::protocol::core::{NO_SLOT, SlotId, State, Suspect};
use crate::protocol::pool::{Claim, Retake};
use crate::shared::Shared;

/// From here on threads of `shared` open rings, and a spare watches them.
///
/// # Errors
///
/// What the operating system says. The runtime then does without.
pub(super) fn start(shared: &Shared) -> io::Result<()> {
    let edges = Arc::new(Edges::new()?);
    let _ = shared.edges.set(edges.clone());
    // Partner: the fence in `begin_shutdown`. Either whoever shuts down finds the rings, or the
    // watch is ended here.
    fence(Ordering::SeqCst);
    if shared.is_shutdown() {
        edges.stop();
    }
    Ok(())
}

/// Whether there are rings to be watched and nobody does. A hint: who then keeps the watch, the
/// swap decides.
pub(super) fn is_wanted(shared: &Shared) -> bool {
    shared.sentinel.load(Ordering::Relaxed) == NO_SLOT
        && shared.edges.get().is_some()
        && shared.sentinel_failure.get().is_none()
}

/// Has a spare keep the watch that nobody keeps. `false`: there is no spare.
pub(super) fn call(shared: &Shared) -> bool {
    let spare = shared.pool.any_spare();
    spare.inspect(|spare| shared.unpark(shared.slots.get(*spare))).is_some()
}

/// By a thread that has no core, and is not on the list of spares: it is the sentinel until it has
/// taken a core for itself, or the runtime ends. `false`: another thread is.
pub(super) fn keep_watch(thread: &Thread<'_>) -> bool {
    let shared = thread.shared;
    let Some(edges) = shared.edges.get() else { return false };
    // Ordering: Acquire. Partner: the Release below, of the sentinel before. A thread that both look
    // at is under suspicion by one mark: the former has taken its mark back before the latter sets
    // it again.
    let watch = &shared.sentinel;
    if watch.compare_exchange(NO_SLOT, thread.id, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return false;
    }
    thread.release_permit();
    let mut has_core = false;
    while !has_core && !shared.is_shutdown() {
        match edges.wait() {
            Ok(None) => {}
            Ok(Some((slot, generation))) => {
                shared.counters.sentinel_wakeups.fetch_add(1, Ordering::Relaxed);
                has_core = look(shared, slot, generation, thread.id);
            }
            Err(error) => {
                let text = format!("the sentinel can wait no longer: {error}");
                let _ = shared.sentinel_failure.set(text);
                break;
            }
        }
    }
    // Ordering: Release. Partner: the Acquire above, of the sentinel after.
    watch.store(NO_SLOT, Ordering::Release);
    if has_core {
        call(shared);
    }
    true
}

/// An edge came from the thread in `id`: if it is blocked in a region, its core is retaken for the
/// sentinel, `me`. Whether it was.
fn look(shared: &Shared, id: SlotId, generation: u64, me: SlotId) -> bool {
    let slot = shared.slots.get(id);
    if slot.generation.load(Ordering::Relaxed) != generation {
        return false;
    }
    let Some(seat) = slot.seat() else { return false };
    slot.suspicion.raise(Suspect::Sentinel);
    // The thief's order: the word, then the thread, then the swap of that same word.
    let seen = shared.pool.word(seat).load();
    let mut done = false;
    if seen.state() == State::Lent && seen.slot() == id && slot.site.get().is_some() {
        let ring = slot.ring.lock().clone();
        if ring.is_some_and(|ring| ring.look() == Look::Blocked) {
            let claim = Claim { seat, seen, observed: id, cause: Cause::Blocked };
            done = shared.retake(claim, Some(me)) == Retake::Done;
        }
    }
    slot.suspicion.settle(Suspect::Sentinel);
    done
}
