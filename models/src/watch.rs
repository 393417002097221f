//! Who is the sentinel, and whom a thief wakes.

use loom::thread;

use super::explore;
use super::word::{LENDER, setting};
use crate::primitive::Arc;
use crate::primitive::park::Parker;
use crate::protocol::Cause;
use crate::protocol::core::{Lost, SlotId};
use crate::protocol::pool::{Claim, Pool, Retake, Todo};
use crate::protocol::watch::SentinelWatch;

/// The story: two spares find the watch vacant, and both look at one thread, which they mark by one bit
/// as suspected. The first has seen enough and takes the mark back; the second still looks, at a thread
/// that does not know of it any more, and takes the core from it while it runs again.
#[test]
fn one_sentinel_at_a_time_looks_at_a_thread() {
    explore(3, || {
        let core = setting();
        let watch = Arc::new(SentinelWatch::new());
        let keep = move |me: SlotId, core: Arc<super::word::Setting>, watch: Arc<SentinelWatch>| {
            let takes = watch.begin(me) && {
                let taken = core.thief();
                watch.end();
                taken
            };
            usize::from(takes)
        };
        let (other, its) = (core.clone(), watch.clone());
        let first = thread::spawn(move || keep(20, other, its));
        let (other, its) = (core.clone(), watch.clone());
        let second = thread::spawn(move || keep(21, other, its));
        let lent = core.word.lend(core.word.adopt(LENDER));
        core.blocks();
        let robbed = match core.leave(lent) {
            Err(Lost) => 1,
            Ok(lent) => {
                // The second region does not block, nor does the rest of the poll.
                let lent = core.leave(lent).expect("robbed while it ran");
                let _ = core.word.reclaim(lent).expect("robbed while it ran");
                0
            }
        };
        assert_eq!(first.join().unwrap() + second.join().unwrap(), robbed);
        assert!(watch.is_vacant());
    });
}

/// The story: a sentinel goes back to the spares, and is chosen at once. The thief takes it for the
/// sentinel still, which would have taken the core for itself and be awake; nobody wakes it, and the
/// core waits for a thread that sleeps.
#[test]
fn a_spare_that_was_the_sentinel_is_woken() {
    const ONE: SlotId = 20;
    explore(3, || {
        let shared = Arc::new((Pool::new(2, 4, 0), SentinelWatch::new(), Parker::new()));
        let (pool, watch, parker) = &*shared;
        let word = pool.word(0);
        word.assign(LENDER);
        let seen = word.lend(word.adopt(LENDER));
        let other = shared.clone();
        let spare = thread::spawn(move || {
            let (pool, watch, parker) = &*other;
            assert!(watch.begin(ONE));
            watch.end();
            let mut todo = Todo::default();
            pool.add_spare(ONE, &mut todo);
            // A claim that has found no spare is served here, for the spare itself.
            todo.handed.iter().for_each(|_| _ = parker.unpark());
            while pool.taken_for(ONE).is_none() {
                parker.park(None);
            }
        });
        let mut todo = Todo::default();
        let claim = Claim { seat: 0, seen, observed: LENDER, cause: Cause::Blocked };
        let answer = pool.retake(claim, None, &mut todo);
        assert!(matches!(answer, Retake::Done | Retake::NoSpare));
        // What `Shared::carry_out` does.
        for (spare, _) in todo.handed.iter().filter(|(spare, _)| !watch.is_kept_by(*spare)) {
            assert_eq!(*spare, ONE);
            let _ = parker.unpark();
        }
        spare.join().unwrap();
    });
}
