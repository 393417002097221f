//! The sentinel: learns from the kernel, at the moment it happens, that a thread went to sleep.
//!
//! One thread waits in `epoll` on the rings of all others. It runs as `SCHED_IDLE`: it is woken
//! when a worker is merely preempted, too, and must not get in the way of anybody then; when a
//! worker blocks, the CPU that falls free is the sentinel's. Where other programs keep every CPU
//! busy it starves, and the monitor is faster.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::core::{SlotId, State, Suspect};
use super::pool::{Cause, Claim};
use super::shared::Shared;
use super::threads::Vital;
use crate::detect::ring::{Look, Ring};
use crate::sys::epoll::{Epoll, Event, EventFd};

/// The data of the descriptor that ends the sentinel.
const STOP: u64 = u64::MAX;

const SLOT_BITS: u32 = 20;

/// What others need of the sentinel.
#[derive(Debug)]
pub(crate) struct Sentinel {
    epoll: Epoll,
    stop: EventFd,
}

impl Sentinel {
    fn new() -> io::Result<Sentinel> {
        let sentinel = Sentinel { epoll: Epoll::new()?, stop: EventFd::new()? };
        sentinel.epoll.add(sentinel.stop.as_fd(), STOP)?;
        Ok(sentinel)
    }

    /// Watches a ring. `false`: the kernel refused.
    pub(crate) fn add(&self, ring: &Ring, slot: SlotId, generation: u64) -> bool {
        let data = generation << SLOT_BITS | u64::from(slot);
        self.epoll.add(ring.fd(), data).is_ok()
    }

    /// Watches a ring no longer, before it is closed.
    pub(crate) fn remove(&self, ring: &Ring) {
        // It may have been taken out before, by a hang-up.
        let _ = self.epoll.del(ring.fd());
    }

    /// Ends the sentinel's thread.
    pub(crate) fn stop(&self) {
        self.stop.wake();
    }
}

/// Starts the sentinel of `shared`.
///
/// Nobody waits for its end: where every CPU is busy it may take its time to see that it is to
/// stop, and it holds nothing that anybody needs.
///
/// # Errors
///
/// What the operating system says. The runtime then does without.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let sentinel = Arc::new(Sentinel::new()?);
    let (mine, waited_on) = (shared.clone(), sentinel.clone());
    let spawned = std::thread::Builder::new()
        .name(format!("{}-sentinel", shared.config.thread_name))
        .spawn(move || run(&mine, &waited_on));
    spawned?;
    // Threads open rings from here on.
    let _ = shared.sentinel.set(sentinel.clone());
    // Partner: the fence in `begin_shutdown`. Either whoever shuts down finds the sentinel, or it is
    // stopped here.
    fence(Ordering::SeqCst);
    if shared.is_shutdown() {
        sentinel.stop();
    }
    Ok(())
}

fn run(shared: &Arc<Shared>, sentinel: &Sentinel) {
    let _vital = Vital::begin();
    // Refused, it is an ordinary thread: correct, and in the way at times.
    let _ = crate::sys::thread::set_idle_policy();
    let mut events = [Event::EMPTY; 32];
    'serve: while !shared.is_shutdown() {
        let Ok(edges) = sentinel.epoll.wait(&mut events, None) else { break };
        for event in edges {
            if event.data() == STOP {
                break 'serve;
            }
            shared.counters.sentinel_wakeups.fetch_add(1, Ordering::Relaxed);
            let slot = event.data() & ((1 << SLOT_BITS) - 1);
            look(shared, slot as SlotId, event.data() >> SLOT_BITS);
        }
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
            let _ = shared.retake_here(claim);
        }
    }
    slot.suspicion.settle(Suspect::Sentinel);
}
