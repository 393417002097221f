//! What a blocked thread costs where there are few and where there are many: how long until all are
//! blocked, what one call more costs beside them that has to have a thread, how much memory they
//! take, and how long it takes until all are through again.
//!
//! All block in a read from one pipe, until its other end is closed.

use std::future::Future;
use std::io::{PipeReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use threadlet::runtime::Builder;
use threadlet::threadlet;

use super::many;
use crate::harness::{Plan, Samples, ns_each};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::sys::resident_bytes;

/// How many there are.
pub(crate) const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// What is measured; the words with which a row ends.
pub(crate) const STEPS: [&str; 4] =
    ["until they are", "one call more beside them", MEMORY, "until they are through"];

const MEMORY: &str = "memory";

/// Threads for the calls beside those that block.
const MORE: usize = 64;

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let counts = &COUNTS[..plan.size(COUNTS.len(), 3)];
    counts.iter().flat_map(|count| rows(plan, *count)).collect()
}

fn rows(plan: &Plan, count: usize) -> Vec<Row> {
    let [mut ours, mut peer]: [[Samples; 4]; 2] = Default::default();
    for _ in 0..plan.rounds(3) {
        note(&mut ours, times(&our_runtime(plan, count), plan, count, our_call));
        note(&mut peer, times(&tokios(plan, count), plan, count, tokios_call));
    }
    let row = |(nth, step): (usize, &&str)| {
        let unit = if *step == MEMORY { Unit::Bytes } else { Unit::Us };
        let side = |name, of: &[Samples; 4]| Side::new(name, unit, &of[nth]);
        let what = format!("{} blocked threads, {step}: a thread", many(count));
        // Few take none that can be told.
        if *step == MEMORY {
            return Row::median(what, Bar::Open, side("ours", &ours)).beside(side("tokio", &peer));
        }
        let what = format!("{what}, ours / tokio");
        Row::quotient(what, Bar::Open, side("ours", &ours), side("tokio", &peer))
    };
    STEPS.iter().enumerate().map(row).collect()
}

fn note(samples: &mut [Samples; 4], times: [f64; 4]) {
    samples.iter_mut().zip(times).for_each(|(samples, time)| samples.push(time));
}

fn our_runtime(plan: &Plan, count: usize) -> threadlet::runtime::Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(plan.workers).detector(plan.detector).max_async_threads(count + MORE);
    builder.build().expect("our runtime")
}

fn tokios(plan: &Plan, count: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(plan.workers).max_blocking_threads(count + MORE);
    builder.build().expect("tokio's runtime")
}

/// A call that is over at once, on a thread of its own: its core is handed over before it.
async fn our_call() {
    let call = threadlet::spawn(async { threadlet!(will_block; ()) });
    call.await.expect("the task ends well");
}

async fn tokios_call() {
    tokio::task::spawn_blocking(|| ()).await.expect("the closure ends well");
}

fn times<P: Peer, F: Future<Output = ()> + Send + 'static>(
    runtime: &P,
    plan: &Plan,
    count: usize,
    call: fn() -> F,
) -> [f64; 4] {
    // Once before, so that what grows with the first calls has grown.
    runtime.run(call());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let (reader, through) = (Arc::new(reader), Arc::new(AtomicUsize::new(0)));
    let before = resident_bytes();
    let begin = Instant::now();
    runtime.block_on(async { (0..count).for_each(|_| block::<P>(&reader, &through)) });
    wait_for(&through, count);
    let until_blocked = begin.elapsed();
    // The last of them have said so and are on their way into the call.
    std::thread::sleep(Duration::from_millis(20));
    let memory = resident_bytes().saturating_sub(before) as f64 / count as f64;
    let calls = plan.size(500, 5);
    let one_more = runtime.run(async move {
        let begin = Instant::now();
        for _ in 0..calls {
            call().await;
        }
        begin.elapsed()
    });
    let begin = Instant::now();
    drop(writer);
    wait_for(&through, 2 * count);
    let until_through = begin.elapsed();
    let us = |time, count| ns_each(time, count) / 1e3;
    [us(until_blocked, count), us(one_more, calls), memory, us(until_through, count)]
}

/// Has a call block, which counts before that and behind it.
fn block<P: Peer>(reader: &Arc<PipeReader>, through: &Arc<AtomicUsize>) {
    let (reader, through) = (reader.clone(), through.clone());
    drop(P::spawn_blocking(move || {
        through.fetch_add(1, Ordering::Relaxed);
        let end = (&*reader).read(&mut [0]).expect("the pipe can be read");
        assert_eq!(end, 0, "nobody writes");
        through.fetch_add(1, Ordering::Relaxed);
    }));
}

fn wait_for(reached: &AtomicUsize, count: usize) {
    while reached.load(Ordering::Relaxed) < count {
        std::thread::sleep(Duration::from_micros(20));
    }
}
