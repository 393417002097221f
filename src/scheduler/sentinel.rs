//! The sentinel: learns from the kernel, at the moment it happens, that a thread went to sleep.
//!
//! One thread waits on the rings of all others. It runs as `SCHED_IDLE`: it is woken
//! when a worker is merely preempted, too, and must not get in the way of anybody then; when a
//! worker blocks, the CPU that falls free is the sentinel's. Where other programs keep every CPU
//! busy it starves, and the monitor is faster.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use crate::detect::edges::Edges;
use crate::detect::ring::Look;
use crate::protocol::Cause;
use crate::protocol::core::{SlotId, State, Suspect};
use crate::protocol::pool::Claim;
use crate::shared::Shared;
use crate::shared::threads::Role;

/// Starts the sentinel of `shared`.
///
/// Nobody waits for its end: where every CPU is busy it may take its time to see that it is to
/// stop, and it holds nothing that anybody needs.
///
/// # Errors
///
/// What the operating system says. The runtime then does without.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let edges = Arc::new(Edges::new()?);
    let waited_on = edges.clone();
    let body = move |shared: &Arc<Shared>| run(shared, &waited_on);
    shared.start_thread(Role::Unwaited, "-sentinel", None, body)?;
    // Threads open rings from here on.
    let _ = shared.edges.set(edges.clone());
    // Partner: the fence in `begin_shutdown`. Either whoever shuts down finds the rings, or the
    // sentinel is stopped here.
    fence(Ordering::SeqCst);
    if shared.is_shutdown() {
        edges.stop();
    }
    Ok(())
}

fn run(shared: &Arc<Shared>, edges: &Edges) {
    // Refused, it is an ordinary thread: correct, and in the way at times.
    let _ = crate::sys::thread::set_idle_policy();
    let mut goes_on = true;
    while goes_on && !shared.is_shutdown() {
        goes_on = edges.wait(|slot, generation| {
            shared.counters.sentinel_wakeups.fetch_add(1, Ordering::Relaxed);
            look(shared, slot, generation);
        });
    }
}

/// An edge came from the thread in `id`: if it is blocked in a region, its core is retaken.
fn look(shared: &Shared, id: SlotId, generation: u64) {
    let slot = shared.slots.get(id);
    if slot.generation.load(Ordering::Relaxed) != generation {
        return;
    }
    let Some(seat) = slot.seat() else { return };
    slot.suspicion.raise(Suspect::Sentinel);
    // The thief's order: the word, then the thread, then the swap of that same word.
    let seen = shared.pool.word(seat).load();
    if seen.state() == State::Lent && seen.slot() == id && slot.site.get().is_some() {
        let ring = slot.ring.lock().clone();
        if ring.is_some_and(|ring| ring.look() == Look::Blocked) {
            let claim = Claim { seat, seen, observed: id, cause: Cause::Blocked };
            let _ = shared.retake(claim);
        }
    }
    slot.suspicion.settle(Suspect::Sentinel);
}
