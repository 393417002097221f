//! How a waiting driver is woken, and why no wake-up is lost.
//!
//! One word with four states:
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | `IDLE` | nobody waits and nobody asked for a wake-up | `begin`, `notify` |
//! | `ON_FUTEX` | the holder of the driver waits on this word, or is about to | `end`, `notify` |
//! | `IN_POLLER` | the holder waits in the poller, or is about to | `end`, `notify` |
//! | `NOTIFIED` | a wake-up was asked for and not yet consumed | `begin`, `end` |
//!
//! The two in the middle are one to the proofs of the first two paragraphs: *waiting*.
//!
//! The driver: (D0) it looks whether there is a poller; (D1) `begin`: `IDLE` to one of the waiting
//! states, by what D0 saw, or, from `NOTIFIED`, back to `IDLE` and no waiting; (D2) a fence; (D3)
//! it reads the earliest deadline; (D4) it waits; (D5) `end`: `IDLE`.
//!
//! **Unpark** is `notify`: (U1) swap to `NOTIFIED`; (U2) if the old state was a waiting one, wake
//! by its means: the futex, or a write to the poller's eventfd. All writes of the word are
//! read-modify-writes, so they have one order. U1 comes before D1: then D1 finds `NOTIFIED` and
//! does not wait. U1 comes between D1 and D5: it finds how the driver waits, and U2 ends the wait,
//! whether it has begun or not: the kernel does not begin to wait on a word that has changed, and
//! the eventfd stays readable until the driver's poll has reported it. U1 comes after D5: the turn
//! is over, and the token stays for the next. A second `notify` finds `NOTIFIED` and needs no
//! system call: the first one makes it. A late U2 can only end a later wait early, or wakes nobody.
//! What happened before U1 is visible after the D1 or D5 that consumes it (release and acquire), so
//! whoever turns the driver and looks at the queues *after* each turn misses nothing.
//!
//! **An earlier timer** must shorten a wait, but need not leave a token behind if nobody waits. The
//! inserter: (T1) writes the new earliest deadline; (T2) a fence; (T3) `is_waiting` reads the word;
//! if it is a waiting one, `notify`. The fences D2 and T2 have an order. D2 first: then T3 reads
//! what D1 wrote or something newer. It is waiting, and the driver is woken; or the word moved on,
//! by D5 (the wait is over; the next one has its own D2) or by another `notify` (which wakes the
//! driver). T2 first: then D3 reads what T1 wrote or something newer, and waits no longer than for
//! that. So no wait outlasts a timer inserted before or during it. (The one that D3 reads may be
//! that of a timer which has been taken out since: an inserter that does not come before it does
//! nothing, because no wait lasts longer than until then.)
//!
//! **The first source** brings the poller, and a driver that waits on the futex would not hear of
//! its events. Who registers it: (R1) publishes the poller; (R2) `notify`. Take a wait on the
//! futex, from D1 to D5. R2 comes between the two in the order of the word: then it, or the
//! `notify` that has overtaken it, ends the wait. R2 comes after D5: the wait is over. R2 comes
//! before D1: then the token of R2 has been consumed, or D1 would have found it, by an earlier D1
//! or D5. That acquired what R1 published (other `notify`s in between are read-modify-writes, and
//! pass it on), and it was of an earlier turn, by this thread or by one that has put the driver
//! back since: so it comes before D0, which then saw the poller, and this is no wait on the futex.
//! So from R2 on, no wait on the futex goes on or begins. Events that came meanwhile are in the
//! poller, and are found by the first wait there. A timer is T1 to T3 by either means; a turn that
//! does not wait (`Some(ZERO)`) consumes no token, and takes part in none of this.
//!
//! **The eventfd is there** for a U2 that writes to it: U1 has found `IN_POLLER`, and so acquired
//! what D0 had seen.
//!
//! In a child of `fork` nobody turns the parent's driver. The futex is private to the process: a U2
//! there wakes nobody.

use std::time::Duration;

use crate::primitive::{AtomicU32, Ordering, Sleep, full_fence, weakened};

const IDLE: u32 = 0;
const ON_FUTEX: u32 = 1;
const IN_POLLER: u32 = 2;
const NOTIFIED: u32 = 3;

/// How the driver waits, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// By [`Parking::sleep`]: there is no poller yet.
    Futex,
    /// In the poller.
    Poller,
}

/// What [`Parking::begin`] tells the driver to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Begin {
    /// Wait, then call [`Parking::end`].
    Wait,
    /// A wake-up was pending and is now consumed: look without waiting.
    Skip,
}

/// What [`Parking::notify`] leaves to be done.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Notify {
    /// Nobody waits, or somebody else is already waking it.
    Nothing,
    /// The driver waited on the futex and has been woken.
    Woken,
    /// The driver waits in the poller, and the caller is the one that has to wake it there.
    WakePoller,
}

/// The word described above.
#[derive(Debug)]
pub(crate) struct Parking {
    state: AtomicU32,
    sleep: Sleep,
}

impl Parking {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(IDLE), sleep: Sleep::new() }
    }

    /// D1 and D2. Only the holder of the driver calls it.
    pub(crate) fn begin(&self, means: Means) -> Begin {
        let waiting = match means {
            Means::Futex => ON_FUTEX,
            Means::Poller => IN_POLLER,
        };
        // Ordering: Acquire of a token pairs with the release in `notify`; Release, of what D0 saw,
        // with the acquire there.
        let begun = self.state.compare_exchange(IDLE, waiting, Ordering::AcqRel, Ordering::Acquire);
        if let Err(state) = begun {
            assert_eq!(state, NOTIFIED, "two threads turn one driver");
            self.end();
            return Begin::Skip;
        }
        // Ordering: D2, pairs with T2 in `is_waiting`.
        full_fence!("driver-fence-d");
        Begin::Wait
    }

    /// D4 on the futex: until a `notify`, for at most `timeout`. It may end early, by a signal.
    /// (The kernel may also go on with a wait without bound behind a signal's handler. What the
    /// handler did to the word is seen then.)
    pub(crate) fn sleep(&self, timeout: Option<Duration>) {
        let _in_time = self.sleep.wait(&self.state, ON_FUTEX, timeout);
    }

    /// D5.
    pub(crate) fn end(&self) {
        // Ordering: Acquire pairs with the release in `notify`, whose token this may consume.
        self.state.swap(IDLE, Ordering::AcqRel);
    }

    /// U1, and U2 if it is on the futex. The caller does the other U2.
    pub(crate) fn notify(&self) -> Notify {
        // Ordering: Release pairs with the acquire in `begin` and `end`; Acquire with the release
        // in `begin`: who is told to wake the poller sees it.
        match self.state.swap(NOTIFIED, weakened!("driver-notify", Ordering::AcqRel)) {
            ON_FUTEX => {
                self.sleep.wake(&self.state);
                Notify::Woken
            }
            IN_POLLER => Notify::WakePoller,
            _ => Notify::Nothing,
        }
    }

    /// R1, which is `publish`, and R2. What `notify` leaves to be done is the caller's.
    pub(crate) fn bring_poller(&self, publish: impl FnOnce()) -> Notify {
        publish();
        self.notify()
    }

    /// T2 and T3.
    pub(crate) fn is_waiting(&self) -> bool {
        // Ordering: T2, pairs with D2 in `begin`; the load itself needs nothing more.
        full_fence!("driver-fence-t");
        matches!(self.state.load(Ordering::Relaxed), ON_FUTEX | IN_POLLER)
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_until_it_is_consumed() {
        for (means, woken) in [(Means::Futex, Notify::Woken), (Means::Poller, Notify::WakePoller)] {
            let parking = Parking::new();
            assert_eq!(parking.notify(), Notify::Nothing);
            assert_eq!(parking.notify(), Notify::Nothing);
            assert_eq!(parking.begin(means), Begin::Skip);
            assert_eq!(parking.begin(means), Begin::Wait);
            assert!(parking.is_waiting());
            assert_eq!(parking.notify(), woken);
            assert_eq!(parking.notify(), Notify::Nothing);
            parking.end();
            assert!(!parking.is_waiting());
            assert_eq!(parking.begin(means), Begin::Wait);
        }
    }
}
