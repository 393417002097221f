//! Whether polls that block without having said so are frequent, and whether they are short.
//!
//! A ring tells of a block at once, and costs two system calls a sleep while it is armed. For marked
//! calls their sites say whether that is worth it. A poll has no site of its own that could be asked on
//! the way; here one answer serves all: rescues that follow each other closely.
//!
//! A poll that went to sleep keeps its core for `rescue_after`, because a hand-off costs more than a
//! short block. Waiting for that time costs, too: the core stands, and so does a CPU. So the sentinel, or
//! the monitor where there is none, counts how those go on that it has seen asleep. As long as nearly all
//! of them sleep on, it waits only for one in sixteen, to be told when that changes.

use std::time::{Duration, Instant};

use crate::primitive::{AtomicBool, AtomicU32, Mutex, Ordering};

/// Two rescues so close to each other make them frequent.
const CLOSE: Duration = Duration::from_millis(50);

/// And they are no longer if none has come for so long.
const OVER: Duration = Duration::from_millis(200);

/// See above.
#[derive(Debug, Default)]
pub(crate) struct Rescues {
    last: Mutex<Option<Instant>>,
    frequent: AtomicBool,
    /// How sure it is that a poll which has fallen asleep sleeps on. The sentinel's alone; the monitor's where
    /// there is none.
    sure: AtomicU32,
    /// Of those that are not waited for, how many there were. The same one's.
    unasked: AtomicU32,
}

/// What a poll counts that slept on, and one that did not, up to `SUREST`; from `SURE` on none is waited
/// for. At most one in seventeen may be short.
const SLEPT_ON: u32 = 1;
const WAS_SHORT: u32 = 16;
const SURE: u32 = 32;
const SUREST: u32 = 64;

/// One poll of so many is waited for all the same.
const ASKED: u32 = 16;

impl Rescues {
    /// A poll was found asleep.
    pub(crate) fn note(&self, now: Instant) {
        let before = self.last.lock().replace(now);
        if before.is_some_and(|before| now.saturating_duration_since(before) < CLOSE) {
            // Ordering: a hint, here and below.
            self.frequent.store(true, Ordering::Relaxed);
        }
    }

    /// By the monitor, now and then.
    pub(crate) fn review(&self, now: Instant) {
        if !self.are_frequent() {
            return;
        }
        let last = *self.last.lock();
        if last.is_none_or(|last| now.saturating_duration_since(last) >= OVER) {
            self.frequent.store(false, Ordering::Relaxed);
        }
    }

    /// A poll was looked at once more when it had slept for `rescue_after`, or should have.
    pub(crate) fn learn(&self, slept_on: bool) {
        // Ordering: Relaxed, here and below; one sentinel follows the other by an acquiring swap, and
        // where there is none the monitor is one thread.
        let sure = self.sure.load(Ordering::Relaxed);
        let sure = match slept_on {
            true => (sure + SLEPT_ON).min(SUREST),
            false => sure.saturating_sub(WAS_SHORT),
        };
        self.sure.store(sure, Ordering::Relaxed);
    }

    /// Whether nearly all of them sleep on.
    pub(crate) fn are_long(&self) -> bool {
        self.sure.load(Ordering::Relaxed) >= SURE
    }

    /// Whether a poll that has just fallen asleep may lose its core at once.
    pub(crate) fn will_sleep_on(&self) -> bool {
        if !self.are_long() {
            return false;
        }
        let unasked = self.unasked.load(Ordering::Relaxed).wrapping_add(1);
        self.unasked.store(unasked, Ordering::Relaxed);
        !unasked.is_multiple_of(ASKED)
    }

    /// Whether the thread of a poll should have its ring armed. One load of what seldom changes.
    #[inline]
    pub(crate) fn are_frequent(&self) -> bool {
        self.frequent.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_sleeps_on_is_not_waited_for_until_it_is_short() {
        let rescues = Rescues::default();
        (0..SURE).for_each(|_| {
            assert!(!rescues.will_sleep_on());
            rescues.learn(true);
        });
        let at_once = (0..160).filter(|_| rescues.will_sleep_on()).count();
        assert_eq!(at_once, 150, "one in sixteen is asked");
        rescues.learn(false);
        assert!(!rescues.will_sleep_on());
    }

    #[test]
    fn two_that_are_close_make_them_frequent_until_none_comes() {
        let rescues = Rescues::default();
        let at = |ms| Instant::now() + Duration::from_millis(ms);
        rescues.note(at(0));
        rescues.note(at(60));
        assert!(!rescues.are_frequent(), "too far apart");
        rescues.note(at(70));
        assert!(rescues.are_frequent());
        rescues.review(at(120));
        assert!(rescues.are_frequent());
        rescues.review(at(400));
        assert!(!rescues.are_frequent());
    }
}
