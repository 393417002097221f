//! The rings of all of a runtime's threads, waited on at once: whose thread has gone to sleep.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::ring::Ring;
use crate::primitive::Mutex;
use crate::protocol::core::{SlotId, Word};
use crate::sys::epoll::{Epoll, Event, EventFd};

/// The data of the descriptor that ends the wait.
const STOP: u64 = u64::MAX;

const SLOT_BITS: u32 = 20;

/// The sentinel waits here; threads add their rings.
#[derive(Debug)]
pub(crate) struct Edges {
    epoll: Epoll,
    stop: EventFd,
    /// Only the sentinel comes here; another may be that at the next edge.
    asleep: Mutex<Vec<Asleep>>,
}

/// An unmarked poll that went to sleep, and has its core until it has slept for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asleep {
    pub(crate) seat: usize,
    /// The word of that core by then.
    pub(crate) seen: Word,
    pub(crate) slot: SlotId,
    pub(crate) generation: u64,
    /// When to look at it once more.
    pub(crate) due: Instant,
}

impl Edges {
    /// With no ring in it.
    ///
    /// # Errors
    ///
    /// What the operating system says; there may be no descriptor left.
    pub(crate) fn new() -> io::Result<Edges> {
        let edges =
            Edges { epoll: Epoll::new()?, stop: EventFd::new()?, asleep: Mutex::new(Vec::new()) };
        edges.epoll.add(edges.stop.as_fd(), STOP)?;
        Ok(edges)
    }

    /// Watches a ring: that of the thread in `slot`, which is the `generation`-th there. `false`:
    /// the kernel refused.
    pub(crate) fn add(&self, ring: &Ring, slot: SlotId, generation: u64) -> bool {
        let data = generation << SLOT_BITS | u64::from(slot);
        self.epoll.add(ring.fd(), data).is_ok()
    }

    /// Watches a ring no longer, before it is closed.
    pub(crate) fn remove(&self, ring: &Ring) {
        // It may have been taken out before, by a hang-up.
        let _ = self.epoll.del(ring.fd());
    }

    /// Waits for an edge, for `bound` at most: the slot and the generation of the ring from which it
    /// came. One at a time, because whoever waits may go away with it; the others stay for the next.
    /// `None` after a signal, when the time is over, and once after [`stop`](Self::stop).
    ///
    /// # Errors
    ///
    /// What the operating system says; there is nothing to wait for any more.
    pub(crate) fn wait(&self, bound: Option<Duration>) -> io::Result<Option<(SlotId, u64)>> {
        let mut events = [Event::EMPTY; 1];
        let edges = self.epoll.wait(&mut events, bound)?;
        Ok(edges.first().map(Event::data).filter(|data| *data != STOP).map(|data| {
            let slot = data & ((1 << SLOT_BITS) - 1);
            (slot as SlotId, data >> SLOT_BITS)
        }))
    }

    /// Remembers a poll that went to sleep. An older one of the same core counts no more.
    pub(crate) fn remember(&self, poll: Asleep) {
        let mut asleep = self.asleep.lock();
        asleep.retain(|old| old.seat != poll.seat);
        asleep.push(poll);
    }

    /// One that is due by `now`; it is remembered no longer.
    pub(crate) fn due(&self, now: Instant) -> Option<Asleep> {
        let mut asleep = self.asleep.lock();
        let nth = asleep.iter().position(|poll| poll.due <= now)?;
        Some(asleep.swap_remove(nth))
    }

    /// How long it is until one is due, if none is by `now`.
    pub(crate) fn until_due(&self, now: Instant) -> Option<Duration> {
        let next = self.asleep.lock().iter().map(|poll| poll.due).min();
        next.map(|due| due.saturating_duration_since(now))
    }

    /// Ends the wait; the flag that says why is up before.
    pub(crate) fn stop(&self) {
        self.stop.wake();
    }
}
