//! The word of a task: who may poll it, who has its result, and when its memory goes.
//!
//! # The parts
//!
//! | part | means |
//! |---|---|
//! | `SCHEDULED` | somebody has its right to run, or, while it is polled, it is to be polled again |
//! | `RUNNING` | it is polled, or its future is dropped |
//! | `COMPLETE` | the future is gone, and the result stands in its place |
//! | `HANDLE` | somebody may want the result |
//! | `AWAITER` | the waker of whoever waits for the result is in its place |
//! | `ABORTED` | it is not to be polled any more |
//! | `CANCELLED` | it is complete, and there is no result |
//! | a tag | what its maker wants to remember; never changes |
//! | references | how many keep its memory: the right to run, the handles, the wakers, the list of those alive |
//!
//! # Who may touch what
//!
//! *The future* is touched by the one with the right to run, and there is one at most: it is made
//! with the task, and anew by the wake that finds neither `SCHEDULED` nor `RUNNING` and sets the
//! first, which only one can. [`begin`](TaskWord::begin) clears `SCHEDULED` and sets `RUNNING`;
//! [`rest`](TaskWord::rest) gives the right up, or, woken meanwhile, keeps it. Between two that
//! have it stands the Release of `rest` and the Acquire of `begin`: what comes between them in the
//! word's order are read-modify-writes, which go on with the release sequence. (A task that only one
//! thread may poll and drop is ended by that when its set is closed, also if another has the right
//! and has not brought it yet. The lock of the set's queue tells that one that its right is void.)
//!
//! *No wake is lost.* What a waker has written before its wake is seen by a poll that begins behind
//! it. If the wake makes the right to run or finds the task running, a poll follows. If it finds
//! `SCHEDULED`, one follows as well; but it must see what was written, and so the wake writes the
//! word again, as it was: `begin` reads that or something behind it. (A load would not do: it may
//! be done while what was written before still waits in the processor's store buffer.)
//!
//! *The result* is written by the one with the right to run, before `COMPLETE`, whose Release it
//! is. From there on it belongs to the handle, if `HANDLE` was set then, and otherwise to whoever
//! completed the task. The handle clears `HANDLE` only while the task is not complete, in one step
//! with that look.
//!
//! *The place of the awaiter* belongs to the handle while `AWAITER` is not set, and to whoever
//! completes the task when it is. The handle sets and clears it only while the task is not
//! complete, in one step with that look, so in the moment of `COMPLETE` it is settled whose it is.
//!
//! *The memory* is freed by the one that gives up the last reference: everybody's Release, and its
//! Acquire. The one that completes a task has one until it has woken the awaiter.

use crate::primitive::{AtomicU64, Ordering, weakened};

const SCHEDULED: u64 = 1;
const RUNNING: u64 = 1 << 1;
const COMPLETE: u64 = 1 << 2;
const HANDLE: u64 = 1 << 3;
const AWAITER: u64 = 1 << 4;
const ABORTED: u64 = 1 << 5;
const CANCELLED: u64 = 1 << 6;
const TAG_SHIFT: u32 = 8;
const REFERENCE: u64 = 1 << 16;

/// The word of one task. It begins scheduled, with a handle.
#[derive(Debug)]
pub(crate) struct TaskWord(AtomicU64);

/// What whoever has polled a task does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Rest {
    /// Nothing: it has given up the right to run and its reference. The task may be anybody's.
    Asleep,
    /// It was woken meanwhile: the right to run is still there, and is to be queued.
    Again,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Now {
    /// It waits to be woken.
    Waits,
    /// It waits for its poll.
    Queued,
    /// It is polled, or its future is dropped.
    Runs,
}

/// What the one that has completed a task has to see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Completed {
    /// Nobody wants the result: drop it.
    Unwanted,
    /// The handle has it.
    Left,
    /// The same, and somebody waits: the waker in the place of the awaiter is to be taken and woken.
    Awaited,
}

/// What a handle that is dropped has to see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Dropped {
    /// Nothing; its reference is given up.
    Detached,
    /// The place of the awaiter is the handle's: empty it, and ask again.
    Awaiter,
    /// The task is complete: drop the result, if it has not been taken, and give up the reference.
    Complete,
}

impl TaskWord {
    /// The word of a task with so many references: the right to run and a handle are two of them.
    pub(crate) fn new(tag: u8, references: u64) -> Self {
        let flags = SCHEDULED | HANDLE | u64::from(tag) << TAG_SHIFT;
        TaskWord(AtomicU64::new(flags + references * REFERENCE))
    }

    /// What its maker wanted to be remembered.
    #[inline]
    pub(crate) fn tag(&self) -> u8 {
        // Ordering: Relaxed. It never changes.
        (self.0.load(Ordering::Relaxed) >> TAG_SHIFT) as u8
    }

    /// Changes the word by `next`, or leaves it for what that says.
    #[inline]
    fn change<E>(
        &self,
        success: Ordering,
        failure: Ordering,
        next: impl Fn(u64) -> Result<u64, E>,
    ) -> Result<u64, E> {
        let mut seen = self.0.load(failure);
        loop {
            let to = next(seen)?;
            match self.0.compare_exchange_weak(seen, to, success, failure) {
                Ok(_) => return Ok(seen),
                Err(now) => seen = now,
            }
        }
    }

    /// A wake by a reference that stays. `true`: the caller has the right to run now, with a
    /// reference of its own, and queues it.
    #[inline]
    pub(crate) fn wake(&self) -> bool {
        self.schedule(0, REFERENCE)
    }

    /// A wake by one that gives up its reference. `true`: it is that of the right to run now, which
    /// the caller queues. `false`: the caller still has it, and drops it.
    #[inline]
    pub(crate) fn wake_and_go(&self) -> bool {
        self.schedule(0, 0)
    }

    /// The task is not to be polled any more; otherwise as [`wake`](Self::wake).
    pub(crate) fn abort(&self) -> bool {
        self.schedule(ABORTED, REFERENCE)
    }

    #[inline]
    fn schedule(&self, flags: u64, reference: u64) -> bool {
        let is_asleep = |seen: u64| seen & (SCHEDULED | RUNNING) == 0;
        let next = |seen: u64| {
            if seen & COMPLETE != 0 {
                return Err(());
            }
            Ok((seen | SCHEDULED | flags) + if is_asleep(seen) { reference } else { 0 })
        };
        // Ordering: Release. Partner: the Acquire of `begin`.
        let release = weakened!("task-wake", Ordering::Release);
        self.change(release, Ordering::Relaxed, next).is_ok_and(is_asleep)
    }

    /// By the one with the right to run: it is used. Returns whether the task was aborted.
    #[inline]
    pub(crate) fn begin(&self) -> bool {
        // `SCHEDULED` is set, and `RUNNING` is not: one addition does both.
        // Ordering: Acquire, of what wakers have written, and of what the last poll left. Partners:
        // `schedule` and `rest`.
        let acquire = weakened!("task-begin", Ordering::Acquire);
        let seen = self.0.fetch_add(RUNNING - SCHEDULED, acquire);
        debug_assert_eq!(seen & (SCHEDULED | RUNNING | COMPLETE), SCHEDULED, "one has the right");
        seen & ABORTED != 0
    }

    /// By the one thread that may begin or end the task: whether somebody has the right to run and has not
    /// begun.
    pub(crate) fn is_scheduled(&self) -> bool {
        // Ordering: Relaxed. `begin` acquires.
        self.0.load(Ordering::Relaxed) & (SCHEDULED | RUNNING | COMPLETE) == SCHEDULED
    }

    /// For whoever lists tasks: what it is doing, at this moment.
    pub(crate) fn now(&self) -> Now {
        // Ordering: Relaxed. It is a look, and nothing is done about it.
        let seen = self.0.load(Ordering::Relaxed);
        match (seen & RUNNING != 0, seen & SCHEDULED != 0) {
            (true, _) => Now::Runs,
            (false, true) => Now::Queued,
            (false, false) => Now::Waits,
        }
    }

    /// By the one that has begun: the poll has ended, and the task has not.
    #[inline]
    pub(crate) fn rest(&self) -> Rest {
        let is_woken = |seen: u64| seen & SCHEDULED != 0;
        let next = |seen: u64| -> Result<u64, ()> {
            Ok((seen & !RUNNING) - if is_woken(seen) { 0 } else { REFERENCE })
        };
        debug_assert!(
            self.0.load(Ordering::Relaxed) / REFERENCE > 1,
            "while it lives, the list of those alive keeps it"
        );
        // Ordering: Release. Partner: the Acquire of `begin`; and that of the last reference.
        let release = weakened!("task-rest", Ordering::Release);
        let asleep = self.change(release, Ordering::Relaxed, next).is_ok_and(|s| !is_woken(s));
        if asleep { Rest::Asleep } else { Rest::Again }
    }

    /// By the same: the future is gone, and the result is written, unless the task was `cancelled`.
    /// The caller has its reference still.
    #[inline]
    pub(crate) fn complete(&self, cancelled: bool) -> Completed {
        let cancelled = if cancelled { CANCELLED } else { 0 };
        // Ordering: Release, of the result. Partners: the loads of `is_complete`, and of what the
        // handle changes. Acquire, of the awaiter. Partner: `offer_awaiter`.
        let both = weakened!("task-complete", Ordering::AcqRel);
        let seen = self.0.fetch_add(COMPLETE + cancelled - RUNNING, both);
        debug_assert_eq!(seen & (RUNNING | COMPLETE), RUNNING, "only a poll completes a task");
        match (seen & HANDLE != 0, seen & AWAITER != 0) {
            (false, _) => Completed::Unwanted,
            (true, false) => Completed::Left,
            (true, true) => Completed::Awaited,
        }
    }

    /// Whether the result is there, or is known to be missing.
    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        // Ordering: Acquire, of the result. Partner: `complete`.
        self.0.load(weakened!("task-look", Ordering::Acquire)) & COMPLETE != 0
    }

    /// Of one that is complete: whether there is no result.
    pub(crate) fn is_cancelled(&self) -> bool {
        // Ordering: Relaxed. It never changes behind `COMPLETE`, which the caller has seen.
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// By the handle: a waker is in the awaiter's place. `false`: the task is complete, and the
    /// place is the handle's still.
    #[inline]
    pub(crate) fn offer_awaiter(&self) -> bool {
        // Ordering: Release, of the waker. Partner: `complete`. Acquire, if it was faster, here and
        // below: of the result.
        let release = weakened!("task-offer", Ordering::Release);
        let next = |seen| if seen & COMPLETE != 0 { Err(()) } else { Ok(seen | AWAITER) };
        self.change(release, weakened!("task-ended", Ordering::Acquire), next).is_ok()
    }

    /// By the handle, which has offered one: the place of the awaiter is its own again. `false`: the
    /// task is complete, and the place is not the handle's any more.
    #[inline]
    pub(crate) fn take_awaiter_back(&self) -> bool {
        // Ordering: Relaxed. What is in the place the handle has written itself.
        let next = |seen| if seen & COMPLETE != 0 { Err(()) } else { Ok(seen & !AWAITER) };
        let acquire = weakened!("task-back", Ordering::Acquire);
        self.change(Ordering::Relaxed, acquire, next).is_ok()
    }

    /// By the handle: it goes.
    #[inline]
    pub(crate) fn drop_handle(&self) -> Dropped {
        let next = |seen| match seen & (COMPLETE | AWAITER) {
            0 => Ok((seen & !HANDLE) - REFERENCE),
            AWAITER => Ok(seen & !AWAITER),
            _ => Err(()),
        };
        // Ordering: Release, as of any reference that is given up. Acquire, of the result.
        let release = weakened!("task-detach", Ordering::Release);
        match self.change(release, weakened!("task-left", Ordering::Acquire), next) {
            Ok(seen) if seen & AWAITER == 0 => Dropped::Detached,
            Ok(_) => Dropped::Awaiter,
            Err(()) => Dropped::Complete,
        }
    }

    /// One more keeps the memory.
    #[inline]
    pub(crate) fn keep(&self) {
        // Ordering: Relaxed. Whoever has a reference may make another.
        if self.0.fetch_add(REFERENCE, Ordering::Relaxed) > u64::MAX / 2 {
            // So many wakers were leaked that the count would wrap, and the memory be freed under
            // those that are left.
            std::process::abort();
        }
    }

    /// Gives so many references up. `true`: they were the last, and the caller frees the memory.
    #[inline]
    #[must_use]
    pub(crate) fn let_go(&self, references: u64) -> bool {
        // Ordering: Release of what was done with it, and Acquire of that for the last.
        let both = weakened!("task-free", Ordering::AcqRel);
        let seen = self.0.fetch_sub(references * REFERENCE, both);
        debug_assert!(seen / REFERENCE >= references, "nobody gives up what it does not have");
        seen / REFERENCE == references
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wake_makes_one_right_to_run() {
        let word = TaskWord::new(0x5a, 3);
        assert!(!word.wake(), "it begins with one");
        assert!(!word.begin());
        assert!(!word.wake(), "it is polled");
        assert_eq!(word.rest(), Rest::Again);
        assert!(!word.begin());
        assert_eq!(word.rest(), Rest::Asleep);
        assert!(word.wake());
        assert!(!word.abort(), "it is queued");
        assert!(word.begin(), "it was aborted");
        assert_eq!(word.complete(true), Completed::Left);
        assert!(!word.wake() && !word.wake_and_go() && !word.abort());
        assert!(word.is_complete() && word.is_cancelled());
        assert_eq!(word.tag(), 0x5a);
        assert_eq!(word.drop_handle(), Dropped::Complete);
        assert!(!word.let_go(2));
        assert!(word.let_go(1), "no reference is left, and none too few");
    }

    #[test]
    fn the_awaiters_place_is_the_handles_until_it_is_offered() {
        let word = TaskWord::new(0, 2);
        assert!(word.offer_awaiter());
        assert!(word.take_awaiter_back());
        assert!(word.offer_awaiter());
        assert!(!word.begin());
        assert_eq!(word.complete(false), Completed::Awaited);
        assert!(!word.take_awaiter_back() && !word.offer_awaiter());
        assert!(!word.is_cancelled());
        assert!(word.let_go(2));
    }

    #[test]
    fn a_handle_that_goes_takes_its_waker_along() {
        let word = TaskWord::new(0, 2);
        assert!(word.offer_awaiter());
        assert_eq!(word.drop_handle(), Dropped::Awaiter);
        assert_eq!(word.drop_handle(), Dropped::Detached);
        assert!(!word.begin());
        assert_eq!(word.complete(false), Completed::Unwanted);
        assert!(word.let_go(1));
    }
}
