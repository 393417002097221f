//! A thread's ring: when it is opened, armed, disarmed and closed.
//!
//! A ring, the kernel's record of when its thread sleeps, costs nothing while the thread runs.
//! Armed, it makes every sleep of the thread dearer; and opening, arming and disarming are system
//! calls. And an armed ring tells of preemption, too, so that where nothing blocks at all it does
//! nothing but wake the sentinel, in everybody's way. So a thread has its ring armed only on
//! evidence: its call is one of a *warm site*, of which a call has blocked of late
//! ([`Record`](crate::observe::site::Record)). And only where it is worth two system calls: the
//! thread makes many calls without a sleep in between, or is *warm* itself. Two numbers tell: the
//! *stretch*, how many calls of warm sites it has made since it last slept, and the *heat*, from 0
//! to `HOTTEST`; from `WARM` on it is warm.
//!
//! | event | effect |
//! |---|---|
//! | an ordinary call of a warm site begins with the core lent (not one that hands over first, or runs without a permit in sight), and the ring is neither armed nor refused | the stretch grows by one. Has it come to `STRETCH`, or is the thread warm: the ring is armed; if there is none, it is wanted |
//! | such a call, and the ring is not armed by it | a long pause of the monitor's is ended |
//! | every 256th call of a site that is not warm, and the ring is armed | the ring is disarmed |
//! | the next task, behind the poll in which it was wanted | it is opened, disarmed, and shown to the sentinel |
//! | a poll begins, and polls that block without having said so are frequent (`shared::rescues`) | the ring is armed; if there is none, it is wanted |
//! | there is no sentinel yet | the monitor is told to start one; the next call asks again |
//! | the ring cannot be opened, too many are open, or there will be no sentinel | *refused*, for good: the thread stays with the monitor |
//! | the thread was the sentinel until it took its core, and its first poll is over, or it is about to open or arm its ring, or to sleep | a spare is called to be the sentinel, if nobody is |
//! | the thread goes to sleep with its core | the heat grows by one if the stretch has come to `STRETCH`, and shrinks by one if not; the stretch is 0 again; the ring is disarmed |
//! | the core is lost in a call | the heat is `HOTTEST` |
//! | the core is lost, in a call or not, or goes back to nobody | the ring is disarmed |
//! | arming or disarming fails, or the ring is out of phase | the ring is closed, and counted as a fault; the thread may want another |
//! | the thread has come behind a seccomp filter | the same, for a call that may be death is not made; another is refused |
//! | a task has gone on without a core for eight budgets | the ring is closed: an event costs each switch a little even while it is disabled |
//! | the thread ends, or leaves `block_on` | the ring is closed |
//! | the process is a child of `fork` | the ring is the parent's: forgotten, by stores alone |
//!
//! What is not armed is watched by the monitor. Calls that begin while the ring is armed are not
//! counted, so a warm thread that wakes for one short call at a time arms its ring at the first,
//! never comes to `STRETCH`, and cools with each sleep: soon it pays for no ring.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::detect::probe;
use crate::detect::ring::Ring;
use crate::protocol::core::SlotId;
use crate::shared::Shared;
use crate::shared::slot::Slot;

/// Calls since the last sleep before the ring is armed.
const STRETCH: u32 = 4;

/// How warm a thread is whose ring is armed at the first call.
const WARM: u32 = 2;
const HOTTEST: u32 = 8;

/// What a thread's ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    Closed,
    /// There is none, and a call would have armed it: it is opened between two polls.
    Wanted,
    /// Open, and switched off.
    Disarmed,
    /// The sentinel hears of each sleep.
    Armed,
    /// There is none to be had.
    Refused,
    /// This is the copy in a child of `fork`: the ring is the parent's, and reading it a `SIGSEGV`.
    Forgotten,
}

/// A thread's ring. Only the thread itself changes it; what others may look at is in its slot.
#[derive(Debug)]
pub(crate) struct ThreadRing<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    id: SlotId,
    state: Cell<State>,
    /// There in `Disarmed` and `Armed`.
    ring: RefCell<Option<Arc<Ring>>>,
    stretch: Cell<u32>,
    heat: Cell<u32>,
    /// The thread was the sentinel until it took its core, and has called nobody in its place.
    left_watch: Cell<bool>,
}

impl<'a> ThreadRing<'a> {
    pub(super) fn new(shared: &'a Shared, id: SlotId) -> Self {
        ThreadRing {
            shared,
            slot: shared.slots.get(id),
            id,
            state: Cell::new(if shared.detection.perf { State::Closed } else { State::Refused }),
            ring: RefCell::new(None),
            stretch: Cell::new(0),
            heat: Cell::new(0),
            left_watch: Cell::new(false),
        }
    }

    /// Whether there is nothing to decide: the ring is armed, or there is none to be had.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state.get(), State::Armed | State::Refused | State::Forgotten)
    }

    /// A call is about to be made with the core lent, at a site that is warm or not.
    pub(crate) fn on_call(&self, warm: bool) {
        if !warm {
            return self.disarm();
        }
        if self.is_settled() {
            return;
        }
        let stretch = self.stretch.get() + 1;
        self.stretch.set(stretch);
        if stretch >= STRETCH || self.heat.get() >= WARM {
            if self.state.get() == State::Disarmed {
                return self.arm();
            }
            self.state.set(State::Wanted);
        }
        // The monitor watches this call alone.
        self.shared.monitor_sleep.end_doze();
    }

    /// The thread is about to sleep with its core.
    pub(crate) fn on_sleep(&self) {
        self.fill_watch();
        let many = self.stretch.replace(0) >= STRETCH;
        let heat = self.heat.get();
        self.heat.set(if many { (heat + 1).min(HOTTEST) } else { heat.saturating_sub(1) });
        self.disarm();
    }

    /// The core was lost in a call.
    pub(crate) fn on_loss(&self) {
        self.heat.set(HOTTEST);
    }

    /// The thread is the sentinel no more, because it has taken a core: it will call another.
    pub(crate) fn leave_watch(&self) {
        self.left_watch.set(true);
    }

    /// Calls another in this thread's place, if it has left the watch and nobody keeps it.
    pub(crate) fn fill_watch(&self) {
        if self.left_watch.take() && self.shared.wants_sentinel() {
            self.shared.call_sentinel();
        }
    }

    /// Whether the thread has yet to do that.
    pub(crate) fn has_left_watch(&self) -> bool {
        self.left_watch.get()
    }

    fn arm(&self) {
        self.fill_watch();
        let ring = self.ring.borrow();
        let armed = ring.as_ref().is_some_and(|ring| {
            ring.in_phase() && !probe::is_filtered_since() && ring.arm().is_ok()
        });
        drop(ring);
        if armed {
            self.state.set(State::Armed);
            self.slot.armed.store(true, Ordering::Relaxed);
        } else {
            self.abandon();
        }
    }

    /// Switches the ring off: around sleep, and while there is no core to lose.
    pub(crate) fn disarm(&self) {
        if self.state.get() != State::Armed {
            return;
        }
        self.state.set(State::Disarmed);
        self.slot.armed.store(false, Ordering::Relaxed);
        let ring = self.ring.borrow();
        let sound = ring.as_ref().is_some_and(|ring| {
            !probe::is_filtered_since() && ring.disarm().is_ok() && ring.in_phase()
        });
        drop(ring);
        if !sound {
            self.abandon();
        }
    }

    /// The ring cannot be trusted any more: this thread is the monitor's from here on, until it
    /// opens another.
    fn abandon(&self) {
        self.shared.counters.ring_faults.fetch_add(1, Ordering::Relaxed);
        self.close();
    }

    /// Between polls: opens the ring and shows it to the sentinel, if a call has asked for it, or
    /// arms it for a poll that may block. Not in a poll: opening blocks for a moment, and would lose
    /// the core that is lent there. Refused, the thread stays with the monitor.
    #[inline]
    pub(crate) fn before_poll(&self) {
        if self.state.get() == State::Wanted {
            self.state.set(self.open());
        }
        if self.shared.rescues.are_frequent() && !self.is_settled() {
            self.on_frequent_rescues();
        }
    }

    /// The next poll may block without having said so.
    #[cold]
    fn on_frequent_rescues(&self) {
        if !self.shared.config.rescue {
            return;
        }
        match self.state.get() {
            State::Disarmed => self.arm(),
            _ => self.state.set(State::Wanted),
        }
    }

    #[cold]
    fn open(&self) -> State {
        self.fill_watch();
        let shared = self.shared;
        let Some(edges) = shared.edges.get() else {
            shared.counters.rings_wanted.fetch_add(1, Ordering::Relaxed);
            if shared.sentinel_failure.get().is_some() {
                return State::Refused;
            }
            shared.ring_monitor();
            return State::Closed;
        };
        let limit = shared.config.workers + shared.config.min_spares + 64;
        if shared.counters.rings.fetch_add(1, Ordering::Relaxed) >= limit {
            shared.counters.rings.fetch_sub(1, Ordering::Relaxed);
            return State::Refused;
        }
        let opened = if probe::has_more_filters() { None } else { Ring::open().ok() };
        let ring = opened.filter(|ring| ring.disarm().is_ok()).map(Arc::new);
        let generation = self.slot.generation.load(Ordering::Relaxed);
        let Some(ring) = ring.filter(|ring| edges.add(ring, self.id, generation)) else {
            shared.counters.rings.fetch_sub(1, Ordering::Relaxed);
            shared.counters.ring_faults.fetch_add(1, Ordering::Relaxed);
            return State::Refused;
        };
        *self.slot.ring.lock() = Some(ring.clone());
        *self.ring.borrow_mut() = Some(ring);
        State::Disarmed
    }

    /// Takes the ring out of the slot and out of the sentinel's wait: the thread ends, or has had
    /// no core for long.
    pub(crate) fn close(&self) {
        if self.state.get() == State::Forgotten {
            return;
        }
        debug_assert_ne!(self.state.get(), State::Armed, "disarmed before it is closed");
        if self.state.get() != State::Refused {
            self.state.set(State::Closed);
        }
        self.ring.borrow_mut().take();
        let ring = self.slot.ring.lock().take();
        if let (Some(ring), Some(edges)) = (ring, self.shared.edges.get()) {
            edges.remove(&ring);
            self.shared.counters.rings.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// In a child of `fork`. Only stores: a lock may be held by a thread that was not copied.
    pub(super) fn forget(&self) {
        self.state.set(State::Forgotten);
    }
}
