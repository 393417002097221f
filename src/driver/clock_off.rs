//! The clock without the feature `test-util`: that of the system, which nobody stops.

use std::task::Waker;
use std::time::Instant;

use super::Handle;

#[inline]
pub(crate) fn any_was_stopped() -> bool {
    false
}

#[derive(Debug)]
pub(super) struct Clock;

impl Clock {
    pub(super) fn new() -> Self {
        Clock
    }

    #[inline]
    pub(super) fn at(&self, now: Instant) -> Instant {
        now
    }

    #[inline]
    pub(super) fn stands(&self) -> bool {
        false
    }

    pub(super) fn is_quiet(&self) -> bool {
        false
    }

    pub(super) fn jump(&self, _to: Instant) {}

    pub(super) fn anyone_yields(&self) -> bool {
        false
    }

    #[inline]
    pub(super) fn end_yields(&self, _at_rest: bool, _ready: &mut Vec<Waker>) {}
}

impl Handle {
    /// Nobody can ask for it.
    pub(crate) fn begin_stopped(&self) {}

    #[inline]
    pub(crate) fn yield_at(&self, _waker: &Waker) -> bool {
        false
    }

    #[inline]
    pub(crate) fn somebody_rests(&self) {}
}

#[derive(Debug)]
pub(crate) struct Awake;

impl Awake {
    pub(crate) fn new(_driver: &Handle) -> Self {
        Awake
    }

    #[inline]
    pub(crate) fn wake(&self) {}

    #[inline]
    pub(crate) fn begin(&self) {}

    #[inline]
    pub(crate) fn end(&self) {}

    #[inline]
    pub(crate) fn close(&self) {}
}
