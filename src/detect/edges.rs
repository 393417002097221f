//! The rings of all of a runtime's threads, waited on at once: whose thread has gone to sleep.

use std::io;
use std::os::fd::AsFd;

use super::ring::Ring;
use crate::protocol::core::SlotId;
use crate::sys::epoll::{Epoll, Event, EventFd};

/// The data of the descriptor that ends the wait.
const STOP: u64 = u64::MAX;

const SLOT_BITS: u32 = 20;

/// The sentinel waits here; threads add their rings.
#[derive(Debug)]
pub(crate) struct Edges {
    epoll: Epoll,
    stop: EventFd,
}

impl Edges {
    /// With no ring in it.
    ///
    /// # Errors
    ///
    /// What the operating system says; there may be no descriptor left.
    pub(crate) fn new() -> io::Result<Edges> {
        let edges = Edges { epoll: Epoll::new()?, stop: EventFd::new()? };
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

    /// Waits for an edge: the slot and the generation of the ring from which it came. One at a time,
    /// because whoever waits may go away with it; the others stay for the next. `None` after a
    /// signal, and once after [`stop`](Self::stop).
    ///
    /// # Errors
    ///
    /// What the operating system says; there is nothing to wait for any more.
    pub(crate) fn wait(&self) -> io::Result<Option<(SlotId, u64)>> {
        let mut events = [Event::EMPTY; 1];
        let edges = self.epoll.wait(&mut events, None)?;
        Ok(edges.first().map(Event::data).filter(|data| *data != STOP).map(|data| {
            let slot = data & ((1 << SLOT_BITS) - 1);
            (slot as SlotId, data >> SLOT_BITS)
        }))
    }

    /// Ends the wait; the flag that says why is up before.
    pub(crate) fn stop(&self) {
        self.stop.wake();
    }
}
