//! Permits, the stalled list, the gate, spares that retire, and the end.

use std::task::{Poll, Waker};
use std::time::Duration;

use loom::thread;

use super::{Private, explore};
use crate::primitive::park::Parker;
use crate::primitive::{Arc, AtomicBool, Ordering};
use crate::protocol::Cause;
use crate::protocol::core::SlotId;
use crate::protocol::pool::{Claim, Pool, Retake, Todo};

/// The thread in `slot` has the core of `seat`, lends it, and is seen blocked.
fn blocked(pool: &Pool, seat: usize, slot: SlotId) -> Claim {
    let word = pool.word(seat);
    word.assign(slot);
    let seen = word.lend(word.adopt(slot));
    Claim { seat, seen, observed: slot, cause: Cause::Blocked }
}

fn spares(pool: &Pool, slots: impl Iterator<Item = SlotId>) {
    for slot in slots {
        let mut todo = Todo::default();
        pool.add_spare(slot, &mut todo);
        assert!(todo.handed.is_empty(), "no claim waits yet");
    }
}

/// The calls that lost their core return, one after the other, and with them their permits; a
/// returned permit may hand over the next. Returns how many cores were handed over.
fn calls_return(pool: &Pool, mut todo: Todo, cap: usize) -> usize {
    let mut handed = 0;
    while let Some((spare, claim)) = todo.handed.pop() {
        let seat = pool.taken_for(spare).expect("its core waits for it");
        let _ = pool.word(seat).adopt(spare);
        handed += 1;
        assert!(pool.counts().async_threads <= cap, "more threads without a core than permits");
        pool.release(claim.observed, &mut todo);
    }
    handed
}

/// The story: two threads of three are seen blocked and there is one permit. One claim is served,
/// the other finds no permit at the very moment the first is on its way back. Edges are not
/// repeated: a claim that is forgotten then is a core lost until its call returns. And never are
/// there more threads without a core than permits.
#[test]
fn a_claim_without_a_permit_is_served_later() {
    explore(3, || {
        let pool = Arc::new(Pool::new(3, 1, 0));
        spares(&pool, 20..22);
        let thieves: Vec<_> = (0..2)
            .map(|seat| {
                let claim = blocked(&pool, seat, seat as SlotId);
                let pool = pool.clone();
                thread::spawn(move || {
                    let mut todo = Todo::default();
                    let answer = pool.retake(claim, None, &mut todo);
                    assert!(matches!(answer, Retake::Done | Retake::NoPermit));
                    calls_return(&pool, todo, 1)
                })
            })
            .collect();
        let handed: usize = thieves.into_iter().map(|thief| thief.join().unwrap()).sum();
        assert_eq!(handed, 2, "each is handed over once, and none is forgotten");
        assert!(!pool.anyone_behind());
        let counts = pool.counts();
        assert_eq!((counts.free, counts.async_threads, counts.releases), (1, 0, 2));
    });
}

/// The story: a stalled core got its permit between a look at those that hold one and a look at the
/// stalled list, and was in neither: the list of who is blocked was empty.
#[test]
fn who_is_blocked_is_listed_at_each_moment() {
    explore(3, || {
        let pool = Arc::new(Pool::new(1, 4, 0));
        let claim = blocked(&pool, 0, 0);
        let mut todo = Todo::default();
        assert!(matches!(pool.retake(claim, None, &mut todo), Retake::NoSpare));
        let other = pool.clone();
        let comes = thread::spawn(move || {
            let mut todo = Todo::default();
            other.add_spare(20, &mut todo);
            assert_eq!(todo.handed.len(), 1);
        });
        let (holders, stalled) = pool.blocked();
        assert_eq!(holders.len() + stalled.len(), 1, "{holders:?} {stalled:?}");
        comes.join().unwrap();
    });
}

/// The story: a claim finds no spare while one is just being added. It must be served by whichever
/// comes second.
#[test]
fn a_claim_without_a_spare_is_served_later() {
    explore(3, || {
        let pool = Arc::new(Pool::new(2, 4, 0));
        let claim = blocked(&pool, 0, 0);
        let other = pool.clone();
        let thief = thread::spawn(move || {
            let mut todo = Todo::default();
            let answer = other.retake(claim, None, &mut todo);
            assert_eq!(answer == Retake::NoSpare, todo.want_spare);
            calls_return(&other, todo, 4)
        });
        let mut todo = Todo::default();
        pool.add_spare(20, &mut todo);
        let handed = calls_return(&pool, todo, 4);
        assert_eq!(thief.join().unwrap() + handed, 1);
    });
}

/// The story: a stalled core runs again before its permit comes. It must not be robbed, and the
/// permit must not go with it.
#[test]
fn a_stalled_core_that_runs_again_keeps_its_core() {
    explore(3, || {
        let pool = Arc::new(Pool::new(3, 1, 0));
        spares(&pool, 20..22);
        let (first, second) = (blocked(&pool, 0, 0), blocked(&pool, 1, 1));
        let mut todo = Todo::default();
        assert_eq!(pool.retake(first, None, &mut todo), Retake::Done);
        assert_eq!(pool.retake(second, None, &mut todo), Retake::NoPermit);
        let other = pool.clone();
        let returning = thread::spawn(move || calls_return(&other, todo, 1));
        let lost = pool.word(1).reclaim(second.seen).is_err();
        let handed = returning.join().unwrap();
        assert_eq!(handed, 1 + usize::from(lost));
        assert_eq!(pool.counts().free, 1);
    });
}

/// The story: a permit is granted to a task at the gate at the moment that task is dropped. The
/// ticket takes the permit with it, and the cap has shrunk for good; or the one behind it in the
/// queue waits for ever.
#[test]
fn a_dropped_ticket_keeps_no_permit() {
    explore(3, || {
        let pool = Arc::new(Pool::new(2, 1, 0));
        spares(&pool, 20..21);
        let mut todo = Todo::default();
        let claim = blocked(&pool, 0, 0);
        assert_eq!(pool.retake(claim, None, &mut todo), Retake::Done);
        let (first, second) = (pool.wait(Waker::noop()), pool.wait(Waker::noop()));
        assert!(pool.poll_wait(&first, Waker::noop()).is_pending());
        let other = pool.clone();
        let returning = thread::spawn(move || calls_return(&other, todo, 1));
        let mut todo = Todo::default();
        pool.give_back(first, &mut todo);
        assert_eq!(returning.join().unwrap(), 1);
        assert_eq!(pool.poll_wait(&second, Waker::noop()), Poll::Ready(()));
        assert_eq!(pool.counts().free, 0, "the second holds it");
        pool.give_back(second, &mut todo);
        assert_eq!(pool.counts().free, 1);
    });
}

const SPARE: SlotId = 20;

/// A spare as `scheduler::spare` has it: it adopts the core taken for it, and ends when it may.
struct SpareThread {
    pool: Pool,
    data: Private,
    parker: Parker,
    shutdown: AtomicBool,
}

#[derive(Debug, PartialEq)]
enum End {
    Adopted,
    Retired,
}

impl SpareThread {
    fn new(cores: usize) -> Arc<Self> {
        let pool = Pool::new(cores, 4, 0);
        // A second one lies below it and stays: this one is more than is needed.
        spares(&pool, SPARE - 1..=SPARE);
        Arc::new(SpareThread {
            pool,
            data: Private::new(),
            parker: Parker::new(),
            shutdown: AtomicBool::new(false),
        })
    }

    fn live(&self, keep_alive: Option<Duration>) -> End {
        loop {
            if let Some(seat) = self.pool.taken_for(SPARE) {
                let _ = self.pool.word(seat).adopt(SPARE);
                self.data.touch();
                return End::Adopted;
            }
            if self.shutdown.load(Ordering::Acquire) && self.pool.remove_spare(SPARE) {
                return End::Retired;
            }
            let woken = self.parker.park(keep_alive);
            if !woken && self.pool.retire_spare(SPARE) {
                return End::Retired;
            }
        }
    }

    /// What `Shared::carry_out` does. Returns whether the core went to this spare.
    fn hand_over(&self, claim: Claim) -> bool {
        let mut todo = Todo::default();
        let _ = self.pool.retake(claim, None, &mut todo);
        let mine = todo.handed.iter().any(|(spare, _)| *spare == SPARE);
        if mine {
            let _ = self.parker.unpark();
        }
        mine
    }
}

/// The story: nobody needed the spare for its keep-alive, and it retires at the moment a core is
/// retaken for it. The core would go with it.
#[test]
fn a_spare_that_retires_takes_no_core_with_it() {
    explore(3, || {
        let shared = SpareThread::new(2);
        let claim = blocked(&shared.pool, 0, 0);
        shared.data.touch();
        let other = shared.clone();
        let spare = thread::spawn(move || other.live(Some(Duration::from_millis(1))));
        let handed = shared.hand_over(claim);
        let end = spare.join().unwrap();
        assert_eq!(end, if handed { End::Adopted } else { End::Retired });
    });
}

/// The story: the runtime shuts down while a thief has chosen a spare and not yet told it. The
/// spare sees the flag and ends, and the core waits for a thread that is gone. After `close` no
/// core changes hands at all.
#[test]
fn a_spare_that_ends_takes_no_core_with_it() {
    explore(2, || {
        let shared = SpareThread::new(2);
        let (claim, late) = (blocked(&shared.pool, 0, 0), blocked(&shared.pool, 1, 1));
        shared.data.touch();
        let other = shared.clone();
        let spare = thread::spawn(move || other.live(None));
        let other = shared.clone();
        let closer = thread::spawn(move || {
            other.shutdown.store(true, Ordering::Release);
            other.pool.close();
            let _ = other.parker.unpark();
            let mut todo = Todo::default();
            assert_eq!(other.pool.retake(late, None, &mut todo), Retake::Stale);
        });
        let handed = shared.hand_over(claim);
        let end = spare.join().unwrap();
        closer.join().unwrap();
        assert_eq!(end, if handed { End::Adopted } else { End::Retired });
    });
}
