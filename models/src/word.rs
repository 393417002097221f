//! The word of a core: lend, reclaim, bump, retake, adopt, park, claim.

use loom::thread;

use super::{Private, explore};
use crate::primitive::{Arc, AtomicBool, Ordering, fence};
use crate::protocol::core::{CoreWord, Lost, SlotId, State, Suspect, Suspicion, Word};

pub(super) const LENDER: SlotId = 1;
const SPARE: SlotId = 2;

/// A core, what belongs to it alone, and whether its lender sleeps (what a ring would show).
pub(super) struct Setting {
    pub(super) word: CoreWord,
    data: Private,
    asleep: AtomicBool,
    suspicion: Suspicion,
}

pub(super) fn setting() -> Arc<Setting> {
    let word = CoreWord::new();
    word.assign(LENDER);
    let asleep = AtomicBool::new(false);
    Arc::new(Setting { word, data: Private::new(), asleep, suspicion: Suspicion::new() })
}

impl Setting {
    /// The thief's order: its suspicion, the word, then the thread, then the swap of that same
    /// word.
    pub(super) fn thief(&self) -> bool {
        self.suspicion.raise(Suspect::Sentinel);
        let seen = self.word.load();
        let taken = seen.state() == State::Lent
            && self.asleep.load(Ordering::Relaxed)
            && self.word.retake(seen, LENDER, SPARE).is_ok();
        self.suspicion.settle(Suspect::Sentinel);
        taken
    }

    /// A call that blocks: it sleeps, and then it does not.
    pub(super) fn blocks(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        self.asleep.store(false, Ordering::Relaxed);
        // The kernel's, in the switch that brings the thread back.
        fence(Ordering::SeqCst);
    }

    /// A region has ended.
    pub(super) fn leave(&self, lent: Word) -> Result<Word, Lost> {
        self.word.leave(lent, &self.suspicion)
    }
}

/// The story: a thief loads the word, sees the thread asleep, and is put off its CPU. Meanwhile the
/// call returns, and the thread is in the next region, which does not block. The late swap must not
/// take the core from a thread that runs, nor may the lender overlook a swap that came in time. The
/// same if the thief sees the new word, and a thread that sleeps only in its memory.
#[test]
fn a_stale_observation_of_a_region_robs_nobody() {
    explore(3, || {
        let core = setting();
        let other = core.clone();
        let thief = thread::spawn(move || other.thief());
        let lent = core.word.lend(core.word.adopt(LENDER));
        core.blocks();
        let robbed = match core.leave(lent) {
            Err(Lost) => true,
            Ok(lent) => {
                // The second region does not block, nor does the rest of the poll.
                let lent = core.leave(lent).expect("robbed while it ran");
                let _ = core.word.reclaim(lent).expect("robbed while it ran");
                false
            }
        };
        assert_eq!(thief.join().unwrap(), robbed, "lender and thief agree on who has the core");
    });
}

/// The story: the same across the end of a poll. An unmarked poll blocks and returns, the next poll
/// lends again; the thief of the first must not take the core in the second.
#[test]
fn a_stale_observation_of_a_poll_robs_nobody() {
    explore(3, || {
        let core = setting();
        let other = core.clone();
        let thief = thread::spawn(move || other.thief());
        let lent = core.word.lend(core.word.adopt(LENDER));
        core.blocks();
        let robbed = match core.word.reclaim(lent) {
            Err(Lost) => true,
            Ok(held) => {
                core.data.touch();
                let lent = core.word.lend(held);
                let _ = core.word.reclaim(lent).expect("robbed while it ran");
                false
            }
        };
        assert_eq!(thief.join().unwrap(), robbed, "lender and thief agree on who has the core");
    });
}

/// The story: the lender has filled its queue, lends, and blocks. The spare must find the queue as
/// the lender left it; and a lender that comes back must not touch it while the spare does.
#[test]
fn what_was_done_to_a_core_goes_with_it() {
    explore(2, || {
        let core = setting();
        let other = core.clone();
        let thief = thread::spawn(move || other.thief());
        let other = core.clone();
        let spare = thread::spawn(move || {
            if other.word.is_taken_for(SPARE) {
                let held = other.word.adopt(SPARE);
                other.data.touch();
                let lent = other.word.lend(held);
                let _ = other.word.reclaim(lent).expect("nobody saw the spare asleep");
                other.data.touch();
            }
        });
        let held = core.word.adopt(LENDER);
        core.data.touch();
        let lent = core.word.lend(held);
        core.blocks();
        if core.word.reclaim(lent).is_ok() {
            core.data.touch();
        }
        thief.join().unwrap();
        spare.join().unwrap();
    });
}

/// The story: a region of one thread is seen blocked while its core has long been another's, which
/// runs. Only the slot in the word tells them apart.
#[test]
fn an_observation_of_the_former_lender_robs_nobody() {
    explore(2, || {
        let core = setting();
        // Retaken from the lender, which still sleeps.
        let lent = core.word.lend(core.word.adopt(LENDER));
        core.asleep.store(true, Ordering::Relaxed);
        assert!(core.word.retake(lent, LENDER, SPARE).is_ok());
        let other = core.clone();
        let thief = thread::spawn(move || other.thief());
        let lent = core.word.lend(core.word.adopt(SPARE));
        let lent = core.leave(lent).expect("the adopter runs");
        let _ = core.word.reclaim(lent).expect("the adopter runs");
        assert!(!thief.join().unwrap());
    });
}
