//! When a thread opens its ring, and when it arms it.
//!
//! A ring costs nothing while its thread runs, but an armed one makes every sleep of the thread
//! dearer, and opening, arming and disarming are system calls. So a thread arms its ring only while it
//! runs regions often, or they have blocked of late: at the fourth region since it last slept; or at the
//! first, while it is *warm*. A lost core makes it as warm as can be; a waking time in which it comes to
//! the fourth region makes it a little warmer, and any other a little colder, those included in which
//! the ring was armed at the first region (the others are not counted then): a thread that wakes for one
//! short call at a time soon pays for no ring. It opens the ring after the poll in which that first came
//! up. It disarms before it sleeps and when it has lost its core. Until then, the monitor watches it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::context::Thread;
use crate::detect::ring::Ring;

/// Regions since the last sleep before the ring is armed.
const STRETCH: u32 = 4;

/// How warm a thread is whose ring is armed at the first region.
const WARM: u32 = 2;
const HOTTEST: u32 = 8;

/// Whether there is nothing to decide: the ring is armed, or there is none to be had.
#[inline]
pub(crate) fn is_settled(thread: &Thread<'_>) -> bool {
    thread.armed.get() || thread.ring_refused.get()
}

/// A region is about to run with the core lent.
pub(crate) fn on_region(thread: &Thread<'_>) {
    if !is_settled(thread) {
        consider(thread);
    }
}

fn consider(thread: &Thread<'_>) {
    let stretch = thread.stretch.get() + 1;
    thread.stretch.set(stretch);
    if stretch < STRETCH && thread.heat.get() < WARM {
        return;
    }
    if thread.ring.borrow().is_none() {
        thread.wants_ring.set(true);
        return;
    }
    let armed =
        thread.ring.borrow().as_ref().is_some_and(|ring| ring.in_phase() && ring.arm().is_ok());
    if armed {
        thread.armed.set(true);
        thread.slot.armed.store(true, Ordering::Relaxed);
    } else {
        thread.abandon_ring();
    }
}

/// The thread is about to sleep with its core.
pub(crate) fn on_sleep(thread: &Thread<'_>) {
    let many = thread.stretch.replace(0) >= STRETCH;
    let heat = thread.heat.get();
    thread.heat.set(if many { (heat + 1).min(HOTTEST) } else { heat.saturating_sub(1) });
    thread.disarm();
}

/// The thread has lost its core in a region.
pub(crate) fn on_loss(thread: &Thread<'_>) {
    thread.heat.set(HOTTEST);
}

/// Between polls, by a thread that wants a ring: opens it and shows it to the sentinel. Not in a
/// poll: opening blocks for a moment, and would lose the core that is lent there. Refused, the thread
/// stays with the monitor.
#[cold]
pub(crate) fn open(thread: &Thread<'_>) {
    let shared = thread.shared;
    let Some(edges) = shared.edges.get() else {
        shared.counters.rings_wanted.fetch_add(1, Ordering::Relaxed);
        thread.wants_ring.set(false);
        match shared.sentinel_failure.get() {
            Some(_) => thread.ring_refused.set(true),
            None => shared.ring_monitor(),
        }
        return;
    };
    thread.wants_ring.set(false);
    let limit = shared.config.workers + shared.config.min_spares + 64;
    if shared.counters.rings.fetch_add(1, Ordering::Relaxed) >= limit {
        shared.counters.rings.fetch_sub(1, Ordering::Relaxed);
        return thread.ring_refused.set(true);
    }
    let ring = Ring::open().ok().filter(|ring| ring.disarm().is_ok()).map(Arc::new);
    let generation = thread.slot.generation.load(Ordering::Relaxed);
    let Some(ring) = ring.filter(|ring| edges.add(ring, thread.id, generation)) else {
        shared.counters.rings.fetch_sub(1, Ordering::Relaxed);
        shared.counters.ring_faults.fetch_add(1, Ordering::Relaxed);
        return thread.ring_refused.set(true);
    };
    *thread.slot.ring.lock() = Some(ring.clone());
    *thread.ring.borrow_mut() = Some(ring);
}
