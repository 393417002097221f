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

    /// Waits, and calls `f` for each edge, with the slot and the generation of its ring. `false`:
    /// there is nothing to wait for any more.
    pub(crate) fn wait(&self, mut f: impl FnMut(SlotId, u64)) -> bool {
        let mut events = [Event::EMPTY; 32];
        let Ok(edges) = self.epoll.wait(&mut events, None) else { return false };
        for event in edges {
            if event.data() == STOP {
                return false;
            }
            let slot = event.data() & ((1 << SLOT_BITS) - 1);
            f(slot as SlotId, event.data() >> SLOT_BITS);
        }
        true
    }

    /// Ends the wait, for ever.
    pub(crate) fn stop(&self) {
        self.stop.wake();
    }
}
