//! What a thread notes of its polls and calls, for the flight recorder and for those who look at what
//! takes long; if nobody wants to know, nothing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::observe::recorder::{How, Pen};
use crate::observe::site::{Site, UNMARKED};
use crate::shared::slot::Slot;
use crate::shared::{Shared, Watched};
use crate::spawned::Id;
use crate::sys::thread::tid;

/// A thread's notes. It belongs to that thread.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    /// Whether anybody wants to know. Never changes.
    on: bool,
    watched: &'a Watched,
    slot: &'a Slot,
    pen: Option<Pen<'a>>,
}

impl<'a> Log<'a> {
    /// Of the calling thread.
    pub(super) fn new(shared: &'a Shared, slot: &'a Slot) -> Self {
        let watched = &shared.watched;
        let pen = watched.recorder.as_ref().map(|recorder| recorder.pen(tid()));
        Log { on: watched.is_on(), watched, slot, pen }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// A poll begins, now.
    pub(crate) fn begin(&self) -> Instant {
        let now = Instant::now();
        let since = now.saturating_duration_since(self.watched.born);
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // Ordering: Relaxed, here and below; whoever looks, looks again.
        self.slot.begun.store(nanos.max(1), Ordering::Relaxed);
        now
    }

    /// It has ended, and has lost its core so many times.
    pub(crate) fn end(&self, begun: Instant, end: Instant, losses: u32) {
        self.slot.begun.store(0, Ordering::Relaxed);
        if let Some(book) = &self.watched.book {
            let task = self.slot.task.load(Ordering::Relaxed);
            book.polled(task, end.saturating_duration_since(begun));
        }
        if let Some(pen) = &self.pen {
            let task = self.slot.task.load(Ordering::Relaxed);
            let site = self.slot.spawned_at.get().map(|place| Site::at(place, UNMARKED));
            pen.polled(task, site, losses, (begun, end));
        }
    }

    /// A call that took long, or lost its core, from `begin` to now.
    pub(crate) fn called(&self, site: &'static Site, how: How, begin: Instant) {
        if let Some(pen) = &self.pen {
            pen.called(self.slot.task.load(Ordering::Relaxed), site, how, begin);
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
        if let Some(pen) = &self.pen {
            pen.woke(task.number(), self.slot.task.load(Ordering::Relaxed));
        }
    }
}
