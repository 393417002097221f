//! The core in the hands of a thread, and who may touch what belongs to it.
//!
//! A [`HeldCore`] stands for a core that this thread holds: what only a holder may do is a method
//! of it. There is one for each time the core's word goes to `HELD`; it cannot be copied, nor sent
//! to another thread, and lending the core or putting it to sleep takes it away. So a thread that
//! has run foreign code, and may have lost its core meanwhile, has to look what it has now before
//! it can push a task.
//!
//! It guards against forgetting, not against forging. What makes it true is that the edges of a
//! core's word are taken in this file and nowhere else (but by the builder, for a first thread, and
//! by the pool, which retakes), each for a core that is this thread's to take: retaken for it
//! (`adopt`), or taken off the idle list or from home by the caller (`claim`).

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::thread::Thread;
use crate::observe::recorder::How;
use crate::primitive::failpoint::fail_point;
use crate::protocol::Cause;
use crate::protocol::core::{CoreWord, Lost, NO_SLOT, SlotId, State, Word};
use crate::protocol::queue::LocalQueue;
use crate::shared::Seat;
use crate::spawned::Runnable;

/// A core that the calling thread holds: nobody else touches what belongs to it.
#[derive(Debug)]
#[must_use = "it is lent, or put to sleep"]
pub(crate) struct HeldCore<'a> {
    index: usize,
    seat: &'a Seat,
    /// It stays with its thread.
    thread: PhantomData<*const ()>,
}

impl<'a> HeldCore<'a> {
    fn new(index: usize, seat: &'a Seat) -> Self {
        HeldCore { index, seat, thread: PhantomData }
    }

    /// Which seat's core it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn seat(&self) -> &'a Seat {
        self.seat
    }

    /// Appends a task to the seat's queue, or gives it back when the queue is full.
    #[inline]
    pub(crate) fn push(&self, task: Runnable) -> Result<(), Runnable> {
        // SAFETY: this thread holds the core the queue belongs to, and so is its only producer:
        // `self` exists only between an edge to `HELD` and the next edge from it, both by this
        // thread.
        unsafe { self.seat.queue.push(task) }
    }

    /// Puts the task that was woken last into its slot, and returns the one that was there.
    #[inline]
    pub(crate) fn put_last(&self, task: Runnable) -> Option<Runnable> {
        self.seat.lifo.put(task)
    }

    /// Moves half of another seat's queue into this one's, and returns one of the tasks.
    pub(crate) fn steal_from(&self, other: &LocalQueue<Runnable>) -> Option<Runnable> {
        // SAFETY: as in `push`, for the queue that is filled.
        unsafe { other.steal_into(&self.seat.queue) }
    }
}

/// The core that a thread has, held or lent.
#[derive(Clone, Copy, Debug)]
struct Had<'a> {
    index: usize,
    seat: &'a Seat,
    word: &'a CoreWord,
}

impl Had<'_> {
    /// The thread holds its core no longer. The token must be that of this core.
    #[inline]
    fn give_up(&self, core: HeldCore<'_>) {
        assert!(ptr::eq(self.seat, core.seat), "a thread lends the core that it holds");
        mem::forget(core);
    }
}

impl Drop for HeldCore<'_> {
    fn drop(&mut self) {
        // Nobody would run its tasks any more.
        debug_assert!(std::thread::panicking(), "a held core is lent, or put to sleep");
    }
}

/// What a thread knows of its core. The thread changes it by the edges of
/// `docs/internals/handoff.md`, which are the methods of [`Thread`] below, and by nothing else.
#[derive(Debug)]
pub(super) struct CoreCell<'a> {
    had: Cell<Option<Had<'a>>>,
    /// The word as this thread left it. Only means something while it has a core.
    word: Cell<Word>,
    /// Since when the thread has its core, for the timeline and the recorder.
    since: Cell<Instant>,
}

impl CoreCell<'_> {
    pub(super) fn new() -> Self {
        CoreCell {
            had: Cell::new(None),
            word: Cell::new(Word::NONE),
            since: Cell::new(Instant::now()),
        }
    }

    /// In a child of `fork`: the core is the parent's.
    pub(super) fn forget(&self) {
        self.had.set(None);
    }
}

impl<'a> Thread<'a> {
    /// Whether the thread has no core, as far as it knows: it never had one, or has found it gone.
    #[inline]
    pub(crate) fn is_coreless(&self) -> bool {
        self.core.had.get().is_none()
    }

    /// The seat of the core that the thread has lent, and the core's word as it left it; `None`
    /// without a core.
    pub(crate) fn lent(&self) -> Option<(usize, Word)> {
        self.core.had.get().map(|had| (had.index, self.core.word.get()))
    }

    /// Where this thread is to put what is kept in parts, so that threads with cores do not meet: by
    /// its seat; without a core by its place in the table.
    #[inline]
    pub(crate) fn part(&self) -> usize {
        self.core.had.get().map_or(self.id as usize, |had| had.index)
    }

    /// Adopts the core that was retaken for this thread.
    pub(crate) fn adopt(&self, index: usize) -> HeldCore<'a> {
        fail_point!("adopt");
        let word = self.shared.pool.word(index);
        self.take(index, word, word.adopt(self.id))
    }

    /// Claims an idle core, whose seat the caller took off the idle list.
    pub(crate) fn claim(&self, index: usize) -> HeldCore<'a> {
        fail_point!("claim");
        let word = self.shared.pool.word(index);
        let core = self.take(index, word, word.claim(self.id));
        core.seat.wakes();
        core
    }

    fn take(&self, index: usize, word: &'a CoreWord, held: Word) -> HeldCore<'a> {
        let seat: &'a Seat = &self.shared.seats[index];
        debug_assert!(self.is_coreless(), "a thread has one core at most");
        self.core.had.set(Some(Had { index, seat, word }));
        self.core.word.set(held);
        self.slot.set_seat(Some(index));
        if self.traced || self.log.is_on() {
            self.core.since.set(self.now());
        }
        if !self.log.is_on() {
            self.log.lapse();
        }
        HeldCore::new(index, seat)
    }

    /// Puts the held core to sleep under this thread's name, or under nobody's.
    pub(crate) fn park(&self, core: HeldCore<'_>, slot: SlotId) {
        let had = self.core.had.get();
        // A child that was forked in a signal handler, between two polls, has none.
        let Some(had) = had else { return mem::forget(core) };
        had.seat.sleeps(slot != NO_SLOT);
        had.give_up(core);
        had.word.park(self.core.word.get(), slot);
        self.trace_core(had.index, None);
        self.drop_core();
    }

    /// A poll begins: whoever sees this thread blocked may take its core.
    #[inline]
    pub(crate) fn lend(&self, core: HeldCore<'_>) {
        let had = self.core.had.get();
        // A child that was forked in a signal handler, between two polls, has none.
        let Some(had) = had else { return mem::forget(core) };
        had.give_up(core);
        self.core.word.set(had.word.lend(self.core.word.get()));
    }

    /// The poll has ended. The thread holds its core again, or has none.
    #[inline]
    pub(crate) fn reclaim(&self) -> Option<HeldCore<'a>> {
        let had = self.core.had.get()?;
        let lent = self.core.word.get();
        if lent.state() != State::Lent {
            // It is in somebody's hands already, on this thread.
            return None;
        }
        match had.word.reclaim(lent) {
            Ok(held) => {
                self.core.word.set(held);
                Some(HeldCore::new(had.index, had.seat))
            }
            Err(Lost) => {
                self.lose();
                None
            }
        }
    }

    /// A region has ended inside a lent poll. `false`: the core is gone.
    #[inline]
    pub(crate) fn leave_region(&self) -> bool {
        let Some(had) = self.core.had.get() else { return false };
        fail_point!("leave");
        match had.word.leave(self.core.word.get(), &self.slot.suspicion) {
            Ok(lent) => {
                self.core.word.set(lent);
                true
            }
            Err(Lost) => {
                self.lose();
                false
            }
        }
    }

    /// The lent core, in hand for as long as the answer lives, and lent again with a new number
    /// then. No user code runs meanwhile. `None`: the thread has no core (any more), or holds it
    /// already, in code of the runtime's own: what is to be left with the core goes elsewhere.
    #[inline]
    pub(super) fn core_in_hand(&self) -> Option<InHand<'_, 'a>> {
        fail_point!("reclaim to push");
        let core = ManuallyDrop::new(self.reclaim()?);
        Some(InHand { thread: self, core })
    }

    /// The thread has no core from here on.
    pub(super) fn drop_core(&self) -> Option<usize> {
        self.slot.set_seat(None);
        self.core.had.take().map(|had| had.index)
    }

    /// As whoever notes polls has it.
    fn now(&self) -> Instant {
        if self.log.is_on() { self.log.now() } else { Instant::now() }
    }

    /// For the timeline and the recorder: the thread had the core until it lost it, or until now.
    pub(super) fn trace_core(&self, seat: usize, lost: Option<(Cause, Instant)>) {
        let since = self.core.since.get();
        let end = || lost.map_or_else(|| self.now(), |(_, when)| when);
        if let Some(trace) = &self.shared.trace {
            trace.core(seat, self.slot.tid.load(Ordering::Relaxed), since, end());
        }
        if self.log.is_on() {
            self.log.had_core(seat, lost.map(|(cause, _)| How::Lost(cause)), since, end());
        }
    }
}

/// A lent core that is held for a moment, inside a poll.
#[derive(Debug)]
pub(super) struct InHand<'t, 'a> {
    thread: &'t Thread<'a>,
    /// Lent again by this guard's drop, and by nothing else.
    core: ManuallyDrop<HeldCore<'a>>,
}

impl<'a> std::ops::Deref for InHand<'_, 'a> {
    type Target = HeldCore<'a>;

    #[inline]
    fn deref(&self) -> &HeldCore<'a> {
        &self.core
    }
}

impl Drop for InHand<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        fail_point!("pushed");
        self.thread.lend(HeldCore::new(self.core.index, self.core.seat));
    }
}
