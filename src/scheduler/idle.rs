//! Who sleeps, and whom a new task wakes.
#![doc = include_str!("../../docs/idle.md")]

use crate::primitive::{AtomicUsize, Mutex, Ordering, fence};

const SEARCHING_BITS: u32 = usize::BITS / 2;
const ONE_AWAKE: usize = 1 << SEARCHING_BITS;

/// One sleeping seat.
#[derive(Clone, Copy, Debug)]
struct Sleeper {
    seat: usize,
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
    /// Per seat: it was taken off the list for a coreless thread, not to be woken.
    claimed: Vec<bool>,
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
            sleepers: Mutex::new(Sleepers {
                list: Vec::with_capacity(seats),
                claimed: vec![false; seats],
            }),
            seats,
        }
    }

    /// After a push: the seat to wake for it, if somebody should be woken. That seat is awake and
    /// searching from here on.
    #[inline]
    #[must_use]
    pub(crate) fn notify(&self) -> Option<usize> {
        // Fence A of the proof: the push before it, the counts after it. Partner: fence B.
        #[cfg(not(threadlet_break = "idle-fence-a"))]
        fence(Ordering::SeqCst);
        if self.nobody_needed() { None } else { self.wake_one() }
    }

    #[inline]
    fn nobody_needed(&self) -> bool {
        let counts = self.counts.load(Ordering::Relaxed);
        counts % ONE_AWAKE > 0 || counts / ONE_AWAKE == self.seats
    }

    #[cold]
    fn wake_one(&self) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        if self.nobody_needed() {
            return None;
        }
        // A seat that sleeps in the driver stays there while another can be had: somebody has to
        // look after timers and I/O.
        let list = &mut sleepers.list;
        let nth = list.iter().rposition(|s| !s.in_driver).or(list.len().checked_sub(1))?;
        self.counts.fetch_add(ONE_AWAKE + 1, Ordering::Relaxed);
        Some(list.remove(nth).seat)
    }

    /// Whether this seat may begin to search: not more than half of those awake do at once.
    pub(crate) fn start_search(&self) -> bool {
        let counts = self.counts.load(Ordering::Relaxed);
        if 2 * (counts % ONE_AWAKE) >= self.seats {
            return false;
        }
        self.counts.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// A searching seat found work. `true`: it was the last that searched, and owes a [`notify`]
    /// (a push that saw it searching has left its wake-up to it).
    ///
    /// [`notify`]: Idle::notify
    #[must_use]
    pub(crate) fn end_search(&self) -> bool {
        self.counts.fetch_sub(1, Ordering::SeqCst) % ONE_AWAKE == 1
    }

    /// Announces that a seat goes to sleep. Afterwards its thread looks at every queue once more,
    /// and takes the announcement back by [`rouse`](Idle::rouse) if one is not empty.
    pub(crate) fn announce(&self, seat: usize, in_driver: bool, searching: bool) {
        let mut sleepers = self.sleepers.lock();
        sleepers.list.push(Sleeper { seat, in_driver });
        sleepers.claimed[seat] = false;
        self.counts.fetch_sub(ONE_AWAKE + usize::from(searching), Ordering::Relaxed);
        drop(sleepers);
        // Fence B of the proof: the counts before it, the look at the queues after it. Partner:
        // fence A.
        #[cfg(not(threadlet_break = "idle-fence-b"))]
        fence(Ordering::SeqCst);
    }

    /// A sleeper is awake, for whatever reason: the list says which, and no longer holds it.
    pub(crate) fn rouse(&self, seat: usize) -> Roused {
        let mut sleepers = self.sleepers.lock();
        if let Some(nth) = sleepers.list.iter().position(|s| s.seat == seat) {
            sleepers.list.swap_remove(nth);
            self.counts.fetch_add(ONE_AWAKE, Ordering::Relaxed);
            return Roused::Itself;
        }
        if sleepers.claimed[seat] { Roused::Claimed } else { Roused::Notified }
    }

    /// Takes one sleeping seat off the list for a coreless thread, which claims its core. The one
    /// in the driver stays.
    pub(crate) fn take_for_claim(&self) -> Option<usize> {
        if self.all_awake() {
            return None;
        }
        let mut sleepers = self.sleepers.lock();
        let nth = sleepers.list.iter().rposition(|s| !s.in_driver)?;
        self.counts.fetch_add(ONE_AWAKE, Ordering::Relaxed);
        let seat = sleepers.list.remove(nth).seat;
        sleepers.claimed[seat] = true;
        Some(seat)
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
                DriverWatch::Send(sleeper.seat)
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
    /// This seat was asleep elsewhere; it has been taken off the list and is to be woken.
    Send(usize),
}
