//! The thread's ring: when it is opened, armed, disarmed and closed.
//!
//! A ring is the kernel's record of when its thread sleeps. It costs nothing while the thread runs, but
//! an armed one makes every sleep of the thread dearer, and opening, arming and disarming are system
//! calls. So a thread arms its ring only while it makes calls often, or they have blocked of late. What
//! counts is the *stretch*, the calls since the thread last slept, and the *heat*, which says how many of
//! its last waking times came to something.
//!
//! | event | what the ring does | heat |
//! |---|---|---|
//! | the fourth call of a stretch, or the first while the thread is *warm* (heat 2 or more) | no ring yet: one is opened after this poll. Open: it is armed. | |
//! | the thread goes to sleep with its core, behind a stretch of four or more | disarmed | one up, to 8 at most |
//! | the same, behind a shorter one | disarmed | one down |
//! | the core is lost in a call | disarmed | 8 |
//! | calls keep blocking without a core (eight budgets) | closed: even disarmed it costs each sleep a little | |
//! | the kernel refuses it, or there are too many | none, ever again | |
//! | it is found out of step | closed; a new one may be opened | |
//!
//! Calls behind an armed ring are not counted, so a waking time in which the ring was armed at the first
//! call makes the thread colder: one that wakes for a short call at a time soon pays for no ring. While
//! no ring is armed the monitor watches the thread.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
        }
    }

    /// Whether there is nothing to decide: the ring is armed, or there is none to be had.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state.get(), State::Armed | State::Refused | State::Forgotten)
    }

    /// A call is about to be made with the core lent.
    pub(crate) fn on_call(&self) {
        if self.is_settled() {
            return;
        }
        let stretch = self.stretch.get() + 1;
        self.stretch.set(stretch);
        if stretch < STRETCH && self.heat.get() < WARM {
            return;
        }
        if self.state.get() == State::Disarmed {
            self.arm();
        } else {
            self.state.set(State::Wanted);
        }
    }

    /// The thread is about to sleep with its core.
    pub(crate) fn on_sleep(&self) {
        let many = self.stretch.replace(0) >= STRETCH;
        let heat = self.heat.get();
        self.heat.set(if many { (heat + 1).min(HOTTEST) } else { heat.saturating_sub(1) });
        self.disarm();
    }

    /// The core was lost in a call.
    pub(crate) fn on_loss(&self) {
        self.heat.set(HOTTEST);
    }

    fn arm(&self) {
        let ring = self.ring.borrow();
        let armed = ring.as_ref().is_some_and(|ring| ring.in_phase() && ring.arm().is_ok());
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
        let sound = ring.as_ref().is_some_and(|ring| ring.disarm().is_ok() && ring.in_phase());
        drop(ring);
        if !sound {
            self.abandon();
        }
    }

    /// The ring cannot be trusted any more: this thread is the monitor's from here on, until it
    /// opens another.
    fn abandon(&self) {
        self.shared.counters.ring_faults.fetch_add(1, Ordering::Relaxed);
        self.slot.armed.store(false, Ordering::Relaxed);
        self.close();
    }

    /// Between polls: opens the ring and shows it to the sentinel, if a call has asked for it. Not in a
    /// poll: opening blocks for a moment, and would lose the core that is lent there. Refused, the thread
    /// stays with the monitor.
    #[inline]
    pub(crate) fn open_if_wanted(&self) {
        if self.state.get() == State::Wanted {
            self.state.set(self.open());
        }
    }

    #[cold]
    fn open(&self) -> State {
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
        let ring = Ring::open().ok().filter(|ring| ring.disarm().is_ok()).map(Arc::new);
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

    /// Takes the ring out of the slot and out of the sentinel's wait: the thread ends, or has had no
    /// core for long.
    pub(crate) fn close(&self) {
        if self.state.get() == State::Forgotten {
            return;
        }
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
