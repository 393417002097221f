//! The scheduler alone, in the shapes that tokio measures itself by.
//!
//! The workloads are generic code that both runtimes run; channels come from `futures`, so that
//! neither runtime brings its own. Each round builds a runtime, runs the workload once to warm up,
//! and then measures it once. All but `spawn_many` run in a spawned task, because the thread in
//! `block_on` is no worker; `spawn_many` spawns from there, so that the shared queue is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::channel::oneshot;

use crate::harness::{Plan, interleave};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    vec![
        row!(plan, spawn_many, 10_000),
        row!(plan, yield_many, 200),
        row!(plan, ping_pong, 1_000),
        row!(plan, chained_spawn, 1_000),
        row!(plan, spawn_and_await, 2_000),
    ]
}

/// Measures a workload on both sides. A macro, because a generic function cannot be passed to one.
macro_rules! row {
    ($plan:ident, $workload:ident, $size:expr) => {{
        let size = $plan.size($size, $size / 10);
        let (ours, peer) = interleave(
            $plan.rounds(41),
            || {
                let runtime = $plan.runtime();
                $workload(&runtime, size);
                us($workload(&runtime, size))
            },
            || {
                let runtime = $plan.tokio();
                $workload(&runtime, size);
                us($workload(&runtime, size))
            },
        );
        let row = Row::quotient(
            concat!(stringify!($workload), ", ours / tokio"),
            Bar::AtMost(1.0),
            Side::new("ours", Unit::Us, &ours),
            Side::new("tokio", Unit::Us, &peer),
        );
        row.note(format!("of {size}"))
    }};
}
use row;

fn us(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}

/// Counts down; whoever reaches zero sends.
pub(crate) struct Countdown {
    left: AtomicUsize,
    done: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl Countdown {
    pub(crate) fn new(count: usize) -> (Arc<Countdown>, oneshot::Receiver<()>) {
        let (done, waits) = oneshot::channel();
        let done = std::sync::Mutex::new(Some(done));
        (Arc::new(Countdown { left: AtomicUsize::new(count), done }), waits)
    }

    pub(crate) fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.done.lock().expect("nobody panics under it").take();
            done.expect("zero is reached once").send(()).expect("somebody waits");
        }
    }
}

/// Many tasks that end at once, spawned by a thread that is no worker.
pub(crate) fn spawn_many<P: Peer>(runtime: &P, count: usize) -> Duration {
    let (countdown, done) = Countdown::new(count);
    runtime.block_on(async move {
        let begin = Instant::now();
        for _ in 0..count {
            let countdown = countdown.clone();
            drop(P::spawn(async move { countdown.one_less() }));
        }
        done.await.expect("the last task sends");
        begin.elapsed()
    })
}

/// Some hundred tasks that yield many times.
pub(crate) fn yield_many<P: Peer>(runtime: &P, yields: usize) -> Duration {
    const TASKS: usize = 200;
    let (countdown, done) = Countdown::new(TASKS);
    runtime.run(async move {
        let begin = Instant::now();
        for _ in 0..TASKS {
            let countdown = countdown.clone();
            drop(P::spawn(async move {
                for _ in 0..yields {
                    P::yield_now().await;
                }
                countdown.one_less();
            }));
        }
        done.await.expect("the last task sends");
        begin.elapsed()
    })
}

/// Many pairs of tasks, one of which asks and the other answers.
pub(crate) fn ping_pong<P: Peer>(runtime: &P, pairs: usize) -> Duration {
    let (countdown, done) = Countdown::new(pairs);
    runtime.run(async move {
        let begin = Instant::now();
        for _ in 0..pairs {
            let countdown = countdown.clone();
            drop(P::spawn(async move {
                let (ask, asked) = oneshot::channel();
                let (answer, answered) = oneshot::channel();
                drop(P::spawn(async move {
                    let question: u32 = asked.await.expect("the other asks");
                    answer.send(question + 1).expect("the other waits");
                }));
                ask.send(1).expect("the other waits");
                assert_eq!(answered.await, Ok(2));
                countdown.one_less();
            }));
        }
        done.await.expect("the last pair sends");
        begin.elapsed()
    })
}

/// A task that spawns a task that spawns a task...
pub(crate) fn chained_spawn<P: Peer>(runtime: &P, length: usize) -> Duration {
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
pub(crate) fn spawn_and_await<P: Peer>(runtime: &P, count: usize) -> Duration {
    runtime.run(async move {
        let begin = Instant::now();
        for nth in 0..count {
            assert_eq!(P::spawn(async move { nth }).await, nth);
        }
        begin.elapsed()
    })
}
