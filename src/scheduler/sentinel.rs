//! The sentinel: learns from the kernel, at the moment it happens, that a thread went to sleep.
//!
//! One thread waits on the rings of all others. It is an ordinary thread with the shortest slices:
//! woken, it has its turn soon, for a few microseconds. (As `SCHED_IDLE`, or nice, it would be in
//! nobody's way when a worker is merely preempted; but where other programs keep every CPU busy it
//! would get none for a second, or for some tens of milliseconds, and whoever needs all threads of
//! the process, as its end does, would wait for it.)

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use crate::detect::edges::Edges;
use crate::detect::ring::Look;
use crate::protocol::Cause;
use crate::protocol::core::{SlotId, State, Suspect};
use crate::protocol::pool::Claim;
use crate::shared::Shared;
use crate::shared::threads::Role;
use crate::sys::thread::set_slice;

/// The shortest there is: the sentinel has its turn soon, and gives it back soon.
const SLICE: Duration = Duration::from_micros(100);

/// Starts the sentinel of `shared`.
///
/// # Errors
///
/// What the operating system says. The runtime then does without.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let edges = Arc::new(Edges::new()?);
    let waited_on = edges.clone();
    let body = move |shared: &Arc<Shared>| run(shared, &waited_on);
    shared.start_thread(Role::Helper, "-sentinel", None, body)?;
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
    set_slice(0, Some(SLICE));
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
