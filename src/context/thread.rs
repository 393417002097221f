//! A thread of a runtime: its core, the word of that, its permit, its ring.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::detect::ring::Ring;
use crate::observe::site::Site;
use crate::primitive::failpoint::fail_point;
use crate::protocol::Cause;
use crate::protocol::core::{CoreWord, Lost, SlotId, State, Word};
use crate::protocol::pool::{Holding, Todo};
use crate::shared::slot::Slot;
use crate::shared::{Seat, Shared};
use crate::spawned::Runnable;
use crate::sys::thread::sleeps;

/// In-place calls in one poll before the task goes back through the queue: with its core in hand
/// (others wait for the core), and without (the thread is the task's own, but its CPU is not).
pub(crate) const BUDGET_WITH_CORE: u32 = 64;
const BUDGET_CORELESS: u32 = 128;

/// A coreless task that does not yield gets a new budget as long as it has blocked in one of its
/// last so many. (At 1 % of calls that block, one budget in four has none of them.)
const LULLS: u32 = 4;

/// After so many budgets without a core a thread gives up its ring.
const RENEWALS_WITH_RING: u32 = 8;

/// The text of the site that a rescued poll counts at, which stands where its task was spawned.
const UNMARKED: &str = "(a poll that did not say so)";

thread_local! {
    static THREAD: Cell<*const Thread<'static>> = const { Cell::new(ptr::null()) };
}

/// A core in the hands of this thread (held, or lent by it).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core<'a> {
    pub(crate) index: usize,
    pub(crate) seat: &'a Seat,
    word: &'a CoreWord,
}

/// A thread of a runtime. Everything in it is the thread's own.
#[derive(Debug)]
pub(crate) struct Thread<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) id: SlotId,
    pub(crate) slot: &'a Slot,
    core: Cell<Option<Core<'a>>>,
    /// The word as this thread left it. Only means something while it has a core.
    word: Cell<Word>,
    /// Set from the loss of a core until the permit is given back.
    holding: Cell<Option<Holding>>,
    pub(crate) in_poll: Cell<bool>,
    /// What is polled is a task of the runtime, which is dropped when the runtime ends.
    pub(crate) in_task: Cell<bool>,
    pub(crate) in_region: Cell<bool>,
    /// How often this poll has lost a core.
    pub(crate) losses: Cell<u32>,
    /// Calls left before the gate sends the task back through the queue.
    pub(crate) budget: Cell<u32>,
    /// When the thread, with a core, is to look at timers and I/O.
    pub(crate) drive_at: Cell<Instant>,
    /// How often the thread had slept when the budget was last renewed, how many budgets ago it
    /// last did, and how many there were since it lost its core.
    sleeps: Cell<u64>,
    lull: Cell<u32>,
    renewals: Cell<u32>,
    /// This poll has made a call without the core.
    pub(crate) glued: Cell<bool>,
    /// The task that has yielded here and goes on here, without the core; see [`Thread::keep`].
    kept: RefCell<Option<Runnable>>,
    /// The region it is in is a plain call: there was no core at its entry, and nothing is measured.
    pub(crate) plain: Cell<bool>,
    /// Nobody but tasks waits for this thread.
    pub(crate) keeps: Cell<bool>,
    pub(crate) searching: Cell<bool>,
    pub(crate) lifo_streak: Cell<u32>,
    pub(crate) seed: Cell<u32>,
    pub(crate) ring: RefCell<Option<Arc<Ring>>>,
    /// Regions since the thread last slept, and how many of its last waking times had any.
    pub(crate) stretch: Cell<u32>,
    pub(crate) heat: Cell<u32>,
    pub(crate) armed: Cell<bool>,
    pub(crate) ring_refused: Cell<bool>,
    pub(crate) wants_ring: Cell<bool>,
    /// This is the copy in a child of `fork`: regions it was made in are still to be left.
    pub(crate) forgotten: Cell<bool>,
    /// There is a timeline: no call is so common that it goes unseen.
    pub(crate) traced: bool,
    /// Since when the thread has its core, for the timeline.
    had_since: Cell<Instant>,
    /// What the thread was before it became this, in a `block_on` inside a task.
    outer: Cell<*const Thread<'static>>,
}

impl<'a> Thread<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, id: SlotId) -> Self {
        Thread {
            shared,
            id,
            slot: shared.slots.get(id),
            core: Cell::new(None),
            word: Cell::new(Word::NONE),
            holding: Cell::new(None),
            in_poll: Cell::new(false),
            in_task: Cell::new(false),
            in_region: Cell::new(false),
            losses: Cell::new(0),
            budget: Cell::new(0),
            drive_at: Cell::new(Instant::now()),
            sleeps: Cell::new(0),
            renewals: Cell::new(0),
            lull: Cell::new(0),
            glued: Cell::new(false),
            kept: RefCell::new(None),
            plain: Cell::new(false),
            keeps: Cell::new(false),
            searching: Cell::new(false),
            lifo_streak: Cell::new(0),
            seed: Cell::new(id.wrapping_mul(0x9E37_79B9) | 1),
            ring: RefCell::new(None),
            stretch: Cell::new(0),
            heat: Cell::new(0),
            armed: Cell::new(false),
            ring_refused: Cell::new(!shared.detection.perf),
            wants_ring: Cell::new(false),
            forgotten: Cell::new(false),
            traced: shared.trace.is_some(),
            had_since: Cell::new(Instant::now()),
            outer: Cell::new(ptr::null()),
        }
    }

    /// Makes this the calling thread's identity while `f` runs.
    pub(crate) fn install<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Restore(*const Thread<'static>);
        impl Drop for Restore {
            fn drop(&mut self) {
                THREAD.set(self.0);
            }
        }
        // The lifetime is erased here and bounded again in `with`, whose closure cannot let the
        // reference out; the guard puts the old value back before `self` can go.
        let outer = THREAD.replace(ptr::from_ref(self).cast());
        let _restore = Restore(outer);
        self.outer.set(outer);
        f()
    }

    /// The core, if the thread still believes it has one.
    #[inline]
    pub(crate) fn core(&self) -> Option<Core<'a>> {
        self.core.get()
    }

    /// Whether the thread lost its core and has not yet given its permit back.
    #[inline]
    pub(crate) fn is_coreless(&self) -> bool {
        self.core.get().is_none()
    }

    /// What it holds instead of a core.
    pub(crate) fn holding(&self) -> Option<Holding> {
        self.holding.get()
    }

    #[inline]
    fn lent_word(&self) -> Word {
        debug_assert!(self.core.get().is_some(), "a thread with a core knows its word");
        self.word.get()
    }

    /// The thread's view of its core's word; `None` without a core.
    pub(crate) fn word(&self) -> Option<Word> {
        self.core.get().map(|_| self.word.get())
    }

    fn take_core(&self, index: usize, word: &'a CoreWord, held: Word) {
        self.core.set(Some(Core { index, seat: &self.shared.seats[index], word }));
        self.word.set(held);
        self.slot.set_seat(Some(index));
        if self.traced {
            self.had_since.set(Instant::now());
        }
    }

    /// Adopts the core that was retaken for this thread.
    pub(crate) fn adopt(&self, index: usize) {
        fail_point!("adopt");
        let word = self.shared.pool.word(index);
        self.take_core(index, word, word.adopt(self.id));
        if cfg!(threadlet_break = "lifo-slot") {
            std::mem::forget(self.shared.seats[index].lifo.take());
        }
    }

    /// Claims an idle core, whose seat the caller took off the idle list.
    pub(crate) fn claim(&self, index: usize) {
        fail_point!("claim");
        let word = self.shared.pool.word(index);
        self.take_core(index, word, word.claim(self.id));
    }

    /// Puts the held core to sleep under this thread's name, or under nobody's.
    pub(crate) fn park_core(&self, slot: SlotId) {
        let core = self.core.get().expect("only a held core sleeps");
        core.word.park(self.lent_word(), slot);
        self.trace_core(core.index, None);
        self.drop_core();
    }

    fn drop_core(&self) {
        self.core.set(None);
        self.slot.set_seat(None);
    }

    /// A poll begins: whoever sees this thread blocked may take its core.
    #[inline]
    pub(crate) fn lend(&self) {
        if let Some(core) = self.core.get() {
            self.word.set(core.word.lend(self.lent_word()));
        }
    }

    /// The poll has ended. The thread holds its core again, or has none.
    #[inline]
    pub(crate) fn reclaim(&self) {
        if let Some(core) = self.core.get() {
            match core.word.reclaim(self.lent_word()) {
                Ok(held) => self.word.set(held),
                Err(Lost) => self.lose(),
            }
        }
    }

    /// A region has ended inside a lent poll. `false`: the core is gone.
    #[inline]
    pub(crate) fn leave_region(&self) -> bool {
        let Some(core) = self.core.get() else { return false };
        fail_point!("leave");
        match core.word.leave(self.lent_word(), &self.slot.suspicion) {
            Ok(lent) => {
                self.word.set(lent);
                true
            }
            Err(Lost) => {
                self.lose();
                false
            }
        }
    }

    /// Runs `f` with the core in hand: what belongs to it may be touched. A lent core is reclaimed
    /// for it and lent again with a new number. `None`: the thread has no core (any more). `f` runs
    /// no user code.
    #[inline]
    pub(crate) fn with_core<R>(&self, f: impl FnOnce(Core<'a>) -> R) -> Option<R> {
        let core = self.core.get()?;
        if self.lent_word().state() == State::Held {
            return Some(f(core));
        }
        if cfg!(threadlet_break = "push-while-lent") {
            return Some(f(core));
        }
        fail_point!("reclaim to push");
        self.reclaim();
        let core = self.core.get()?;
        let result = f(core);
        fail_point!("pushed");
        self.lend();
        Some(result)
    }

    /// A task yields on this thread, which has lost the core, after a call: the thread keeps the
    /// task, and polls it again as soon as this poll has returned, for as long as its budget lasts.
    /// The others have a core and a thread to run on, so they lose nothing; by way of the queue, this
    /// task would cost its next core a hand-off at its next call.
    ///
    /// `async_task` hands over a task that was woken in its own poll as the last step of that poll,
    /// so between this and [`Thread::take_kept`] no foreign code runs.
    pub(super) fn keep(&self, task: Runnable) -> Option<Runnable> {
        let spent = self.budget.get() == 0 || self.shared.pool.anyone_behind();
        if !self.is_coreless() || !self.glued.get() || !self.keeps.get() || spent {
            return Some(task);
        }
        *self.kept.borrow_mut() = Some(task);
        None
    }

    /// The budget is spent, at the gate: a task whose calls still block, and leave their CPU by
    /// that, may go on without a core.
    pub(crate) fn renew_budget(&self) -> bool {
        if !self.is_coreless() || self.shared.pool.anyone_behind() || !self.keeps.get() {
            return false;
        }
        let now = sleeps();
        let slept = now.wrapping_sub(self.sleeps.replace(now));
        let lull = if slept > 0 { 0 } else { self.lull.get() + 1 };
        self.lull.set(lull);
        if lull >= LULLS {
            return false;
        }
        self.budget.set(BUDGET_CORELESS);
        self.renewals.set(self.renewals.get() + 1);
        if self.renewals.get() == RENEWALS_WITH_RING {
            // An event costs each switch of its thread a little even while it is disabled.
            self.ring.borrow_mut().take();
            self.close_slot_ring();
        }
        true
    }

    /// The task that goes on here.
    pub(crate) fn take_kept(&self) -> Option<Runnable> {
        self.kept.borrow_mut().take()
    }

    /// In a child of `fork`: the core, the permit and the ring are the parent's. Reading the ring is
    /// a `SIGSEGV` here, and a lock may be held by a thread that was not copied. Only stores.
    fn forget(&self) {
        self.forgotten.set(true);
        self.core.set(None);
        self.holding.set(None);
        self.armed.set(false);
        self.ring_refused.set(true);
    }

    /// Notes that a thief was faster. The permit it took is this thread's from now on.
    #[cold]
    pub(crate) fn lose(&self) {
        fail_point!("lost");
        let seat = self.core.get().map(|core| core.index);
        self.drop_core();
        self.losses.set(self.losses.get() + 1);
        self.budget.set(BUDGET_CORELESS);
        self.lull.set(0);
        self.renewals.set(0);
        let holding = self.shared.pool.holding(self.id);
        self.holding.set(Some(holding));
        if let Some(seat) = seat {
            self.trace_core(seat, Some(holding.since));
        }
        if holding.cause == Cause::Rescued {
            self.note_rescue(&holding);
        }
        self.disarm();
    }

    /// For the timeline: the thread had the core until `end`, or now.
    fn trace_core(&self, seat: usize, end: Option<Instant>) {
        if let Some(trace) = &self.shared.trace {
            let tid = self.slot.tid.load(Ordering::Relaxed);
            trace.core(seat, tid, self.had_since.get(), end.unwrap_or_else(Instant::now));
        }
    }

    /// A poll that had not said so blocked (or computed): that is put down to the place where its
    /// task was spawned.
    fn note_rescue(&self, holding: &Holding) {
        let Some(place) = self.slot.spawned_at.get() else { return };
        let (lasted, id) = (holding.since.elapsed(), Site::at(place, UNMARKED).id());
        self.shared.with_events(id, |events| events.handed_over(Cause::Rescued, lasted, 0));
    }

    /// This poll is better off without a core, though none of its calls may be seen to block: it takes
    /// none when it comes back from the next.
    pub(crate) fn stay_coreless(&self) {
        self.losses.set(self.losses.get().max(2));
    }

    /// Gives the permit back; the thread has a core again, or ends.
    pub(crate) fn release_permit(&self) {
        if self.holding.take().is_some() {
            self.slot.speed_up();
            let mut todo = Todo::default();
            self.shared.pool.release(self.id, &mut todo);
            self.shared.carry_out(todo);
        }
    }

    /// From here on the thread waits for a core, and gives back the permit it may hold.
    pub(crate) fn become_spare(&self) {
        if self.holding.take().is_some() {
            self.slot.speed_up();
        }
        let mut todo = Todo::default();
        self.shared.pool.add_spare(self.id, &mut todo);
        self.shared.carry_out(todo);
    }

    /// Switches the ring off: around sleep, and while there is no core to lose.
    pub(crate) fn disarm(&self) {
        if self.armed.replace(false) {
            self.slot.armed.store(false, Ordering::Relaxed);
            let ring = self.ring.borrow();
            let sound = ring.as_ref().is_some_and(|ring| ring.disarm().is_ok() && ring.in_phase());
            drop(ring);
            if !sound {
                self.abandon_ring();
            }
        }
    }

    /// The ring cannot be trusted any more: this thread is the monitor's from here on, until it
    /// opens another.
    pub(crate) fn abandon_ring(&self) {
        self.shared.counters.ring_faults.fetch_add(1, Ordering::Relaxed);
        self.armed.set(false);
        self.slot.armed.store(false, Ordering::Relaxed);
        self.ring.borrow_mut().take();
        self.close_slot_ring();
    }

    /// Takes the ring out of the slot and out of the sentinel's epoll.
    pub(crate) fn close_slot_ring(&self) {
        if self.forgotten.get() {
            return;
        }
        let ring = self.slot.ring.lock().take();
        if let (Some(ring), Some(edges)) = (ring, self.shared.edges.get()) {
            edges.remove(&ring);
            self.shared.counters.rings.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Runs `f` with the calling thread's identity, if it is a thread of a runtime.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Thread<'_>>) -> R) -> R {
    // Readable in a thread-local destructor too: the cell is constant and needs no drop.
    let thread = THREAD.get();
    // SAFETY: not null only inside `Thread::install`, on this thread; the value lives there, and
    // the closure cannot keep the reference.
    f(unsafe { thread.as_ref() })
}

/// In a child of `fork`: the calling thread, and whatever it was before it became that, is none of
/// ours any more.
pub(super) fn forget_all() {
    let mut thread = THREAD.replace(ptr::null());
    // SAFETY: as in `with`: not null only while the value lives, on this thread; and each was
    // installed while the one outside it lived.
    while let Some(inner) = unsafe { thread.as_ref() } {
        inner.forget();
        thread = inner.outer.get();
    }
}
