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

/// A pause so long that a block is better not left to its end.
const DOZE: Duration = Duration::from_micros(600);

/// The monitor's sleep.
#[derive(Debug)]
pub(crate) struct MonitorSleep {
    parker: Parker,
    /// It sleeps without an end, or is about to.
    asleep: AtomicBool,
    /// Its pause is a long one.
    dozes: AtomicBool,
}

impl MonitorSleep {
    pub(crate) fn new() -> Self {
        MonitorSleep {
            parker: Parker::new(),
            asleep: AtomicBool::new(false),
            dozes: AtomicBool::new(false),
        }
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

    /// A long pause is over: a call may well block that nobody else would hear of. One load, if
    /// there is no such pause.
    pub(crate) fn end_doze(&self) {
        // Ordering: a hint. A pause that begins just now is ended by the next such call.
        if self.dozes.load(Ordering::Relaxed) && self.dozes.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// By the monitor: for `pause`, or until it is rung. Says whether it was a long pause that
    /// [`end_doze`](Self::end_doze) has ended.
    pub(crate) fn sleep(&self, pause: Duration) -> bool {
        let dozes = pause >= DOZE;
        // Ordering: a hint, see `end_doze`. The swaps see to it that one of both ends the pause.
        if dozes {
            self.dozes.store(true, Ordering::Relaxed);
        }
        self.parker.park(Some(pause));
        dozes && !self.dozes.swap(false, Ordering::Relaxed)
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

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::MonitorSleep;

    #[test]
    fn a_long_pause_is_ended_and_a_short_one_is_not() {
        let sleep = MonitorSleep::new();
        sleep.end_doze();
        assert!(!sleep.sleep(Duration::from_micros(20)));
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    sleep.end_doze();
                    thread::yield_now();
                }
            });
            let was_ended = sleep.sleep(Duration::from_secs(3600));
            ended.store(true, Ordering::Relaxed);
            assert!(was_ended);
        });
    }
}
