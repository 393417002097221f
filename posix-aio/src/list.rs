//! A call of `lio_listio`: several requests, and one who wants to know when all are finished.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::notify::notify;
use crate::user::{self, Event, Waited};

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
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn one_finished(&self, failed: bool, in_call: bool) {
        if failed {
            self.failed.store(true, Ordering::Relaxed);
        }
        // Ordering: AcqRel; the last one has seen what all others did.
        if self.left.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        self.finished.store(1, Ordering::Release);
        match &self.event {
            Some(event) => notify(event, in_call),
            None => user::wake(&self.finished),
        }
    }

    /// Waits for all; false: a signal came first. `Ok`: whether one has failed.
    pub(crate) fn wait(&self) -> Result<bool, ()> {
        while self.finished.load(Ordering::Acquire) == 0 {
            let ended = || self.finished.load(Ordering::Acquire) == 1;
            if user::wait(&self.finished, 0, None) == Waited::Signal && !ended() {
                return Err(());
            }
        }
        Ok(self.failed.load(Ordering::Relaxed))
    }
}
