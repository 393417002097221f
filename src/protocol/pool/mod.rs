//! Permits, spares, and what could not be served: the slow half of a hand-off.
//!
//! Everything here happens under one lock, because a hand-off needs three things at once: a core
//! that is still lent by the thread that was seen blocked, a permit, and a warm spare. One lock
//! makes "at once" true, and nobody takes it on the path that does not block.
//!
//! | held | by | from | until |
//! |---|---|---|---|
//! | a permit | a coreless thread | the retake, by the thief | it has a core again or is a spare |
//! | a permit | a waiter at the gate | the grant | its region hands over first, or gives it back |
//! | the emergency permit | one coreless thread | a retake of the last running core | the same |
//! | a place on the stalled list | a core found blocked that could not be retaken | then | served, or seen to run again |
//! | a place in `spares` | a thread that waits for a core | it has none | popped by a retake, or it goes to be the sentinel |
//!
//! *Nothing observed is forgotten*: a claim that finds no permit or no spare goes on the stalled
//! list, and every event that could serve one (a permit released, a spare added, the cap raised)
//! ends in [`Pool::serve`], stalled cores first, then the gate, first in first out.

mod holdings;
#[cfg(all(test, not(threadlet_loom)))]
mod tests;
mod waiters;

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use self::holdings::Holdings;
use super::Cause;
use super::core::{CoreWord, SlotId, Stale, Word};
use super::queue::{Left, Line, Ticket};
use crate::primitive::failpoint::fail_point;
use crate::primitive::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, Padded};

/// A core that a detector wants handed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// The seat.
    pub(crate) seat: usize,
    /// Its word, loaded before the thread was observed.
    pub(crate) seen: Word,
    /// The thread that was observed.
    pub(crate) observed: SlotId,
    /// What it was observed to do.
    pub(crate) cause: Cause,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Retake {
    /// The core is on its way to a spare.
    Done,
    /// The thread has moved on; nothing is owed.
    Stale,
    /// No permit: the core is on the stalled list.
    NoPermit,
    /// No spare: the core is on the stalled list, and the monitor must make one.
    NoSpare,
}

/// What a coreless thread holds, told to it when it finds its core gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// Why the core was taken.
    pub(crate) cause: Cause,
    /// When.
    pub(crate) since: Instant,
    emergency: bool,
}

/// What the caller does after it has left the lock.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Todo {
    /// Threads for which a core was retaken, by the claim: to be unparked, if it is not the thief
    /// itself.
    pub(crate) handed: Vec<(SlotId, Claim)>,
    /// Tasks whose wait at the gate is over.
    pub(crate) granted: Vec<Waker>,
    /// The monitor should make a spare.
    pub(crate) want_spare: bool,
}

#[derive(Debug)]
struct State {
    cap: usize,
    rescue_cap: usize,
    in_use: usize,
    peak: usize,
    spares: Vec<SlotId>,
    min_spares: usize,
    stalled: VecDeque<Claim>,
    gate: Line,
    holdings: Holdings,
    handoffs: [u64; 4],
    stalled_total: u64,
    closed: bool,
    // For the invariant "permits returned = taken".
    taken: u64,
    returned: u64,
}

/// The words of all cores, and what a hand-off needs beside them.
#[derive(Debug)]
pub(crate) struct Pool {
    words: Box<[CoreWord]>,
    hints: Padded<Hints>,
    state: Padded<Mutex<State>>,
}

/// Read at each gate, by all cores, and so written only where they change: a hand-off on one core is
/// not to take them out of the others' caches.
#[derive(Debug)]
struct Hints {
    /// Whether a permit is free; written under the lock, read as a hint.
    any_free: AtomicBool,
    /// Stalled cores and waiters at the gate; written under the lock, read as a hint.
    behind: AtomicUsize,
    unprotected: AtomicUsize,
}

/// Counts for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolCounts {
    pub(crate) handoffs: [u64; 4],
    pub(crate) async_threads: usize,
    pub(crate) peak: usize,
    pub(crate) free: usize,
    pub(crate) gate: usize,
    pub(crate) stalled_now: usize,
    pub(crate) stalled_total: u64,
    pub(crate) spares: usize,
    pub(crate) releases: u64,
}

impl Pool {
    pub(crate) fn new(cores: usize, cap: usize, min_spares: usize) -> Self {
        Pool {
            words: (0..cores).map(|_| CoreWord::new()).collect(),
            hints: Padded(Hints {
                any_free: AtomicBool::new(cap > 0),
                behind: AtomicUsize::new(0),
                unprotected: AtomicUsize::new(0),
            }),
            state: Padded(Mutex::new(State {
                cap,
                rescue_cap: rescue_cap(cap),
                in_use: 0,
                peak: 0,
                spares: Vec::new(),
                min_spares,
                stalled: VecDeque::new(),
                gate: Line::new(),
                holdings: Holdings::default(),
                handoffs: [0; 4],
                stalled_total: 0,
                closed: false,
                taken: 0,
                returned: 0,
            })),
        }
    }

    /// The word of a seat.
    #[inline]
    pub(crate) fn word(&self, seat: usize) -> &CoreWord {
        &self.words[seat]
    }

    /// The seat whose core was retaken for the spare in `slot`, if there is one.
    pub(crate) fn taken_for(&self, slot: SlotId) -> Option<usize> {
        self.words.iter().position(|word| word.is_taken_for(slot))
    }

    /// Whether a permit is free; a hint.
    #[inline]
    pub(crate) fn any_free(&self) -> bool {
        self.hints.any_free.load(Ordering::Relaxed)
    }

    /// Whether a stalled core or a task at the gate waits for a permit; a hint.
    #[inline]
    pub(crate) fn anyone_behind(&self) -> bool {
        self.hints.behind.load(Ordering::Relaxed) > 0
    }

    fn publish(&self, state: &State) {
        let any_free = state.free() > 0;
        if self.hints.any_free.load(Ordering::Relaxed) != any_free {
            self.hints.any_free.store(any_free, Ordering::Relaxed);
        }
        let behind = state.stalled.len() + state.gate.len();
        if self.hints.behind.load(Ordering::Relaxed) != behind {
            self.hints.behind.store(behind, Ordering::Relaxed);
        }
        debug_assert_eq!(
            state.taken - state.returned,
            (state.in_use + usize::from(state.emergency())) as u64,
            "permits taken = returned + held"
        );
    }

    /// A thief's claim, for a spare or for `taker`: the thief itself, which has no core and is not on
    /// the list of spares, so that nobody else chooses it. On success the permit has passed to the
    /// observed thread.
    pub(crate) fn retake(&self, claim: Claim, taker: Option<SlotId>, todo: &mut Todo) -> Retake {
        let mut state = self.state.lock();
        debug_assert!(taker.is_none_or(|taker| !state.spares.contains(&taker)), "on no list");
        let answer = self.attempt(&mut state, claim, taker, todo);
        if matches!(answer, Retake::NoPermit | Retake::NoSpare) {
            self.remember(&mut state, claim);
        }
        self.publish(&state);
        answer
    }

    fn remember(&self, state: &mut State, claim: Claim) {
        if self.word(claim.seat).load() != claim.seen {
            // By a thread that hands over first and does not know yet that its core is gone: it is not to
            // take the place of a claim to the thread that has the core now.
            return;
        }
        let known =
            state.stalled.iter_mut().find(|old| (old.seat, old.seen) == (claim.seat, claim.seen));
        if let Some(old) = known {
            // The same word, but an unmarked poll may have entered a region since: other limits.
            old.cause = claim.cause;
            return;
        }
        state.stalled.retain(|old| old.seat != claim.seat);
        state.stalled_total += 1;
        state.stalled.push_back(claim);
    }

    /// Retakes `claim` if a permit is at hand, and a spare or the `taker`; moves nothing otherwise.
    fn attempt(
        &self,
        state: &mut State,
        claim: Claim,
        taker: Option<SlotId>,
        todo: &mut Todo,
    ) -> Retake {
        let word = self.word(claim.seat);
        if word.load() != claim.seen || state.closed {
            return Retake::Stale;
        }
        let permit = state.free() > 0;
        let within = claim.cause != Cause::Rescued || state.rescued() < state.rescue_cap;
        let last = !(permit && within) && self.is_last_running(state, claim.seat);
        // The bound on rescues keeps one popular lock from taking every permit. It is not to stop
        // the last core while permits are free.
        let ordinary = permit && (within || last);
        let emergency = !ordinary && !state.emergency() && last;
        if !ordinary && !emergency {
            return Retake::NoPermit;
        }
        let Some(spare) = taker.or_else(|| state.spares.last().copied()) else {
            todo.want_spare = true;
            return Retake::NoSpare;
        };
        fail_point!("retake");
        match word.retake(claim.seen, claim.observed, spare) {
            Ok(_) => {}
            Err(Stale) => return Retake::Stale,
        }
        fail_point!("retaken");
        state.in_use += usize::from(ordinary);
        state.taken += 1;
        if taker.is_none() {
            state.spares.pop();
        }
        self.commit(state, claim, emergency, todo);
        todo.handed.push((spare, claim));
        Retake::Done
    }

    /// The retake is done: what is counted and written down with it.
    fn commit(&self, state: &mut State, claim: Claim, emergency: bool, todo: &mut Todo) {
        state.stalled.retain(|old| old.seat != claim.seat);
        state.handoffs[claim.cause as usize] += 1;
        let holding = Holding { cause: claim.cause, since: Instant::now(), emergency };
        state.holdings.insert(claim.observed, holding);
        state.peak = state.peak.max(state.holdings.len());
        todo.want_spare |= state.spares.len() < state.min_spares;
    }

    /// Whether every core but this one is known to be stalled.
    fn is_last_running(&self, state: &State, seat: usize) -> bool {
        let stalled = |other: usize| {
            state
                .stalled
                .iter()
                .any(|claim| claim.seat == other && self.word(other).load() == claim.seen)
        };
        (0..self.words.len()).all(|other| other == seat || stalled(other))
    }

    /// A coreless thread looks at what it holds (and goes on holding it).
    pub(crate) fn holding(&self, slot: SlotId) -> Holding {
        self.state.lock().holdings.get(slot).expect("the thief wrote it")
    }

    /// A coreless thread has a core again, or ends: its permit is free.
    pub(crate) fn release(&self, slot: SlotId, todo: &mut Todo) {
        let mut state = self.state.lock();
        let held = state.release(slot);
        debug_assert!(held, "a coreless thread holds one");
        self.serve(&mut state, todo);
    }

    /// A thread without a core waits for one from here on; the permit it may hold is free. Both at
    /// once: between the two it would be in neither count, and another spare be made in its place.
    pub(crate) fn add_spare(&self, slot: SlotId, todo: &mut Todo) {
        let mut state = self.state.lock();
        debug_assert!(!state.spares.contains(&slot), "a thread is one spare");
        state.release(slot);
        state.spares.push(slot);
        self.serve(&mut state, todo);
    }

    /// A spare, if there is one; it may have a core on its way to it in the next moment.
    pub(crate) fn any_spare(&self) -> Option<SlotId> {
        self.state.lock().spares.last().copied()
    }

    /// A spare wants to retire. `false`: it is needed, or a core is already on its way to it.
    pub(crate) fn retire_spare(&self, slot: SlotId) -> bool {
        let mut state = self.state.lock();
        state.spares.len() > state.min_spares && Pool::take_off(&mut state, slot)
    }

    /// A spare ends with its runtime. `false`: a core is already on its way to it.
    pub(crate) fn remove_spare(&self, slot: SlotId) -> bool {
        Pool::take_off(&mut self.state.lock(), slot)
    }

    /// A spare goes to be the sentinel. `false`: a core is already on its way to it.
    pub(crate) fn withdraw_spare(&self, slot: SlotId, todo: &mut Todo) -> bool {
        let mut state = self.state.lock();
        let withdrawn = Pool::take_off(&mut state, slot);
        todo.want_spare |= state.spares.len() < state.min_spares;
        withdrawn
    }

    fn take_off(state: &mut State, slot: SlotId) -> bool {
        let Some(nth) = state.spares.iter().position(|spare| *spare == slot) else {
            return false;
        };
        state.spares.remove(nth);
        true
    }

    /// Gives what is free to those that wait for it: stalled cores first, then the gate.
    fn serve(&self, state: &mut State, todo: &mut Todo) {
        // Stalled cores that lack nothing but a spare keep a permit each: one given to the gate
        // might wait, with its task, for the very core that is stalled.
        let mut reserved = 0;
        for _ in 0..state.stalled.len() {
            let Some(claim) = state.stalled.pop_front() else { break };
            let answer = self.attempt(state, claim, None, todo);
            if matches!(answer, Retake::NoPermit | Retake::NoSpare) {
                state.stalled.push_back(claim);
                reserved += usize::from(answer == Retake::NoSpare);
            }
        }
        self.grant(state, reserved, todo);
        self.publish(state);
    }

    /// Looks at the stalled list once more: drops those that run again, serves the others if
    /// anything has become free. The monitor calls it while the list is not empty.
    pub(crate) fn look_again(&self, todo: &mut Todo) {
        let mut state = self.state.lock();
        self.serve(&mut state, todo);
    }

    /// A new cap. A lower one takes nothing away: permits in use come back as their calls end.
    pub(crate) fn set_cap(&self, cap: usize, todo: &mut Todo) {
        let mut state = self.state.lock();
        state.cap = cap;
        state.rescue_cap = rescue_cap(cap);
        self.serve(&mut state, todo);
    }

    /// The lender itself hands its core over before the call, with the permit of `ticket` or, if it
    /// has none, with one that is free. `false`: there was no permit, or no spare yet; the core is
    /// still lent as it was, the ticket's permit is given back, and the claim is first in line for
    /// what is missing.
    pub(crate) fn hand_over_first(
        &self,
        ticket: Option<Ticket>,
        claim: Claim,
        todo: &mut Todo,
    ) -> bool {
        let mut state = self.state.lock();
        if let Some(ticket) = ticket {
            let granted = matches!(state.gate.leave(ticket), Left::Granted);
            assert!(granted, "only a granted ticket leads here");
            state.in_use -= 1;
            state.returned += 1;
        }
        let done = state.free() > 0 && self.attempt(&mut state, claim, None, todo) == Retake::Done;
        if !done {
            self.remember(&mut state, claim);
        }
        self.serve(&mut state, todo);
        done
    }

    /// The lender itself gives its core away and goes on without, not because it is about to block.
    /// Nothing is remembered if there is no spare yet, or no permit. On success the thread holds a
    /// permit, which it gives back at once.
    pub(crate) fn give_away(&self, claim: Claim, todo: &mut Todo) -> bool {
        let mut state = self.state.lock();
        let done = self.attempt(&mut state, claim, None, todo) == Retake::Done;
        self.publish(&state);
        done
    }

    /// How many spares the monitor should make now.
    pub(crate) fn spares_wanted(&self) -> usize {
        let state = self.state.lock();
        if state.closed {
            return 0;
        }
        let ahead = state.min_spares.saturating_sub(state.spares.len());
        ahead.max(state.stalled.len().min(state.free()).saturating_sub(state.spares.len()))
    }

    /// Whether a thread goes on without its core.
    pub(crate) fn is_anyone_coreless(&self) -> bool {
        self.state.lock().holdings.len() > 0
    }

    /// The threads that hold a permit now.
    pub(crate) fn holders(&self) -> Vec<(SlotId, Holding)> {
        self.state.lock().holdings.list().to_vec()
    }

    /// Beside them the claims on the stalled list whose threads have not moved on. Of one moment: a core
    /// that gets its permit meanwhile is in one of the two.
    pub(crate) fn blocked(&self) -> (Vec<(SlotId, Holding)>, Vec<Claim>) {
        let state = self.state.lock();
        let holders = state.holdings.list().to_vec();
        let stands = |claim: &&Claim| self.word(claim.seat).load() == claim.seen;
        (holders, state.stalled.iter().filter(stands).copied().collect())
    }

    /// Shutdown: no core is handed over from here on. The spares stay on the list until each takes
    /// itself off ([`remove_spare`](Self::remove_spare)): one that is not there any more has a core
    /// on its way to it, and must wait for that.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.stalled.clear();
        self.publish(&state);
    }

    pub(crate) fn counts(&self) -> PoolCounts {
        let state: MutexGuard<'_, State> = self.state.lock();
        PoolCounts {
            handoffs: state.handoffs,
            async_threads: state.holdings.len(),
            peak: state.peak,
            free: state.free(),
            gate: state.gate.len(),
            stalled_now: state.stalled.len(),
            stalled_total: state.stalled_total,
            spares: state.spares.len(),
            releases: state.returned,
        }
    }
}

impl State {
    fn free(&self) -> usize {
        self.cap.saturating_sub(self.in_use)
    }

    /// How many threads hold a permit for a rescue.
    fn rescued(&self) -> usize {
        self.holdings.rescued()
    }

    /// Whether the emergency permit is taken.
    fn emergency(&self) -> bool {
        self.holdings.emergency()
    }

    /// Takes back what the thread in `slot` holds, if it holds a permit.
    fn release(&mut self, slot: SlotId) -> bool {
        let Some(holding) = self.holdings.remove(slot) else { return false };
        if holding.emergency {
            self.returned += 1;
        } else {
            self.in_use -= 1;
            self.returned += 1;
        }
        true
    }
}

/// How many of `cap` permits rescues may take, so that one popular lock cannot take them all.
fn rescue_cap(cap: usize) -> usize {
    (cap / 4).max(1)
}
