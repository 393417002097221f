//! A 4 KiB `pread` of a cached page: through `threadlet!`, bare, and the two ways tokio has.
//!
//! All sides read the same file, page after page, from one spawned task, into a buffer that is not
//! allocated per call (`spawn_blocking` sends it there and back, as its users do) and begins at a
//! page's edge: how fast the kernel copies depends on where it copies to, by more than a region
//! costs.
//!
//! tokio's `block_in_place` gives its core away at the first call of a poll and has nothing left to
//! give at the next ones: a loop of it that never yields measures a plain call. So it yields after
//! each call, and for that comparison ours does as well. `spawn_blocking` awaits its handle, which
//! is a yield already; ours needs none there and makes none.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threadlet::threadlet;

use crate::harness::{Plan, Samples, ns_each};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::workload::{Page, cached_file, read_page};

/// Short enough that a chunk of bare reads in one poll is no hog, and is seldom preempted.
const CHUNK: usize = 200;

/// Nanoseconds per read; a sample a round, the median of its chunks.
#[derive(Default)]
struct Measured {
    ours: Samples,
    bare: Samples,
    ours_yields: Samples,
    spawn_blocking: Samples,
    block_in_place: Samples,
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let file = Arc::new(cached_file());
    let chunks = plan.size(200, 10);
    let peer_calls = plan.size(4_000, 200);
    let mut measured = Measured::default();
    for _ in 0..plan.rounds(11) {
        ours(plan, &file, chunks, &mut measured);
        tokio(plan, &file, peer_calls, &mut measured);
    }
    let Measured { ours, bare, ours_yields, spawn_blocking, block_in_place } = measured;
    vec![
        row(
            "cached 4 KiB pread: threadlet! / bare",
            Bar::AtMost(1.04),
            ("threadlet!", &ours),
            ("bare", &bare),
        ),
        row(
            "cached 4 KiB pread: tokio spawn_blocking / threadlet!",
            Bar::AtLeast(10.0),
            ("spawn_blocking", &spawn_blocking),
            ("threadlet!", &ours),
        ),
        row(
            "the same, a yield after each: tokio block_in_place / threadlet!",
            Bar::AtLeast(5.0),
            ("block_in_place", &block_in_place),
            ("threadlet!", &ours_yields),
        ),
    ]
}

/// One round of ours; marked and bare reads take turns in one task.
fn ours(plan: &Plan, file: &Arc<File>, chunks: usize, measured: &mut Measured) {
    let runtime = plan.runtime();
    let file = file.clone();
    let times = runtime.run(async move {
        let (mut times, mut page) = (Vec::new(), Page::new());
        for _ in 0..chunks {
            let marked = marked_reads::<false>(&file, CHUNK, &mut page).await;
            let bare = bare_reads(&file, CHUNK, &mut page).await;
            times.push((marked, bare, marked_reads::<true>(&file, CHUNK, &mut page).await));
        }
        times
    });
    let metrics = runtime.metrics();
    assert_eq!(metrics.regions, 2 * (chunks * CHUNK) as u64, "every marked read was a region");
    let median = |of: fn(&(Duration, Duration, Duration)) -> Duration| {
        times.iter().map(|chunk| ns_each(of(chunk), CHUNK)).collect::<Samples>().median()
    };
    measured.ours.push(median(|chunk| chunk.0));
    measured.bare.push(median(|chunk| chunk.1));
    measured.ours_yields.push(median(|chunk| chunk.2));
}

async fn marked_reads<const YIELDS: bool>(file: &File, count: usize, page: &mut Page) -> Duration {
    threadlet::task::yield_now().await;
    let begin = Instant::now();
    for nth in 0..count {
        threadlet!(read_page(file, nth, &mut page.0));
        if YIELDS {
            threadlet::task::yield_now().await;
        }
    }
    begin.elapsed()
}

async fn bare_reads(file: &File, count: usize, page: &mut Page) -> Duration {
    threadlet::task::yield_now().await;
    let begin = Instant::now();
    for nth in 0..count {
        read_page(file, nth, &mut page.0);
    }
    begin.elapsed()
}

/// One round of tokio.
fn tokio(plan: &Plan, file: &Arc<File>, count: usize, measured: &mut Measured) {
    let runtime = plan.tokio();
    let file = file.clone();
    let (spawn_blocking, block_in_place) = runtime.run(async move {
        // Its threads are there before the clock is read.
        spawned_reads(&file, 100).await;
        let spawned = spawned_reads(&file, count).await;
        in_place_reads(&file, 100).await;
        (spawned, in_place_reads(&file, count).await)
    });
    measured.spawn_blocking.push(ns_each(spawn_blocking, count));
    measured.block_in_place.push(ns_each(block_in_place, count));
}

async fn spawned_reads(file: &Arc<File>, count: usize) -> Duration {
    let mut page = Page::new();
    let begin = Instant::now();
    for nth in 0..count {
        let file = file.clone();
        let read = tokio::task::spawn_blocking(move || {
            read_page(&file, nth, &mut page.0);
            page
        });
        page = read.await.expect("the closure ends well");
    }
    begin.elapsed()
}

async fn in_place_reads(file: &File, count: usize) -> Duration {
    let mut page = Page::new();
    let begin = Instant::now();
    for nth in 0..count {
        tokio::task::block_in_place(|| read_page(file, nth, &mut page.0));
        tokio::task::yield_now().await;
    }
    begin.elapsed()
}

type Named<'a> = (&'static str, &'a Samples);

fn row(what: &'static str, bar: Bar, over: Named<'_>, under: Named<'_>) -> Row {
    let side = |(name, samples)| Side::new(name, Unit::Ns, samples);
    Row::quotient(what, bar, side(over), side(under))
}
