//! What a thread notes of its polls and calls, for the flight recorder and for those who look at what
//! takes long; if nobody wants to know, nothing.
//!
//! A look at the clock is what costs most of it. So it is one at the processor's counter, if that can be
//! ([`Stopwatch`]), and there is one for a poll: where it ends, the next
//! begins, unless the thread has done more in between than take a task from its own queue
//! ([`Log::lapse`]). A wake has none of its own: it is noted for the time of the last look, unless the
//! kernel's clock has ticked since.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::stopwatch::Stopwatch;
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
    stopwatch: Stopwatch,
    /// When it last looked at the clock. It never goes back.
    last: Cell<u64>,
    /// Not too much has happened since.
    fresh: Cell<bool>,
    /// Where the last task was spawned, and the row of that site.
    place: Cell<Option<(&'static Location<'static>, u32)>>,
}

impl<'a> Log<'a> {
    /// Of the calling thread.
    pub(super) fn new(shared: &'a Shared, slot: &'a Slot) -> Self {
        let watched = &shared.watched;
        let pen = watched.recorder.as_ref().map(|recorder| recorder.pen(tid()));
        let stopwatch = Stopwatch::new(watched.counts);
        let (last, fresh, place) = (Cell::new(0), Cell::new(false), Cell::new(None));
        Log { on: watched.is_on(), watched, slot, pen, stopwatch, last, fresh, place }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Time has passed of which no poll is to have a part.
    #[inline]
    pub(crate) fn lapse(&self) {
        self.fresh.set(false);
    }

    /// Somebody has looked at the clock, for another reason.
    pub(crate) fn looked(&self, now: Instant) {
        if self.on {
            let _noted = self.note_look(self.since_birth(now));
        }
    }

    /// When the clock was last looked at; now, if too much has happened since. Out of the way of those
    /// that note nothing.
    #[cold]
    pub(crate) fn last_look(&self) -> Instant {
        if self.fresh.get() { self.instant(self.last.get()) } else { Instant::now() }
    }

    /// What time it is, by the clock that polls are noted with.
    pub(super) fn now(&self) -> Instant {
        self.instant(self.look())
    }

    fn instant(&self, since_birth: u64) -> Instant {
        self.watched.born + Duration::from_nanos(since_birth)
    }

    /// Looks at the clock.
    #[inline]
    fn look(&self) -> u64 {
        self.note_look(self.stopwatch.now(|| self.clock()))
    }

    /// Seldom asked where there is a counter, and not worth the room in each poll where there is none.
    #[inline(never)]
    fn clock(&self) -> u64 {
        nanos().wrapping_sub(self.watched.born_at)
    }

    #[inline]
    fn note_look(&self, now: u64) -> u64 {
        // A span that begins where another ends begins no sooner. 0 is no time at all.
        let now = now.max(self.last.get()).max(1);
        self.last.set(now);
        self.fresh.set(true);
        now
    }

    fn since_birth(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.watched.born);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// A poll begins: when.
    pub(crate) fn begin(&self) -> u64 {
        let begun = if self.fresh.get() { self.last.get() } else { self.look() };
        // Ordering: Relaxed, here and below; whoever looks, looks again.
        self.slot.begun.store(begun, Ordering::Relaxed);
        begun
    }

    /// It has ended, and has lost its core so many times. How many nanoseconds it was.
    pub(crate) fn end(&self, begun: u64, losses: u32) -> u64 {
        let end = self.look();
        self.slot.begun.store(0, Ordering::Relaxed);
        let task = || self.slot.task.load(Ordering::Relaxed);
        let lasted = end.saturating_sub(begun);
        if let Some(book) = &self.watched.book {
            book.polled(task(), Duration::from_nanos(lasted));
        }
        if let Some(pen) = &self.pen {
            pen.polled(task(), self.row(), losses, (begun, lasted));
        }
        lasted
    }

    /// The row of the site where the task was spawned that this thread polls. 0: of none.
    fn row(&self) -> u32 {
        let Some(place) = self.slot.spawned_at.get() else { return 0 };
        match self.place.get() {
            Some((last, row)) if ptr::eq(last, place) => row,
            _ => self.other_row(place),
        }
    }

    #[cold]
    fn other_row(&self, place: &'static Location<'static>) -> u32 {
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
            last if self.fresh.get() && tick <= last => last,
            _ => self.look(),
        };
        pen.woke(at, task.number(), self.slot.task.load(Ordering::Relaxed));
    }
}
