//! What a thread notes of its polls and calls, for the flight recorder and for those who look at what
//! takes long; if nobody wants to know, nothing.
//!
//! A look at the clock is what costs most of it. So there is one for a poll: where it ends, the next
//! begins, unless the thread has done more in between than take a task from its own queue
//! ([`Log::lapse`]). A wake has none of its own: it is noted for the time of the last look, unless the
//! kernel's clock has ticked since.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::observe::recorder::{How, Pen};
use crate::observe::site::{Site, UNMARKED};
use crate::shared::slot::Slot;
use crate::shared::{Shared, Watched};
use crate::spawned::Id;
use crate::sys::thread::{nanos, nanos_at_tick, tid};

/// A thread's notes. It belongs to that thread. Times are nanoseconds since the runtime was built.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    /// Whether anybody wants to know. Never changes.
    on: bool,
    watched: &'a Watched,
    slot: &'a Slot,
    pen: Option<Pen<'a>>,
    /// When it last looked at the clock. 0: too much has happened since.
    last: Cell<u64>,
    /// Where the last task was spawned, and the row of that site.
    place: Cell<Option<(&'static Location<'static>, u32)>>,
}

impl<'a> Log<'a> {
    /// Of the calling thread.
    pub(super) fn new(shared: &'a Shared, slot: &'a Slot) -> Self {
        let watched = &shared.watched;
        let pen = watched.recorder.as_ref().map(|recorder| recorder.pen(tid()));
        let (last, place) = (Cell::new(0), Cell::new(None));
        Log { on: watched.is_on(), watched, slot, pen, last, place }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Time has passed of which no poll is to have a part.
    #[inline]
    pub(crate) fn lapse(&self) {
        self.last.set(0);
    }

    /// Somebody has looked at the clock, for another reason.
    pub(crate) fn looked(&self, now: Instant) {
        if self.on {
            self.last.set(self.since_birth(now));
        }
    }

    /// When the clock was last looked at; now, if too much has happened since. Out of the way of those
    /// that note nothing.
    #[cold]
    pub(crate) fn last_look(&self) -> Instant {
        match self.last.get() {
            0 => Instant::now(),
            last => self.watched.born + Duration::from_nanos(last),
        }
    }

    /// Looks at the clock.
    #[inline]
    fn look(&self) -> u64 {
        let now = nanos().wrapping_sub(self.watched.born_at).max(1);
        self.last.set(now);
        now
    }

    fn since_birth(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.watched.born);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// A poll begins: when.
    pub(crate) fn begin(&self) -> u64 {
        let begun = match self.last.get() {
            0 => self.look(),
            last => last,
        };
        // Ordering: Relaxed, here and below; whoever looks, looks again.
        self.slot.begun.store(begun, Ordering::Relaxed);
        begun
    }

    /// It has ended, and has lost its core so many times. How long it was.
    pub(crate) fn end(&self, begun: u64, losses: u32) -> Duration {
        let end = self.look();
        self.slot.begun.store(0, Ordering::Relaxed);
        let task = || self.slot.task.load(Ordering::Relaxed);
        let lasted = Duration::from_nanos(end.saturating_sub(begun));
        if let Some(book) = &self.watched.book {
            book.polled(task(), lasted);
        }
        if let Some(pen) = &self.pen {
            pen.polled(task(), self.row(), losses, (begun, end));
        }
        lasted
    }

    /// The row of the site where the task was spawned that this thread polls. 0: of none.
    fn row(&self) -> u32 {
        let Some(place) = self.slot.spawned_at.get() else { return 0 };
        if let Some((_, row)) = self.place.get().filter(|(last, _)| ptr::eq(*last, place)) {
            return row;
        }
        let row = Site::at(place, UNMARKED).id();
        self.place.set(Some((place, row)));
        row
    }

    /// A call that took long, or lost its core.
    pub(crate) fn called(&self, site: &'static Site, how: How, begin: Instant, lasted: Duration) {
        if let Some(pen) = &self.pen {
            pen.called(self.slot.task.load(Ordering::Relaxed), site, how, (begin, lasted));
        }
    }

    /// A call waited at its gate, from `begin` to now.
    pub(crate) fn waited(&self, site: &'static Site, begin: Instant) {
        if let Some(pen) = &self.pen {
            pen.waited(self.slot.task.load(Ordering::Relaxed), site, begin);
        }
    }

    /// The thread had a core until `end`.
    pub(super) fn had_core(&self, seat: usize, lost: Option<How>, begin: Instant, end: Instant) {
        if let Some(pen) = &self.pen {
            pen.had_core(seat, lost, begin, end);
        }
    }

    /// A timer fired so much too late.
    pub(crate) fn was_late(&self, late: Duration) {
        if let Some(pen) = &self.pen {
            pen.was_late(late);
        }
    }

    /// What this thread polls has woken a task, or spawned it.
    pub(super) fn woke(&self, task: Id) {
        let Some(pen) = &self.pen else { return };
        // The tick is never ahead. Behind the birth it counts as new.
        let tick = nanos_at_tick().wrapping_sub(self.watched.born_at);
        let at = match self.last.get() {
            last if tick <= last => last,
            _ => self.look(),
        };
        pen.woke(at, task.number(), self.slot.task.load(Ordering::Relaxed));
    }
}
