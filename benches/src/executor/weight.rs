//! What a task weighs, and how soon a runtime is gone that has a million of them.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use super::row;
use super::side::Side;
use crate::harness::{Plan, Samples};
use crate::peer::{Peer, Smol};
use crate::report::{Row, Unit};
use crate::sys::heap_in_use;

type Ours = threadlet::runtime::Runtime;
type Tokio = tokio::runtime::Runtime;

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    vec![
        bytes(
            "bytes of a task, ours / tokio",
            0.5,
            [weigh::<Ours, _>(plan, pending), weigh::<Tokio, _>(plan, pending)],
        ),
        bytes(
            "bytes of a task, ours / smol",
            1.0,
            [weigh::<Ours, _>(plan, pending), weigh::<Smol, _>(plan, pending)],
        ),
        bytes(
            "bytes of a task that sleeps, ours / tokio",
            0.6,
            [
                weigh::<Ours, _>(plan, || Ours::sleep(HOUR)),
                weigh::<Tokio, _>(plan, || Tokio::sleep(HOUR)),
            ],
        ),
        shutdown(plan, "the end of a runtime with 1,000,000 tasks, ours / tokio", pending),
    ]
}

const HOUR: Duration = Duration::from_secs(3600);

fn bytes(what: &'static str, bar: f64, sides: [(&'static str, f64); 2]) -> Row {
    row(what, bar, &sides.map(|(name, bytes)| (name, Samples::from_iter([bytes]))), Unit::Bytes)
}

/// Bytes of the heap for each of many tasks that wait. (smol's stay until the process ends.)
fn weigh<S: Side, F>(plan: &Plan, future: impl Fn() -> F) -> (&'static str, f64)
where
    F: Future<Output = ()> + Send + 'static,
{
    let count = plan.size(100_000, 1_000);
    let runtime = S::start(plan, plan.workers);
    // Once before, so that what grows with the first tasks has grown.
    runtime.block_on(async { S::spawn(async {}).await });
    let before = heap_in_use();
    spawn_all::<S, F>(&runtime, count, future);
    (S::NAME, (heap_in_use() - before) as f64 / count as f64)
}

/// Spawns tasks that wait, and returns when each of them does.
fn spawn_all<S: Side, F>(runtime: &S, count: usize, future: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async {
        for _ in 0..count {
            drop(S::spawn(future()));
        }
        // Queues are first in, first out, but for one task at a time.
        for _ in 0..10 {
            S::spawn(async { S::yield_now().await }).await;
        }
    });
    std::thread::sleep(Duration::from_millis(20));
}

fn shutdown<F>(plan: &Plan, what: &'static str, future: impl Fn() -> F) -> Row
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut sides = [(Ours::NAME, Samples::default()), (Tokio::NAME, Samples::default())];
    for _ in 0..plan.rounds(5) {
        sides[0].1.push(ms_of_end::<Ours, F>(plan, &future));
        sides[1].1.push(ms_of_end::<Tokio, F>(plan, &future));
    }
    row(what, 1.0, &sides, Unit::Ms)
}

fn ms_of_end<S: Side, F>(plan: &Plan, future: impl Fn() -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = S::start(plan, plan.workers);
    spawn_all::<S, F>(&runtime, plan.size(1_000_000, 10_000), future);
    let begin = Instant::now();
    drop(runtime);
    begin.elapsed().as_secs_f64() * 1e3
}
