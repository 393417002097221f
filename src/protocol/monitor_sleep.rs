//! How the monitor sleeps: for a while, or, when every seat sleeps, until one wakes.
//!
//! The monitor (V1) says that it sleeps, (V2) fences, (V3) looks once more whether every seat
//! sleeps, and only then sleeps without an end. A seat that wakes has (W1) claimed its
//! core; it (W2) fences, and (W3) looks whether the monitor sleeps, to wake it. The two fences have
//! an order. V2 first: then W3 sees what V1 wrote, and wakes. W2 first: then V3 sees what W1 wrote,
//! and there is no sleep. So no seat runs unwatched.

use std::time::Duration;

use crate::primitive::park::Parker;
use crate::primitive::{AtomicBool, Ordering, full_fence};

/// The monitor's sleep.
#[derive(Debug)]
pub(crate) struct MonitorSleep {
    parker: Parker,
    /// It sleeps without an end, or is about to.
    asleep: AtomicBool,
}

impl MonitorSleep {
    pub(crate) fn new() -> Self {
        MonitorSleep { parker: Parker::new(), asleep: AtomicBool::new(false) }
    }

    /// Has the monitor look at once.
    pub(crate) fn ring(&self) {
        let _ = self.parker.unpark();
    }

    /// W2 and W3, by a seat that has woken.
    pub(crate) fn seat_woke(&self) {
        full_fence!("monitor-fence-w");
        if self.asleep.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    /// By the monitor: for `pause`, or until it is rung.
    pub(crate) fn sleep(&self, pause: Duration) {
        self.parker.park(Some(pause));
    }

    /// V1 to V3, by the monitor: until it is rung, unless `quiet` is no longer so.
    pub(crate) fn sleep_while(&self, quiet: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::Relaxed);
        full_fence!("monitor-fence-v");
        if quiet() {
            self.parker.park(None);
        }
        self.asleep.store(false, Ordering::Relaxed);
    }
}
