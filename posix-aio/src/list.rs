//! A call of `lio_listio`: several requests, and one who wants to know when all are finished.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::sys::{self, Event, Waited};

#[derive(Debug)]
pub(crate) struct List {
    /// Unfinished requests, and one for the call itself.
    left: AtomicUsize,
    /// Whether one has failed.
    failed: AtomicBool,
    /// 1 when all are finished.
    finished: AtomicU32,
    event: Option<Event>,
}

/// A signal came first.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl List {
    pub(crate) fn new(event: Option<Event>) -> List {
        List {
            left: AtomicUsize::new(1),
            failed: AtomicBool::new(false),
            finished: AtomicU32::new(0),
            event,
        }
    }

    /// One more, before it is started.
    pub(crate) fn add(&self) {
        // Ordering: Relaxed, without a partner; the call has a share of its own until it has added
        // all, so this is not the last.
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// One less. If that was the last: of what the program is to be told, unless it waits.
    #[must_use = "the program is to be told"]
    pub(crate) fn one_finished(&self, failed: bool) -> Option<&Event> {
        if failed {
            // Ordering: Relaxed; the subtraction below brings it to the last one, and `finished`
            // from there to `wait`.
            self.failed.store(true, Ordering::Relaxed);
        }
        // Ordering: AcqRel. Partner: the same of the others; the last has seen what all have done.
        if self.left.fetch_sub(1, Ordering::AcqRel) != 1 {
            return None;
        }
        // Ordering: Release. Partner: the load in `are_finished`.
        self.finished.store(1, Ordering::Release);
        if self.event.is_none() {
            sys::wake(&self.finished);
        }
        self.event.as_ref()
    }

    fn are_finished(&self) -> bool {
        // Ordering: Acquire. Partner: the store in `one_finished`.
        self.finished.load(Ordering::Acquire) == 1
    }

    /// Waits for all. `Ok`: whether one has failed.
    pub(crate) fn wait(&self) -> Result<bool, Interrupted> {
        while !self.are_finished() {
            let waited = sys::wait(&self.finished, 0, None);
            if waited == Waited::Signal && !self.are_finished() {
                return Err(Interrupted);
            }
        }
        // Ordering: Relaxed, behind the load in `are_finished`.
        Ok(self.failed.load(Ordering::Relaxed))
    }
}
