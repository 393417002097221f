//! Tasks that are spawned and end, from a task and from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::channel::oneshot;

use super::compare;
use super::countdown::Countdown;
use crate::harness::Plan;
use crate::peer::Peer;
use crate::report::Row;

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let workers = plan.workers;
    vec![
        compare!(plan, workers, "10,000 tasks from a task", from_a_task, 10_000, 41),
        compare!(plan, workers, "10,000 tasks from outside", from_outside, 10_000, 41),
        compare!(plan, workers, "10,000 tasks from 4 threads", from_threads::<4, _>, 10_000, 21),
        compare!(plan, workers, "10,000 tasks from 16 threads", from_threads::<16, _>, 10_000, 11),
        compare!(plan, workers, "10,000 tasks from 64 threads", from_threads::<64, _>, 10_000, 11),
        compare!(plan, workers, "a chain of 1,000 spawns", chained_spawn, 1_000, 41),
        compare!(plan, workers, "2,000 tasks, one after the other", spawn_and_await, 2_000, 41),
    ]
}

/// Many tasks that end at once, spawned by one.
fn from_a_task<P: Peer + 'static>(runtime: &P, count: usize) -> Duration {
    runtime.run(spawn_all::<P>(count))
}

/// The same by a thread that is no worker.
fn from_outside<P: Peer>(runtime: &P, count: usize) -> Duration {
    runtime.block_on(spawn_all::<P>(count))
}

async fn spawn_all<P: Peer>(count: usize) -> Duration {
    let (countdown, done) = Countdown::new(count);
    let begin = Instant::now();
    for _ in 0..count {
        let countdown = countdown.clone();
        drop(P::spawn(async move { countdown.one_less() }));
    }
    done.await.expect("the last task sends");
    begin.elapsed()
}

/// The same by so many threads at once, none of which is a worker.
fn from_threads<const THREADS: usize, P: Peer + Sync>(runtime: &P, count: usize) -> Duration {
    let each = count / THREADS;
    let (countdown, done): (Arc<Countdown>, oneshot::Receiver<()>) = Countdown::new(each * THREADS);
    let ready = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (countdown, ready) = (countdown.clone(), &ready);
            scope.spawn(move || {
                runtime.block_on(async {
                    ready.fetch_add(1, Ordering::AcqRel);
                    while ready.load(Ordering::Acquire) <= THREADS {
                        std::thread::yield_now();
                    }
                    for _ in 0..each {
                        let countdown = countdown.clone();
                        drop(P::spawn(async move { countdown.one_less() }));
                    }
                });
            });
        }
        while ready.load(Ordering::Acquire) < THREADS {
            std::thread::yield_now();
        }
        let begin = Instant::now();
        ready.fetch_add(1, Ordering::AcqRel);
        runtime.block_on(async { done.await.expect("the last task sends") });
        begin.elapsed()
    })
}

/// A task that spawns a task that spawns a task...
fn chained_spawn<P: Peer>(runtime: &P, length: usize) -> Duration {
    fn link<P: Peer>(left: usize, end: oneshot::Sender<()>) {
        if left == 0 {
            end.send(()).expect("somebody waits");
        } else {
            drop(P::spawn(async move { link::<P>(left - 1, end) }));
        }
    }
    runtime.run(async move {
        let (end, ended) = oneshot::channel();
        let begin = Instant::now();
        link::<P>(length, end);
        ended.await.expect("the last link sends");
        begin.elapsed()
    })
}

/// One task after the other, each awaited before the next is spawned.
fn spawn_and_await<P: Peer>(runtime: &P, count: usize) -> Duration {
    runtime.run(async move {
        let begin = Instant::now();
        for nth in 0..count {
            assert_eq!(P::spawn(async move { nth }).await, nth);
        }
        begin.elapsed()
    })
}
