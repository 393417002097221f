//! How a waiting driver is woken, and why no wake-up is lost.
//!
//! One word with three states:
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | `IDLE` | nobody waits and nobody asked for a wake-up | `begin`, `notify` |
//! | `WAITING` | the holder of the driver waits, or is about to | `end`, `notify` |
//! | `NOTIFIED` | a wake-up was asked for and not yet consumed | `begin`, `end` |
//!
//! The driver: (D1) `begin`: `IDLE` to `WAITING`, or, from `NOTIFIED`, back to `IDLE` and no
//! waiting; (D2) a fence; (D3) it reads the earliest deadline; (D4) it waits; (D5) `end`: `IDLE`.
//!
//! **Unpark** is `notify`: (U1) swap to `NOTIFIED`; (U2) if the old state was `WAITING`, write to
//! the eventfd. All writes of the word are read-modify-writes, so they have one order. U1 comes
//! before D1: then D1 finds `NOTIFIED` and does not wait. U1 comes between D1 and D5: it finds
//! `WAITING`, and U2 ends the wait, whether it has begun or not, because the eventfd stays readable
//! until the driver's poll has reported it. U1 comes after D5: the turn is over, and the token
//! stays for the next. A second `notify` finds `NOTIFIED` and needs no system call: the first one
//! makes it. A late U2 can only end a later wait early. What happened before U1 is visible after
//! the D1 or D5 that consumes it (release and acquire), so whoever turns the driver and looks at
//! the queues *after* each turn misses nothing.
//!
//! **An earlier timer** must shorten a wait, but need not leave a token behind if nobody waits.
//! The inserter: (T1) writes the new earliest deadline; (T2) a fence; (T3) `is_waiting` reads the
//! word; if it is `WAITING`, `notify`. The fences D2 and T2 have an order. D2 first: then T3 reads
//! what D1 wrote or something newer. It is `WAITING`, and the driver is woken; or the word moved
//! on, by D5 (the wait is over; the next one has its own D2) or by another `notify` (which wakes
//! the driver). T2 first: then D3 reads what T1 wrote or something newer, and waits no longer than
//! for that. So no wait outlasts a timer inserted before or during it.

use crate::primitive::{AtomicU32, Ordering, fence};

const IDLE: u32 = 0;
const WAITING: u32 = 1;
const NOTIFIED: u32 = 2;

/// What [`Parking::begin`] tells the driver to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Begin {
    /// Wait, then call [`Parking::end`].
    Wait,
    /// A wake-up was pending and is now consumed: look without waiting.
    Skip,
}

/// What [`Parking::notify`] leaves to be done.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Notify {
    /// Somebody waits and this call is the one that has to wake it.
    Wake,
    /// Nobody waits, or somebody else is already waking it.
    Nothing,
}

/// The word described above.
#[derive(Debug)]
pub(super) struct Parking {
    state: AtomicU32,
}

impl Parking {
    pub(super) fn new() -> Self {
        Self { state: AtomicU32::new(IDLE) }
    }

    /// D1 and D2. Only the holder of the driver calls it.
    pub(super) fn begin(&self) -> Begin {
        // Ordering: Acquire of a token pairs with the release in `notify`.
        let begun = self.state.compare_exchange(IDLE, WAITING, Ordering::AcqRel, Ordering::Acquire);
        if let Err(state) = begun {
            assert_eq!(state, NOTIFIED, "two threads turn one driver");
            self.end();
            return Begin::Skip;
        }
        // Ordering: D2, pairs with T2 in `is_waiting`.
        #[cfg(not(threadlet_break = "driver-fence-d"))]
        fence(Ordering::SeqCst);
        Begin::Wait
    }

    /// D5.
    pub(super) fn end(&self) {
        // Ordering: Acquire pairs with the release in `notify`, whose token this may consume.
        self.state.swap(IDLE, Ordering::AcqRel);
    }

    /// U1. The caller does U2.
    pub(super) fn notify(&self) -> Notify {
        // Ordering: Release pairs with the acquire in `begin` and `end`.
        match self.state.swap(NOTIFIED, Ordering::AcqRel) {
            WAITING => Notify::Wake,
            _ => Notify::Nothing,
        }
    }

    /// T2 and T3.
    pub(super) fn is_waiting(&self) -> bool {
        // Ordering: T2, pairs with D2 in `begin`; the load itself needs nothing more.
        #[cfg(not(threadlet_break = "driver-fence-t"))]
        fence(Ordering::SeqCst);
        self.state.load(Ordering::Relaxed) == WAITING
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_until_it_is_consumed() {
        let parking = Parking::new();
        assert_eq!(parking.notify(), Notify::Nothing);
        assert_eq!(parking.notify(), Notify::Nothing);
        assert_eq!(parking.begin(), Begin::Skip);
        assert_eq!(parking.begin(), Begin::Wait);
        assert!(parking.is_waiting());
        assert_eq!(parking.notify(), Notify::Wake);
        assert_eq!(parking.notify(), Notify::Nothing);
        parking.end();
        assert!(!parking.is_waiting());
        assert_eq!(parking.begin(), Begin::Wait);
    }
}

#[cfg(all(test, threadlet_loom))]
mod models {
    use super::*;
    use crate::primitive::{Arc, AtomicU64};
    use loom::sync::{Condvar, Mutex};

    /// Stands for the eventfd: it stays readable until the wait has seen it.
    struct EventFd(Mutex<bool>, Condvar);

    impl EventFd {
        fn write(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_one();
        }

        fn wait(&self) {
            let mut readable = self.0.lock().unwrap();
            while !*readable {
                readable = self.1.wait(readable).unwrap();
            }
            *readable = false;
        }
    }

    /// Work is published, then the driver is unparked. A driver that checks and waits must end:
    /// loom reports a wait that nobody ends as a deadlock.
    #[test]
    fn unpark_is_never_lost() {
        loom::model(|| {
            let parking = Arc::new(Parking::new());
            let fd = Arc::new(EventFd(Mutex::new(false), Condvar::new()));
            let work = Arc::new(AtomicU64::new(0));
            let (parking2, fd2, work2) = (parking.clone(), fd.clone(), work.clone());
            let other = loom::thread::spawn(move || {
                work2.store(1, Ordering::Relaxed);
                if parking2.notify() == Notify::Wake {
                    fd2.write();
                }
            });
            while work.load(Ordering::Relaxed) == 0 {
                if parking.begin() == Begin::Wait {
                    fd.wait();
                    parking.end();
                }
            }
            other.join().unwrap();
        });
    }

    /// A timer becomes the earliest while the driver decides how long to wait. It either sees the
    /// timer or is woken.
    #[test]
    fn an_earlier_timer_is_seen_or_wakes() {
        loom::model(|| {
            let parking = Arc::new(Parking::new());
            let fd = Arc::new(EventFd(Mutex::new(false), Condvar::new()));
            let next = Arc::new(AtomicU64::new(u64::MAX));
            let (parking2, fd2, next2) = (parking.clone(), fd.clone(), next.clone());
            let other = loom::thread::spawn(move || {
                next2.store(7, Ordering::Relaxed);
                if parking2.is_waiting() && parking2.notify() == Notify::Wake {
                    fd2.write();
                }
            });
            if parking.begin() == Begin::Wait {
                if next.load(Ordering::Relaxed) == u64::MAX {
                    fd.wait();
                }
                parking.end();
            }
            other.join().unwrap();
        });
    }
}
