//! What a region costs that does not block.
//!
//! `threadlet!` around a body, less the bare body, both in the same spawned task and in turns, so
//! that the loop, the poll and the CPU are the same. The body is empty but for a `black_box`, which
//! is the steadiest; a system call (`getppid`) stands beside it for information, because there the
//! cost can hide behind the kernel's, or not.
//!
//! A second pair yields after each call: then every call also pays what begins and ends with a poll
//! (the first region of a poll, the gate's budget), and nothing is spread over many calls. Both
//! sides yield, so the yield itself is no part of the difference.
//!
//! What the gate does after a number of calls in a row (it sends the task back through the queue)
//! is left in: it belongs to the price.

use std::hint::black_box;
use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

use threadlet::runtime::Runtime;
use threadlet::threadlet;

use crate::harness::{Plan, Samples, ns_each, pairs};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};

/// Calls in a chunk: a fraction of a millisecond. That is no hog, and on a busy machine most chunks
/// are over before the thread is preempted, so the median is not about that.
const CHUNK: usize = 5_000;
const CHUNK_WITH_YIELDS: usize = 1_000;
const CHUNK_OF_SYSTEM_CALLS: usize = 500;

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let rounds = plan.rounds(1_500);
    let runtime = plan.runtime();
    let before = runtime.metrics().regions;
    let (empty, yielding, system) = runtime.run(async move {
        let nothing = |nth: usize| black_box(nth as u32);
        let getppid = |_| black_box(parent_id());
        (
            compare::<false, _>(rounds, CHUNK, nothing).await,
            compare::<true, _>(rounds, CHUNK_WITH_YIELDS, nothing).await,
            compare::<false, _>(rounds, CHUNK_OF_SYSTEM_CALLS, getppid).await,
        )
    });
    let calls = rounds * (CHUNK + CHUNK_WITH_YIELDS + CHUNK_OF_SYSTEM_CALLS);
    assert_eq!(runtime.metrics().regions - before, calls as u64, "every call was a region");
    vec![
        row("a call that does not block: threadlet! less the bare body", Bar::AtMost(12.0), &empty),
        row("the same, both yield after each", Bar::AtMost(40.0), &yielding),
        row("the same around getppid", Bar::Open, &system),
    ]
}

/// A call that does not block, with a flight recorder and without, in turns.
pub(crate) fn recorded(plan: &Plan) -> Vec<Row> {
    let body = |nth: usize| black_box(nth as u32);
    let calls = |runtime: Runtime| {
        runtime.run(async move {
            let mut times = Samples::default();
            for _ in 0..50 {
                times.push(ns_each(time_calls::<true, false, _>(CHUNK, body).await, CHUNK));
            }
            times.median()
        })
    };
    let (mut with, mut without) = (Samples::default(), Samples::default());
    pairs(
        plan.rounds(200),
        || with.push(calls(plan.recorded())),
        || without.push(calls(plan.runtime())),
    );
    let side = |name, samples: &Samples| Side::new(name, Unit::Ns, samples);
    vec![Row::difference(
        "a call that does not block: with a recorder less without",
        Bar::AtMost(3.0),
        side("with", &with),
        side("without", &without),
    )]
}

/// Nanoseconds per call with and without `threadlet!`.
struct Compared {
    marked: Samples,
    bare: Samples,
}

async fn compare<const YIELDS: bool, B>(rounds: usize, chunk: usize, body: B) -> Compared
where
    B: Fn(usize) -> u32 + Copy,
{
    let mut compared = Compared { marked: Samples::default(), bare: Samples::default() };
    for _ in 0..rounds {
        let marked = time_calls::<true, YIELDS, _>(chunk, body).await;
        let bare = time_calls::<false, YIELDS, _>(chunk, body).await;
        compared.marked.push(ns_each(marked, chunk));
        compared.bare.push(ns_each(bare, chunk));
    }
    compared
}

async fn time_calls<const MARKED: bool, const YIELDS: bool, B>(count: usize, body: B) -> Duration
where
    B: Fn(usize) -> u32 + Copy,
{
    // Each chunk begins with a poll of its own.
    threadlet::task::yield_now().await;
    let begin = Instant::now();
    for nth in 0..count {
        if MARKED {
            threadlet!(body(nth));
        } else {
            body(nth);
        }
        if YIELDS {
            threadlet::task::yield_now().await;
        }
    }
    begin.elapsed()
}

fn row(what: &'static str, bar: Bar, compared: &Compared) -> Row {
    // The chunks are many, and one is like the next.
    let side = |name, samples: &Samples| Side::new(name, Unit::Ns, &samples.folded(30));
    Row::difference(what, bar, side("threadlet!", &compared.marked), side("bare", &compared.bare))
}
