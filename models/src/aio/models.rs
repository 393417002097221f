//! Loom models of a queue: cancel, end, submit, barrier, room and drain against each other.
//!
//! The pump's twin gives each operation that is started a thread of its own. What tells a drain (a
//! channel of `futures`) is one step here: what is explored is everything around it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use super::op::Op;
use super::order::Marker;
use super::pump::Pump;
use super::request::Completion;
use super::shared::Shared;
use crate::primitive::park::Parker;
use crate::primitive::{AtomicBool, Ordering};
use crate::{Private, explore};

struct Bell(Parker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.unpark();
    }
}

/// Awaits, asleep in between. One whom nobody wakes is a deadlock, which loom reports.
fn wait<F: Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell(Parker::new()));
    let waker = Waker::from(bell.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        bell.0.park(None);
    }
}

fn poll_now<F: Future + Unpin>(future: &mut F) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn queue(depth: usize) -> Arc<Shared> {
    Shared::new(depth, Pump)
}

fn submit<B: Send + 'static>(queue: &Arc<Shared>, op: Op<B>) -> Completion<B> {
    assert!(queue.try_take(), "the queue is deep enough");
    queue.begin(op)
}

/// A call that leaves a trace: whether it has run.
fn call(ran: &Arc<AtomicBool>) -> Op<()> {
    let ran = ran.clone();
    Op::call(move || {
        assert!(!ran.swap(true, Ordering::Relaxed), "a call runs once");
        Ok(1)
    })
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// All has ended, and nothing is counted that runs no more: a barrier holds nobody back.
fn assert_quiet(queue: &Arc<Shared>) {
    assert_eq!(queue.in_flight(), 0);
    queue.mark(Marker::Barrier);
    assert!(submit(queue, Op::nop()).is_ended(), "nothing runs");
}

/// The story: an operation is cancelled at the moment its thread takes it up. It either runs, and
/// its own result comes, or it never does, and its buffer is back; and whichever it is, it counts
/// as running no more. (Counted for ever, it would keep the next barrier shut.)
#[test]
fn a_cancelled_operation_runs_or_is_cancelled() {
    explore(3, || {
        let (queue, ran) = (queue(2), flag());
        let mut one = submit(&queue, call(&ran).with(7));
        let cancelled = one.cancel();
        let (result, buffer) = wait(one);
        assert_eq!((cancelled, buffer), (result.is_err(), 7));
        assert_eq!(cancelled, !ran.load(Ordering::Relaxed));
        assert_quiet(&queue);
    });
}

/// The story: an operation in the line is cancelled while the end of the one before it gives it its
/// turn. It is passed over, or was counted as running and is counted out; the one behind it starts
/// in any case.
#[test]
fn a_turn_that_comes_too_late_goes_to_the_next() {
    explore(3, || {
        let (queue, ran) = (queue(3), flag());
        let first = submit(&queue, call(&flag()));
        queue.mark(Marker::Barrier);
        let mut second = submit(&queue, call(&ran));
        queue.mark(Marker::Fence);
        let third = submit(&queue, call(&flag()));
        let cancelled = second.cancel();
        assert_eq!(wait(third).0.unwrap(), 1);
        assert!(first.is_ended() && second.is_ended());
        assert_eq!(cancelled, !ran.load(Ordering::Relaxed));
        assert_quiet(&queue);
    });
}

/// The story: an operation in the line was cancelled, and its completion goes while its turn comes.
/// The line has the last reference then and drops it under the queue's lock: a buffer in it that
/// uses the queue would wait for ever for what its own thread holds.
#[test]
fn the_line_holds_no_buffer_of_the_cancelled() {
    struct Asks(Arc<Shared>);
    impl Drop for Asks {
        fn drop(&mut self) {
            assert!(self.0.in_flight() <= 1);
        }
    }
    for leave in [drop, Completion::detach] {
        explore(3, move || {
            let queue = queue(2);
            let first = submit(&queue, call(&flag()));
            queue.mark(Marker::Barrier);
            let mut held = submit(&queue, Op::call(|| Ok(1)).with(Asks(queue.clone())));
            held.cancel();
            leave(held);
            wait(first).0.unwrap();
        });
    }
}

/// The story: an operation ends at the moment when somebody begins to wait for it: after the look
/// at its stage, and before the waker is there.
#[test]
fn the_end_wakes_whoever_waits() {
    explore(3, || {
        let (queue, ran) = (queue(1), flag());
        let (result, ()) = wait(submit(&queue, call(&ran)));
        assert!(result.unwrap() == 1 && ran.load(Ordering::Relaxed));
        assert_quiet(&queue);
    });
}

/// The story: somebody sees that an operation has ended, and is told that the queue is full: its
/// place was not free yet.
#[test]
fn whoever_sees_the_end_finds_the_place_free() {
    explore(3, || {
        let queue = queue(1);
        let one = submit(&queue, call(&flag()));
        if queue.in_flight() == 0 {
            assert!(one.is_ended());
        } else if one.is_ended() {
            assert_eq!(queue.in_flight(), 0);
        }
        wait(one).0.unwrap();
    });
}

/// The story: the only place becomes free, and is given to one who has just gone. It does not know
/// that it has it, and whoever came behind it waits for ever.
#[test]
fn a_place_given_to_one_who_leaves_goes_to_the_next() {
    explore(3, || {
        let queue = queue(1);
        submit(&queue, call(&flag())).detach();
        let mut leaving = queue.room();
        let has_place = poll_now(&mut leaving);
        let other = queue.clone();
        let next = thread::spawn(move || {
            wait(other.room());
            wait(other.begin(Op::nop())).0.unwrap();
        });
        if has_place {
            wait(queue.begin(Op::nop())).0.unwrap();
        }
        drop(leaving);
        next.join().unwrap();
        assert_quiet(&queue);
    });
}

/// The story: the last operation ends at the moment when a barrier is put behind it. Is the barrier
/// met already, then nobody comes any more to take it away. And what is behind it sees all that was
/// done before it.
#[test]
fn a_barrier_put_at_the_last_moment_is_met() {
    explore(3, || {
        let (queue, data) = (queue(3), Arc::new(Private::new()));
        let touch = || {
            let data = data.clone();
            Op::call(move || {
                data.touch();
                Ok(1)
            })
        };
        submit(&queue, touch()).detach();
        queue.mark(Marker::Barrier);
        assert_eq!(wait(submit(&queue, touch())).0.unwrap(), 1);
        assert_eq!(queue.in_flight(), 0);
    });
}

/// The story: a drain begins while the last operation before it ends, and others come and go behind
/// it. It is told, and not before that end.
#[test]
fn a_drain_is_told_of_the_end_before_it() {
    explore(3, || {
        let queue = queue(3);
        let before = submit(&queue, call(&flag()));
        let other = queue.clone();
        let behind = thread::spawn(move || wait(submit(&other, Op::nop())).0.unwrap());
        if let Some(drained) = queue.drain() {
            wait(drained).unwrap();
        }
        assert!(before.is_ended());
        behind.join().unwrap();
        assert_quiet(&queue);
    });
}
