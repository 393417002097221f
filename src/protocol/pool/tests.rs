use std::task::Waker;

use super::*;

/// The thread in `slot` has the core of `seat`, lends it, and is seen blocked.
fn blocked(pool: &Pool, seat: usize, slot: SlotId) -> Claim {
    let word = pool.word(seat);
    word.assign(slot);
    let seen = word.lend(word.adopt(slot));
    Claim { seat, seen, observed: slot, cause: Cause::Blocked }
}

fn pool(cores: usize, cap: usize) -> Pool {
    let pool = Pool::new(cores, cap, 0);
    for slot in 20..28 {
        let mut todo = Todo::default();
        pool.add_spare(slot, &mut todo);
    }
    pool
}

fn retake(pool: &Pool, claim: Claim) -> Retake {
    let mut todo = Todo::default();
    pool.retake(claim, None, &mut todo)
}

#[test]
fn a_stalled_core_is_served_before_the_gate() {
    let pool = pool(3, 1);
    assert_eq!(retake(&pool, blocked(&pool, 0, 0)), Retake::Done);
    let ticket = pool.wait(Waker::noop());
    assert_eq!(retake(&pool, blocked(&pool, 1, 1)), Retake::NoPermit);
    let mut todo = Todo::default();
    pool.release(0, &mut todo);
    assert_eq!(todo.handed.len(), 1, "the core that stalls costs more than the task that waits");
    assert!(pool.poll_wait(&ticket, Waker::noop()).is_pending());
    pool.release(1, &mut todo);
    assert!(pool.poll_wait(&ticket, Waker::noop()).is_ready());
    pool.give_back(ticket, &mut todo);
}

/// The story: a poll that had not said so blocks, and its core is taken. The thread that goes on with
/// the core blocks as well, and there is no spare: its claim is on the stalled list. The first thread,
/// which learns of its loss at the end of a call or poll alone, makes a call that hands over before it
/// begins. That claim to the same core, by a word long gone, took the place of the one on the list, and
/// that core stood until its call returned.
#[test]
fn a_thread_that_has_lost_its_core_and_hands_it_over_displaces_no_claim() {
    let pool = Pool::new(1, 4, 0);
    let mut todo = Todo::default();
    pool.add_spare(20, &mut todo);
    let first = blocked(&pool, 0, 0);
    assert_eq!(retake(&pool, first), Retake::Done);
    let second = Claim { seen: pool.word(0).lend(pool.word(0).adopt(20)), observed: 20, ..first };
    assert_eq!(retake(&pool, second), Retake::NoSpare);
    let unaware = Claim { cause: Cause::Predicted, ..first };
    assert!(!pool.hand_over_first(None, unaware, &mut todo));
    pool.add_spare(21, &mut todo);
    let handed: Vec<_> = todo.handed.iter().map(|(to, claim)| (*to, claim.observed)).collect();
    assert_eq!(handed, [(21, 20)], "the claim was still on the list");
}

#[test]
fn the_last_running_core_is_handed_over_beyond_the_cap() {
    let pool = pool(2, 1);
    assert_eq!(retake(&pool, blocked(&pool, 0, 0)), Retake::Done);
    // The adopter of seat 0 blocks as well: seat 1 still runs.
    let claim = {
        let word = pool.word(0);
        let held = word.adopt(27);
        Claim { seat: 0, seen: word.lend(held), observed: 27, cause: Cause::Blocked }
    };
    assert_eq!(retake(&pool, claim), Retake::NoPermit);
    assert_eq!(retake(&pool, blocked(&pool, 1, 1)), Retake::Done, "the emergency thread");
    assert_eq!(pool.counts().async_threads, 2);
    let mut todo = Todo::default();
    pool.release(1, &mut todo);
    pool.release(0, &mut todo);
    assert_eq!(todo.handed.len(), 1, "the one that stalled, with the permit that came free");
    pool.release(27, &mut todo);
    assert_eq!(pool.counts().free, 1);
}

#[test]
fn a_lowered_cap_takes_effect_as_permits_come_back() {
    let pool = pool(4, 2);
    assert_eq!(retake(&pool, blocked(&pool, 0, 0)), Retake::Done);
    assert_eq!(retake(&pool, blocked(&pool, 1, 1)), Retake::Done);
    let mut todo = Todo::default();
    pool.set_cap(1, &mut todo);
    pool.release(0, &mut todo);
    assert_eq!(retake(&pool, blocked(&pool, 2, 2)), Retake::NoPermit);
    pool.release(1, &mut todo);
    assert_eq!(todo.handed.len(), 1);
    pool.set_cap(2, &mut todo);
    assert_eq!(pool.counts().free, 1);
}

#[test]
fn rescues_do_not_take_every_permit() {
    let pool = pool(4, 4);
    let rescued = |seat, slot| Claim { cause: Cause::Rescued, ..blocked(&pool, seat, slot) };
    assert_eq!(retake(&pool, rescued(0, 0)), Retake::Done);
    assert_eq!(retake(&pool, rescued(1, 1)), Retake::NoPermit, "a quarter of the cap is theirs");
    assert_eq!(retake(&pool, blocked(&pool, 2, 2)), Retake::Done);
}

/// The sentinel needs no spare, leaves the list as it is, and needs a permit like any thief.
#[test]
fn a_thief_may_take_the_core_for_itself() {
    let pool = Pool::new(2, 1, 1);
    let (first, second) = (blocked(&pool, 0, 0), blocked(&pool, 1, 1));
    let mut todo = Todo::default();
    assert_eq!(pool.retake(first, Some(20), &mut todo), Retake::Done);
    assert_eq!((pool.taken_for(20), todo.handed.len()), (Some(0), 1));
    assert_eq!(pool.retake(first, Some(20), &mut todo), Retake::Stale);
    assert_eq!(pool.retake(second, Some(21), &mut todo), Retake::NoPermit);
    pool.add_spare(22, &mut todo);
    assert!(pool.withdraw_spare(22, &mut todo) && todo.want_spare);
    assert!(!pool.withdraw_spare(22, &mut todo), "it is off the list");
    let mut todo = Todo::default();
    pool.release(0, &mut todo);
    assert!(todo.handed.is_empty(), "no spare");
    pool.add_spare(22, &mut todo);
    assert_eq!(pool.taken_for(22), Some(1), "what was found without a permit is not forgotten");
}
