//! The word of a core: who may run a seat's tasks, decided by one atomic.
#![doc = include_str!("../../docs/internals/handoff.md")]

use crate::primitive::{AtomicU32, AtomicU64, Ordering, Padded, full_fence, weakened};

/// A thread's place in the runtime's slot table.
pub(crate) type SlotId = u32;

/// The slot of nobody: a core that was given back at shutdown, or not yet taken at all.
pub(crate) const NO_SLOT: SlotId = (1 << SLOT_BITS) - 1;

const STATE_BITS: u32 = 2;
const SLOT_BITS: u32 = 18;
const NUMBER_BITS: u32 = 64 - STATE_BITS - SLOT_BITS;
const SLOT_SHIFT: u32 = STATE_BITS;
const NUMBER_SHIFT: u32 = STATE_BITS + SLOT_BITS;

// The proof of the stale observation needs a number that does not come round again while a thief
// sleeps between its look and its compare-and-swap.
const _: () = assert!(NUMBER_BITS >= 40);

/// What a core is doing. `docs/internals/handoff.md` draws the edges between these, with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum State {
    /// Its thread sleeps, or it has none. Whoever took the seat off the idle list may claim it.
    Idle = 0,
    /// The thread in the slot, and nobody else, may touch what belongs to the core.
    Held = 1,
    /// The thread in the slot runs user code. Nobody may touch what belongs to the core; the
    /// lender may reclaim it, a thief may retake it.
    Lent = 2,
    /// Retaken for the spare in the slot, which has not woken yet; or given to a thread that is
    /// about to start.
    Taken = 3,
}

/// One value of a core's word: state, slot and number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    /// The view of a thread that has no core.
    pub(crate) const NONE: Word = Word(0);

    fn new(state: State, slot: SlotId, number: u64) -> Self {
        debug_assert!(slot <= NO_SLOT);
        Word(number << NUMBER_SHIFT | u64::from(slot) << SLOT_SHIFT | state as u64)
    }

    /// What the core is doing.
    pub(crate) fn state(self) -> State {
        match self.0 & ((1 << STATE_BITS) - 1) {
            0 => State::Idle,
            1 => State::Held,
            2 => State::Lent,
            _ => State::Taken,
        }
    }

    /// The thread that holds, lent, or is to adopt the core.
    pub(crate) fn slot(self) -> SlotId {
        (self.0 >> SLOT_SHIFT) as SlotId & NO_SLOT
    }

    /// How often the word has changed, modulo 2^44.
    pub(crate) fn number(self) -> u64 {
        self.0 >> NUMBER_SHIFT
    }

    /// The word that follows this one: the number always grows.
    fn next(self, state: State, slot: SlotId) -> Self {
        Word::new(state, slot, self.number().wrapping_add(1) & ((1 << NUMBER_BITS) - 1))
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({}, {})", self.state(), self.slot(), self.number())
    }
}

/// The core is gone: a thief gave it to a spare. What the thread holds now is a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Lost;

/// The word a thief saw is no longer the word: the thread it observed has moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Stale;

/// Whether some thief observes a thread, or has and could not take its core yet: then a region of
/// the thread may not end without a word. One bit for each who may.
#[derive(Debug)]
pub(crate) struct Suspicion(AtomicU32);

/// Who suspects a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Suspect {
    /// The sentinel looks at it.
    Sentinel = 1,
    /// The monitor looks at it.
    Monitor = 2,
    /// A claim to its core is on the stalled list.
    Stalled = 4,
}

impl Suspicion {
    pub(crate) fn new() -> Self {
        Suspicion(AtomicU32::new(0))
    }

    /// By a thief, before it loads the word and observes the thread.
    pub(crate) fn raise(&self, who: Suspect) {
        // Ordering: Relaxed; the fence below is what counts.
        self.0.fetch_or(who as u32, Ordering::Relaxed);
        // The thief's side of the proof: the bit before it, the observation behind it. Partner: the
        // context switch that brings the observed thread back, which is a fence of the kernel's.
        full_fence!("suspicion-fence");
    }

    /// By that thief, when it is done: the core was taken, or is not to be.
    pub(crate) fn settle(&self, who: Suspect) {
        // Ordering: Release, so that a thread that sees no suspicion any more sees what has become
        // of the word, and puts the loss down to this region and not to a later one. Partner: the
        // Acquire of `is_none`.
        self.0.fetch_and(!(who as u32), weakened!("settle-relaxed", Ordering::Release));
    }

    #[inline]
    fn is_none(&self) -> bool {
        self.0.load(weakened!("suspicion-relaxed", Ordering::Acquire)) == 0
    }
}

/// The word of one core. A method that changes it is one edge of the drawing, and says which; the
/// others (`load`, `is_taken_for`, and `leave` where nobody looks) only read.
#[derive(Debug)]
pub(crate) struct CoreWord(Padded<AtomicU64>);

impl CoreWord {
    /// A core that no thread has.
    pub(crate) fn new() -> Self {
        CoreWord(Padded(AtomicU64::new(Word::new(State::Idle, NO_SLOT, 0).0)))
    }

    /// The word as a thief must first see it.
    #[inline]
    pub(crate) fn load(&self) -> Word {
        // Ordering: Acquire, so that what the thief reads next (ring, clock, slot) is not older
        // than the word it will compare with. Partner: the Release in `lend`.
        Word(self.0.load(weakened!("look-relaxed", Ordering::Acquire)))
    }

    /// Edge 1, by the holder: a poll begins. Returns the word to reclaim with.
    #[inline]
    #[must_use]
    pub(crate) fn lend(&self, held: Word) -> Word {
        debug_assert_eq!(held.state(), State::Held);
        let lent = held.next(State::Lent, held.slot());
        // A plain store: in HELD nobody but the holder writes.
        // Ordering: Release, so that whoever adopts the core sees all that was done to it. Partner:
        // the Acquire of `is_taken_for`.
        self.0.store(lent.0, weakened!("lend-relaxed", Ordering::Release));
        lent
    }

    /// Edge 2, by the lender: it has the core again, unless a thief was first.
    #[inline]
    pub(crate) fn reclaim(&self, lent: Word) -> Result<Word, Lost> {
        debug_assert_eq!(lent.state(), State::Lent);
        let held = lent.next(State::Held, lent.slot());
        // Ordering: Relaxed. Who sees HELD does nothing, and the next `lend` publishes again.
        self.swap(lent, held, Ordering::Relaxed).map_err(|_| Lost)
    }

    /// By the lender: a region has ended inside a lent poll. The common case, in which nobody has
    /// looked, is two loads; otherwise edge 3.
    #[inline]
    pub(crate) fn leave(&self, lent: Word, suspicion: &Suspicion) -> Result<Word, Lost> {
        // Ordering: Relaxed for the word; the Acquire of `is_none` comes before it.
        if suspicion.is_none() && self.0.load(Ordering::Relaxed) == lent.0 {
            return Ok(lent);
        }
        self.bump(lent, suspicion)
    }

    /// Edge 3, by the lender: a region has ended while a thief looks. The entry stored nothing, so
    /// this is where a thief's claim, or its stale observation, meets its match.
    #[cold]
    fn bump(&self, lent: Word, suspicion: &Suspicion) -> Result<Word, Lost> {
        debug_assert_eq!(lent.state(), State::Lent);
        // Before the swap: a claim that is put on the list meanwhile is one of this region, and
        // will be stale. One of a later region cannot come before it has begun.
        suspicion.settle(Suspect::Stalled);
        let next = lent.next(State::Lent, lent.slot());
        // Ordering: Relaxed. A swap continues the release sequence of `lend`; and that a thief
        // which sees the new number does not see the thread asleep in the region before, is the
        // fence of `raise`.
        self.swap(lent, next, Ordering::Relaxed).map_err(|_| Lost)
    }

    /// Edge 4, by a thief that saw the thread `observed` blocked after it had loaded `seen`, or by
    /// the lender itself, handing over first.
    pub(crate) fn retake(
        &self,
        seen: Word,
        observed: SlotId,
        spare: SlotId,
    ) -> Result<Word, Stale> {
        if seen.state() != State::Lent {
            return Err(Stale);
        }
        if seen.slot() != observed {
            return Err(Stale);
        }
        // Ordering: Relaxed. The thief touches nothing that belongs to the core; its swap continues
        // the release sequence of the lender, in which the spare acquires.
        self.swap(seen, seen.next(State::Taken, spare), Ordering::Relaxed)
    }

    /// Whether the core was retaken for the spare in `slot`, which asks.
    #[inline]
    #[must_use]
    pub(crate) fn is_taken_for(&self, slot: SlotId) -> bool {
        // Ordering: Acquire, so that the spare sees all that was done to the core. Partner: the
        // Release in `lend`, whose release sequence the swaps behind it continue.
        let word = Word(self.0.load(weakened!("taken-relaxed", Ordering::Acquire)));
        word.state() == State::Taken && word.slot() == slot
    }

    /// Edge 5, by the spare the core was retaken for.
    #[must_use]
    pub(crate) fn adopt(&self, slot: SlotId) -> Word {
        // Ordering: Relaxed, here and below: `is_taken_for` has acquired it.
        let taken = Word(self.0.load(Ordering::Relaxed));
        assert_eq!((taken.state(), taken.slot()), (State::Taken, slot), "a spare adopts its own");
        let held = taken.next(State::Held, slot);
        // In TAKEN nobody but the spare writes. What belongs to the core is published by the next
        // `lend`.
        self.0.store(held.0, Ordering::Relaxed);
        held
    }

    /// Edge 6, by the holder: it goes to sleep with nothing to run. At shutdown `slot` is
    /// [`NO_SLOT`]: the core belongs to nobody.
    pub(crate) fn park(&self, held: Word, slot: SlotId) -> Word {
        debug_assert_eq!(held.state(), State::Held);
        let idle = held.next(State::Idle, slot);
        // Ordering: Relaxed. The seat goes to the next holder by the idle list, under its lock (or
        // by `at_home`, or to nobody).
        self.0.store(idle.0, Ordering::Relaxed);
        idle
    }

    /// Edge 7, by whoever took the seat off the idle list: its sleeper, or a coreless thread.
    pub(crate) fn claim(&self, slot: SlotId) -> Word {
        // Ordering: Relaxed, as in `park`.
        let idle = Word(self.0.load(Ordering::Relaxed));
        assert_eq!(idle.state(), State::Idle, "only an idle core is claimed");
        let held = idle.next(State::Held, slot);
        // In IDLE nobody writes but the one that took the seat off the list.
        self.0.store(held.0, Ordering::Relaxed);
        held
    }

    /// Edge 8, by the builder: a core that no thread has is put into the hands of a thread that is
    /// about to start.
    pub(crate) fn assign(&self, slot: SlotId) {
        let idle = self.load();
        assert_eq!(idle.state(), State::Idle, "only an idle core is assigned");
        // Ordering: Relaxed, as in `park`; starting the thread publishes it.
        self.0.store(idle.next(State::Taken, slot).0, Ordering::Relaxed);
    }

    #[inline]
    fn swap(&self, from: Word, to: Word, success: Ordering) -> Result<Word, Stale> {
        match self.0.compare_exchange(from.0, to.0, success, Ordering::Relaxed) {
            Ok(_) => Ok(to),
            Err(_) => Err(Stale),
        }
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_three_parts() {
        for (state, slot, number) in [
            (State::Idle, NO_SLOT, 0),
            (State::Held, 0, 1),
            (State::Lent, 77, (1 << NUMBER_BITS) - 1),
            (State::Taken, NO_SLOT - 1, 1 << 43),
        ] {
            let word = Word::new(state, slot, number);
            assert_eq!((word.state(), word.slot(), word.number()), (state, slot, number));
        }
    }

    #[test]
    fn the_number_wraps_into_itself_and_not_into_the_slot() {
        let last = Word::new(State::Lent, 5, (1 << NUMBER_BITS) - 1);
        let next = last.next(State::Held, 5);
        assert_eq!((next.state(), next.slot(), next.number()), (State::Held, 5, 0));
    }

    fn lent(core: &CoreWord, slot: SlotId) -> Word {
        core.assign(slot);
        core.lend(core.adopt(slot))
    }

    #[test]
    fn a_stale_observation_robs_nobody() {
        let (core, suspicion) = (CoreWord::new(), Suspicion::new());
        let seen = lent(&core, 1);
        suspicion.raise(Suspect::Monitor);
        let now = core.leave(seen, &suspicion).expect("nobody took it");
        assert_eq!(core.retake(seen, 1, 9), Err(Stale), "a region has ended since");
        assert!(core.reclaim(now).is_ok());
    }

    #[test]
    fn a_region_that_nobody_looks_at_leaves_the_word_alone() {
        let (core, suspicion) = (CoreWord::new(), Suspicion::new());
        let seen = lent(&core, 1);
        assert_eq!(core.leave(seen, &suspicion), Ok(seen));
        suspicion.raise(Suspect::Sentinel);
        suspicion.raise(Suspect::Stalled);
        suspicion.settle(Suspect::Sentinel);
        let now = core.leave(seen, &suspicion).expect("nobody took it");
        assert_ne!(now, seen, "a claim that waits is stale now");
        assert_eq!(core.leave(now, &suspicion), Ok(now), "and is forgotten");
    }

    #[test]
    fn an_observation_of_another_thread_robs_nobody() {
        let core = CoreWord::new();
        let seen = lent(&core, 1);
        assert_eq!(core.retake(seen, 2, 9), Err(Stale));
        assert!(core.reclaim(seen).is_ok());
    }

    #[test]
    fn a_lender_that_comes_late_finds_its_core_gone() {
        let core = CoreWord::new();
        let seen = lent(&core, 1);
        assert!(core.retake(seen, 1, 9).is_ok());
        assert_eq!(core.leave(seen, &Suspicion::new()), Err(Lost));
        assert_eq!(core.reclaim(seen), Err(Lost));
        assert_eq!(core.adopt(9).slot(), 9);
    }
}
