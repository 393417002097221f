//! Tasks held up in another seat's queue while all seats are busy.
//!
//! A seat that runs out of work steals; one that always has some never would. So tasks in line behind
//! a poll that computes, or at a seat whose thread the kernel has taken off its CPU (a full time slice,
//! if it shares that CPU with another busy thread), would wait for as long as that lasts, beside a
//! neighbour that serves its own. Therefore each seat keeps an eye on one other: one that polls nothing
//! from one look to the next loses half of its queue, as to any thief.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::context::HeldCore;
use crate::primitive::Padded;
use crate::shared::Seat;
use crate::spawned::Runnable;

/// How long a seat must have polled nothing. A poll takes a fraction of it; a time slice of the kernel
/// is ten times as long, and more.
const HELD_UP: Duration = Duration::from_micros(200);

/// What a seat remembers of the one it looks at.
pub(super) struct HeldUp {
    /// The index of that seat.
    seat: usize,
    /// Its `tick` at `since`.
    tick: u32,
    since: Instant,
}

impl HeldUp {
    /// For the seat with `index`, which looks at nobody yet.
    pub(super) fn new(index: usize, now: Instant) -> Self {
        HeldUp { seat: index, tick: 0, since: now }
    }

    /// One of the tasks of a seat that is held up, with the rest of half its queue behind one's own.
    /// Each call looks at the next seat, unless the last look is too short ago.
    pub(super) fn take(
        &mut self,
        core: &HeldCore<'_>,
        seats: &[Padded<Seat>],
        now: Instant,
    ) -> Option<Runnable> {
        if seats.len() == 1 || now.saturating_duration_since(self.since) < HELD_UP {
            return None;
        }
        let (own, watched) = (core.index(), &seats[self.seat]);
        // Ordering: Relaxed, here and below; a hint, and the queue has orderings of its own.
        let stands = watched.tick.load(Ordering::Relaxed) == self.tick;
        let task = if stands && self.seat != own { core.steal_from(&watched.queue) } else { None };
        self.since = now;
        self.seat = (self.seat + 1) % seats.len();
        if self.seat == own {
            self.seat = (self.seat + 1) % seats.len();
        }
        self.tick = seats[self.seat].tick.load(Ordering::Relaxed);
        task
    }
}
