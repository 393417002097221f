//! Who sleeps, and whom a new task wakes.
#![doc = include_str!("../../docs/internals/idle.md")]

use super::core::SlotId;
use crate::primitive::{AtomicUsize, Mutex, Ordering, full_fence};

const SEARCHING_BITS: u32 = usize::BITS / 2;
const ONE_AWAKE: usize = 1 << SEARCHING_BITS;

/// A sleeping seat, and the thread that put it to sleep: the seat alone does not say whose entry
/// this is, because a coreless thread may claim it and go to sleep with it itself, all before the
/// first sleeper has woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sleeper {
    pub(crate) seat: usize,
    pub(crate) slot: SlotId,
    in_driver: bool,
}

/// The list of sleeping seats, and one word that says how many are awake and how many search.
#[derive(Debug)]
pub(crate) struct Idle {
    /// Awake seats in the upper half, searching ones in the lower.
    counts: AtomicUsize,
    sleepers: Mutex<Sleepers>,
    seats: usize,
}

#[derive(Debug)]
struct Sleepers {
    list: Vec<Sleeper>,
    /// Threads whose seats were taken off the list for a coreless thread, and which have not
    /// noticed yet.
    robbed: Vec<SlotId>,
}

/// What a sleeper finds when it wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Roused {
    /// It was still on the list: it is awake for a reason of its own, and does not search.
    Itself,
    /// It was taken off the list to be woken: it counts as awake and searching.
    Notified,
    /// A coreless thread claimed its core: it has none.
    Claimed,
}

impl Idle {
    /// All seats begin awake.
    pub(crate) fn new(seats: usize) -> Self {
        Idle {
            counts: AtomicUsize::new(seats * ONE_AWAKE),
            sleepers: Mutex::new(Sleepers { list: Vec::with_capacity(seats), robbed: Vec::new() }),
            seats,
        }
    }

    /// After a push: the sleeper to wake for it, if somebody should be woken. Its seat is awake and
    /// searching from here on.
    #[inline]
    #[must_use]
    pub(crate) fn notify(&self) -> Option<Sleeper> {
        // Fence A of the proof: the push before it, the counts after it. Partner: fence B.
        full_fence!("idle-fence-a");
        if self.nobody_needed() { None } else { self.wake_one() }
    }

    #[inline]
    fn nobody_needed(&self) -> bool {
        let counts = self.counts.load(Ordering::Relaxed);
        !counts.is_multiple_of(ONE_AWAKE) || counts / ONE_AWAKE == self.seats
    }

    #[cold]
    fn wake_one(&self) -> Option<Sleeper> {
        let mut sleepers = self.sleepers.lock();
        if self.nobody_needed() {
            return None;
        }
        // A seat that sleeps in the driver stays there while another can be had: somebody has to
        // look after timers and I/O.
        let list = &mut sleepers.list;
        let nth = list.iter().rposition(|s| !s.in_driver).or(list.len().checked_sub(1))?;
        self.counts.fetch_add(ONE_AWAKE + 1, Ordering::Relaxed);
        Some(list.remove(nth))
    }

    /// Whether this seat may begin to search: not more than half of all seats do at once.
    pub(crate) fn start_search(&self) -> bool {
        let counts = self.counts.load(Ordering::Relaxed);
        if 2 * (counts % ONE_AWAKE) >= self.seats {
            return false;
        }
        self.begin_search();
        true
    }

    /// This seat searches, however many do: it has seen work, and must not sleep on it.
    pub(crate) fn begin_search(&self) {
        self.counts.fetch_add(1, Ordering::Relaxed);
    }

    /// A searching seat found work. `true`: it was the last that searched. If it sees any more work
    /// behind this, it owes a [`notify`]: a push that saw it searching has left its wake-up to it.
    ///
    /// [`notify`]: Idle::notify
    #[must_use]
    pub(crate) fn end_search(&self) -> bool {
        let before = self.counts.fetch_sub(1, Ordering::Relaxed);
        if before % ONE_AWAKE != 1 {
            return false;
        }
        // Fence C of the proof: the counts before it, the look at the queues after it. Partner:
        // fence A.
        full_fence!("idle-fence-c");
        true
    }

    /// Announces that a seat goes to sleep with the thread in `slot`. Afterwards that thread looks
    /// at every queue once more, and takes the announcement back by [`rouse`](Idle::rouse) if one
    /// is not empty.
    pub(crate) fn announce(&self, seat: usize, slot: SlotId, in_driver: bool, searching: bool) {
        let mut sleepers = self.sleepers.lock();
        debug_assert!(sleepers.list.iter().all(|s| s.seat != seat && s.slot != slot));
        sleepers.list.push(Sleeper { seat, slot, in_driver });
        self.counts.fetch_sub(ONE_AWAKE + usize::from(searching), Ordering::Relaxed);
        drop(sleepers);
        // Fence B of the proof: the counts before it, the look at the queues after it. Partner:
        // fence A.
        full_fence!("idle-fence-b");
    }

    /// A sleeper is awake, for whatever reason: the list says which, and no longer holds it.
    pub(crate) fn rouse(&self, slot: SlotId) -> Roused {
        let mut sleepers = self.sleepers.lock();
        if let Some(nth) = sleepers.list.iter().position(|s| s.slot == slot) {
            sleepers.list.swap_remove(nth);
            self.counts.fetch_add(ONE_AWAKE, Ordering::Relaxed);
            return Roused::Itself;
        }
        match sleepers.robbed.iter().position(|robbed| *robbed == slot) {
            Some(nth) => {
                sleepers.robbed.swap_remove(nth);
                Roused::Claimed
            }
            _ => Roused::Notified,
        }
    }

    /// Takes one sleeping seat off the list for a coreless thread, which claims its core and wakes
    /// the sleeper, which has none now. The one in the driver stays.
    pub(crate) fn take_for_claim(&self) -> Option<Sleeper> {
        if self.all_awake() {
            return None;
        }
        let mut sleepers = self.sleepers.lock();
        let nth = sleepers.list.iter().rposition(|s| !s.in_driver)?;
        self.counts.fetch_add(ONE_AWAKE, Ordering::Relaxed);
        let sleeper = sleepers.list.remove(nth);
        sleepers.robbed.push(sleeper.slot);
        Some(sleeper)
    }

    /// Whether no seat sleeps; a hint.
    pub(crate) fn all_awake(&self) -> bool {
        self.counts.load(Ordering::Relaxed) / ONE_AWAKE == self.seats
    }

    /// Whether every seat sleeps; a hint.
    pub(crate) fn all_asleep(&self) -> bool {
        self.counts.load(Ordering::Relaxed) / ONE_AWAKE == 0
    }

    /// Whether a seat sleeps in the driver, and another seat that could be sent there, if any.
    pub(crate) fn driver_watch(&self) -> DriverWatch {
        let mut sleepers = self.sleepers.lock();
        if sleepers.list.iter().any(|s| s.in_driver) {
            return DriverWatch::Attended;
        }
        match sleepers.list.pop() {
            None => DriverWatch::AllBusy,
            Some(sleeper) => {
                self.counts.fetch_add(ONE_AWAKE + 1, Ordering::Relaxed);
                DriverWatch::Send(sleeper)
            }
        }
    }
}

/// Who looks after the driver while cores are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DriverWatch {
    /// A seat sleeps in it.
    Attended,
    /// Nobody sleeps: busy workers look at it in passing.
    AllBusy,
    /// This one was asleep elsewhere; it has been taken off the list and is to be woken.
    Send(Sleeper),
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_late_sleeper_does_not_take_the_next_ones_place() {
        let idle = Idle::new(1);
        idle.announce(0, 10, false, false);
        let taken = idle.take_for_claim().expect("one sleeps");
        assert_eq!((taken.seat, taken.slot), (0, 10));
        // The claimer goes to sleep with the seat before the first sleeper has woken.
        idle.announce(0, 20, false, false);
        assert_eq!(idle.rouse(10), Roused::Claimed, "the entry on the list is another thread's");
        assert_eq!(idle.rouse(20), Roused::Itself);
    }

    #[test]
    fn the_sleeper_in_the_driver_is_woken_last() {
        let idle = Idle::new(2);
        idle.announce(0, 10, true, false);
        idle.announce(1, 11, false, false);
        assert_eq!(idle.notify().map(|sleeper| sleeper.slot), Some(11));
        assert_eq!(idle.notify(), None, "the one that was woken searches");
        assert_eq!(idle.rouse(11), Roused::Notified);
        assert!(idle.end_search(), "the last that searched wakes another");
        assert_eq!(idle.notify().map(|sleeper| sleeper.slot), Some(10));
    }
}
