//! Cancelled, dropped, detached: in each state that an operation can be in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use threadlet::aio::{Completion, Completions, Op, Queue};

use crate::support::{Barrier, foreign_block_on, wait_until, within};
use crate::{LIMIT, blocked, counted, drain, errno, in_each_runtime, poll_now};

/// A buffer that is seen to be dropped.
type Buffer = Arc<()>;

/// A queue in which one operation runs, and others are in the states named.
struct Scene {
    queue: Queue,
    /// Lets the running one go.
    barrier: Barrier,
    /// How many others have run.
    count: Arc<AtomicUsize>,
    running: Completion<Buffer>,
    /// Its turn has come; it waits for a thread.
    in_line: Completion<Buffer>,
    /// Behind a barrier.
    held: Completion<Buffer>,
    ended: Completion<Buffer>,
    buffers: [Buffer; 4],
}

impl Scene {
    fn new() -> Scene {
        let queue = Queue::new(4).max_threads(1);
        let (barrier, count) = (Barrier::default(), Arc::new(AtomicUsize::new(0)));
        let buffers: [Buffer; 4] = Default::default();
        let ended = queue.try_submit(Op::nop().with(buffers[3].clone())).unwrap();
        let running = queue.try_submit(blocked(&barrier).with(buffers[0].clone())).unwrap();
        wait_until("it runs", || barrier.came() == 1);
        let in_line = queue.try_submit(counted(&count).with(buffers[1].clone())).unwrap();
        queue.barrier();
        let held = queue.try_submit(counted(&count).with(buffers[2].clone())).unwrap();
        assert_eq!(queue.in_flight(), 3);
        Scene { queue, barrier, count, running, in_line, held, ended, buffers }
    }

    fn free(&self, buffer: usize) -> bool {
        Arc::strong_count(&self.buffers[buffer]) == 1
    }
}

#[test]
fn what_has_not_started_is_cancelled() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let mut scene = Scene::new();
            assert!(scene.in_line.cancel() && scene.held.cancel());
            assert_eq!(scene.queue.in_flight(), 1, "there is room again");
            assert!(!scene.in_line.cancel(), "once");
            assert!(!scene.running.cancel() && !scene.ended.cancel());
            assert!(scene.in_line.is_ended() && scene.held.is_ended() && !scene.running.is_ended());
            let (result, buffer) = foreign_block_on(&mut scene.in_line);
            assert_eq!(errno(result), Some(libc::ECANCELED));
            assert!(Arc::ptr_eq(&buffer, &scene.buffers[1]));
            drop(buffer);
            let (result, buffer) = foreign_block_on(&mut scene.held);
            assert_eq!(errno(result), Some(libc::ECANCELED));
            assert!(Arc::ptr_eq(&buffer, &scene.buffers[2]));
            drop(buffer);
            assert!(scene.free(1) && scene.free(2));
            scene.barrier.let_go(1);
            assert_eq!(foreign_block_on(&mut scene.running).0.unwrap(), 1);
            assert_eq!(foreign_block_on(&mut scene.ended).0.unwrap(), 0);
            let last = scene.queue.try_submit(counted(&scene.count)).unwrap();
            assert_eq!(foreign_block_on(last).0.unwrap(), 0, "the others have not run");
            assert_eq!(scene.queue.in_flight(), 0);
        });
    });
}

/// What holds others back, once cancelled, does not any more.
#[test]
fn a_barrier_does_not_wait_for_the_cancelled() {
    within(LIMIT, || {
        let mut scene = Scene::new();
        assert!(scene.in_line.cancel());
        assert!(!scene.held.is_ended());
        scene.barrier.let_go(1);
        assert_eq!(foreign_block_on(&mut scene.held).0.unwrap(), 0);

        // Nothing runs: the last that was before the barrier is cancelled, and that is its end.
        let queue = Queue::new(9).max_threads(1);
        let barrier = Barrier::default();
        let running = queue.try_submit(blocked(&barrier)).unwrap();
        wait_until("it runs", || barrier.came() == 1);
        let mut line: Vec<_> =
            (0..3).map(|_| queue.try_submit(blocked(&barrier)).unwrap()).collect();
        queue.fence();
        let after = queue.try_submit(Op::nop()).unwrap();
        barrier.let_go(1);
        foreign_block_on(running).0.unwrap();
        wait_until("the next runs", || barrier.came() == 2);
        barrier.let_go(1);
        assert!(line[2].cancel());
        line.drain(..2).for_each(|one| {
            barrier.let_go(1);
            foreign_block_on(one).0.unwrap();
        });
        foreign_block_on(after).0.unwrap();
    });
}

#[test]
fn what_is_dropped_does_not_start() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let Scene { queue, barrier, count, running, in_line, held, ended, buffers } =
                Scene::new();
            let free = |buffer: usize| Arc::strong_count(&buffers[buffer]) == 1;
            assert!(!(free(0) || free(1) || free(2) || free(3)));
            drop(in_line);
            drop(held);
            drop(ended);
            assert!(free(1) && free(2) && free(3), "its buffer goes at once");
            drop(running);
            assert!(!free(0), "a buffer in use stays");
            assert_eq!(queue.in_flight(), 1);
            barrier.let_go(1);
            wait_until("it goes at the end", || free(0));
            drain(&queue);
            assert_eq!(count.load(Ordering::SeqCst), 0);
        });
    });
}

#[test]
fn what_is_detached_runs() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let scene = Scene::new();
            scene.running.detach();
            scene.in_line.detach();
            scene.held.detach();
            scene.ended.detach();
            scene.barrier.let_go(1);
            drain(&scene.queue);
            assert_eq!(scene.count.load(Ordering::SeqCst), 2);
            for buffer in &scene.buffers {
                wait_until("its buffer is dropped", || Arc::strong_count(buffer) == 1);
            }
        });
    });
}

/// A queue that is dropped takes nothing with it.
#[test]
fn a_queue_is_dropped() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let Scene { queue, barrier, count, running, in_line, held, ended, .. } = Scene::new();
            drop(queue);
            barrier.let_go(1);
            assert_eq!(foreign_block_on(running).0.unwrap(), 1);
            assert_eq!(foreign_block_on(in_line).0.unwrap(), 0);
            assert_eq!(foreign_block_on(held).0.unwrap(), 1);
            assert_eq!(foreign_block_on(ended).0.unwrap(), 0);
            assert_eq!(count.load(Ordering::SeqCst), 2);
        });
    });
}

#[test]
fn a_stream_of_completions() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let queue = Queue::new(8);
            let barriers: Vec<_> = (0..3).map(|_| Barrier::default()).collect();
            let mut completions = Completions::new();
            assert!(foreign_block_on(completions.next()).is_none() && completions.is_empty());
            for (tag, barrier) in barriers.iter().enumerate() {
                let call = blocked(barrier).with(tag * 10);
                completions.push(tag, queue.try_submit(call).unwrap());
            }
            assert_eq!(completions.len(), 3);
            assert!(poll_now(&mut completions.next()).is_pending());
            for tag in [2, 0, 1] {
                barriers[tag].let_go(1);
                let (got, result, carried) = foreign_block_on(completions.next()).unwrap();
                assert_eq!((got, result.unwrap(), carried), (tag, 1, tag * 10), "as they come");
            }
            assert!(foreign_block_on(completions.next()).is_none());

            // More may come, and be cancelled.
            let queue = Queue::new(8).max_threads(1);
            let barrier = Barrier::default();
            for tag in 0..4 {
                completions.push(tag, queue.try_submit(blocked(&barrier).with(tag)).unwrap());
            }
            wait_until("the first runs", || barrier.came() == 1);
            assert_eq!(completions.cancel(), 3);
            barrier.let_go(1);
            for _ in 0..4 {
                let (tag, result, carried) = foreign_block_on(completions.next()).unwrap();
                assert_eq!((tag, result.is_ok()), (carried, tag == 0));
            }
            assert!(foreign_block_on(completions.next()).is_none());
        });
    });
}

/// Whoever awaits it is woken by the cancelling too: it may have been moved to another task since.
#[test]
fn polled_and_then_cancelled() {
    within(LIMIT, || {
        let mut scene = Scene::new();
        assert!(
            poll_now(&mut scene.held).is_pending() && poll_now(&mut scene.running).is_pending()
        );
        assert!(scene.held.cancel());
        assert!(poll_now(&mut scene.held).is_ready());
        scene.barrier.let_go(1);
        foreign_block_on(&mut scene.running).0.unwrap();
        assert!(scene.free(2));
    });
}

/// Its buffer goes at once, and not when its turn comes in the line: that is under the queue's
/// lock.
#[test]
fn cancelled_and_then_detached() {
    struct Asks(Queue, Arc<AtomicUsize>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.1.store(self.0.in_flight(), Ordering::SeqCst);
        }
    }
    within(LIMIT, || {
        let queue = Queue::new(3);
        let (barrier, seen) = (Barrier::default(), Arc::new(AtomicUsize::new(usize::MAX)));
        let running = queue.try_submit(blocked(&barrier)).unwrap();
        queue.barrier();
        let carried = Asks(queue.clone(), seen.clone());
        let mut held = queue.try_submit(Op::nop().with(carried)).unwrap();
        assert!(held.cancel());
        held.detach();
        assert_eq!(seen.load(Ordering::SeqCst), 1, "dropped while the other still runs");
        barrier.let_go(1);
        foreign_block_on(running).0.unwrap();
        drain(&queue);
    });
}
