//! Sixty-four tasks whose calls sometimes block, and a task that ticks beside them.
//!
//! A share of the calls sleeps for 100 us in the kernel, the others read a cached page; which is
//! which is drawn once per call, by the same generator on all sides. Each side runs for the same
//! time, and calls are counted. A task of the same runtime sleeps a millisecond at a time meanwhile
//! and notes how late it wakes. Processor time and threads stand beside the wall time: a runtime
//! that buys throughput with either is to be seen doing it.
//!
//! In the figure `mixed` each call is followed by a yield, in `unyielding` there is none: there a
//! worker of tokio that has called `block_in_place` once has no core to give up any more, and the
//! sixty-four tasks are sixty-four threads that make plain calls.

use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use threadlet::threadlet;

use crate::harness::{Plan, Samples};
use crate::peer::Peer;
use crate::report::{Bar, Row, Unit};
use crate::sys;
use crate::workload::{Draw, PAGE, cached_file, late_us, read_page};

const TASKS: usize = 64;
const BLOCKED: Duration = Duration::from_micros(100);
const PERIOD: Duration = Duration::from_millis(1);

/// Of a thousand calls, how many block; and how each is called in the table.
const SHARES: [(u32, [&str; 3]); 4] = [
    (
        0,
        ["0 %: tokio's best / ours", "0 %: ticker p99, ours / tokio", "0 %: block_in_place / ours"],
    ),
    (
        10,
        ["1 %: tokio's best / ours", "1 %: ticker p99, ours / tokio", "1 %: block_in_place / ours"],
    ),
    (
        100,
        [
            "10 %: tokio's best / ours",
            "10 %: ticker p99, ours / tokio",
            "10 %: block_in_place / ours",
        ],
    ),
    (
        1000,
        [
            "100 %: tokio's best / ours",
            "100 %: ticker p99, ours / tokio",
            "100 %: block_in_place / ours",
        ],
    ),
];

type Page = [u8; PAGE];

/// What all tasks of a run share.
struct Work {
    file: File,
    over: AtomicBool,
    share: u32,
}

impl Work {
    /// One call: it sleeps, or it reads.
    #[inline]
    fn call(&self, draw: &mut Draw, page: &mut Page) {
        let number = draw.next();
        if number % 1000 < self.share {
            sys::nanosleep(BLOCKED);
        } else {
            read_page(&self.file, number as usize >> 10, page);
        }
    }
}

/// A way to make calls on a runtime.
trait Caller {
    type Runtime: Peer;

    /// Makes calls until the work is over; returns how many.
    fn calls(work: Arc<Work>, task: usize, yields: bool) -> impl Future<Output = u64> + Send;
}

struct Ours;
struct SpawnBlocking;
struct BlockInPlace;

impl Caller for Ours {
    type Runtime = threadlet::runtime::Runtime;

    async fn calls(work: Arc<Work>, task: usize, yields: bool) -> u64 {
        let (mut draw, mut page, mut calls) = (Draw::new(task), [0; PAGE], 0);
        while !work.over.load(Ordering::Relaxed) {
            threadlet!(work.call(&mut draw, &mut page));
            calls += 1;
            if yields {
                threadlet::task::yield_now().await;
            }
        }
        calls
    }
}

impl Caller for SpawnBlocking {
    type Runtime = tokio::runtime::Runtime;

    async fn calls(work: Arc<Work>, task: usize, yields: bool) -> u64 {
        let (mut state, mut calls) = ((Draw::new(task), Box::new([0; PAGE])), 0);
        while !work.over.load(Ordering::Relaxed) {
            let work = work.clone();
            let call = tokio::task::spawn_blocking(move || {
                work.call(&mut state.0, &mut state.1);
                state
            });
            state = call.await.expect("the call ends well");
            calls += 1;
            if yields {
                tokio::task::yield_now().await;
            }
        }
        calls
    }
}

impl Caller for BlockInPlace {
    type Runtime = tokio::runtime::Runtime;

    async fn calls(work: Arc<Work>, task: usize, yields: bool) -> u64 {
        let (mut draw, mut page, mut calls) = (Draw::new(task), [0; PAGE], 0);
        while !work.over.load(Ordering::Relaxed) {
            tokio::task::block_in_place(|| work.call(&mut draw, &mut page));
            calls += 1;
            if yields {
                tokio::task::yield_now().await;
            }
        }
        calls
    }
}

/// What rounds of one side measured.
#[derive(Default)]
struct Side {
    wall: Samples,
    cpu: Samples,
    threads: Samples,
    median: Samples,
    late: Samples,
}

impl Side {
    fn measure<C: Caller>(&mut self, runtime: &C::Runtime, run: &Run) {
        let work =
            Arc::new(Work { file: cached_file(), over: AtomicBool::new(false), share: run.share });
        let (yields, length) = (run.yields, run.length);
        let (cpu, begin) = (sys::process_cpu_time(), Instant::now());
        let (calls, late) = runtime.run({
            let work = work.clone();
            async move {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|task| {
                        let work = work.clone();
                        C::Runtime::spawn(async move { C::calls(work, task, yields).await })
                    })
                    .collect();
                let ticker = C::Runtime::spawn(async move {
                    let mut late = Samples::default();
                    while begin.elapsed() < length {
                        let begun = Instant::now();
                        C::Runtime::sleep(PERIOD).await;
                        late.push(late_us(begun, PERIOD));
                    }
                    late
                });
                let late = ticker.await;
                work.over.store(true, Ordering::Relaxed);
                let mut calls = 0;
                for task in tasks {
                    calls += task.await;
                }
                (calls, late)
            }
        });
        let (wall, cpu) = (begin.elapsed(), sys::process_cpu_time() - cpu);
        assert!(calls > TASKS as u64, "{calls} calls only");
        self.wall.push(wall.as_nanos() as f64 / 1000.0 / calls as f64);
        self.cpu.push(cpu.as_nanos() as f64 / 1000.0 / calls as f64);
        self.threads.push(sys::threads() as f64);
        self.median.push(late.median());
        self.late.push(late.percentile(99.0));
    }

    fn text(&self, name: &str) -> String {
        format!(
            "{name} {:.2} us a call ({:.2} us of CPU, {:.0} threads, ticker {:.0}/{:.0} us late)",
            self.wall.median(),
            self.cpu.median(),
            self.threads.median(),
            self.median.median(),
            self.late.median(),
        )
    }
}

struct Run {
    share: u32,
    yields: bool,
    length: Duration,
}

impl Run {
    fn new(plan: &Plan, share: u32, yields: bool) -> Run {
        let length = plan.size(Duration::from_millis(500), Duration::from_millis(50));
        Run { share, yields, length }
    }
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let rows = SHARES.iter().map(|(share, names)| {
        let run = Run::new(plan, *share, true);
        let [mut ours, mut spawned, mut in_place] = [(); 3].map(|()| Side::default());
        for _ in 0..plan.rounds(7) {
            ours.measure::<Ours>(&plan.runtime(), &run);
            spawned.measure::<SpawnBlocking>(&plan.tokio(), &run);
            in_place.measure::<BlockInPlace>(&plan.tokio(), &run);
        }
        let best = spawned.wall.median().min(in_place.wall.median());
        let texts =
            [ours.text("ours"), spawned.text("spawn_blocking"), in_place.text("block_in_place")];
        [
            Row {
                what: names[0],
                bar: Bar::AtLeast(if *share == 1000 { 1.5 } else { 2.0 }),
                unit: Unit::Ratio,
                value: best / ours.wall.median(),
                medians: texts.join(", "),
            },
            Row {
                what: names[1],
                bar: Bar::AtMost(1.0),
                unit: Unit::Ratio,
                value: ours.late.median() / spawned.late.median(),
                medians: format!(
                    "{:.0} us beside ours, {:.0} us beside spawn_blocking, {:.0} us beside \
                     block_in_place",
                    ours.late.median(),
                    spawned.late.median(),
                    in_place.late.median()
                ),
            },
        ]
    });
    rows.flatten().collect()
}

pub(crate) fn run_unyielding(plan: &Plan) -> Vec<Row> {
    let rows = SHARES.iter().map(|(share, names)| {
        let run = Run::new(plan, *share, false);
        let [mut ours, mut in_place] = [(); 2].map(|()| Side::default());
        for _ in 0..plan.rounds(7) {
            ours.measure::<Ours>(&plan.runtime(), &run);
            in_place.measure::<BlockInPlace>(&plan.tokio(), &run);
        }
        Row {
            what: names[2],
            bar: Bar::AtLeast(0.95),
            unit: Unit::Ratio,
            value: in_place.wall.median() / ours.wall.median(),
            medians: [ours.text("ours"), in_place.text("block_in_place")].join(", "),
        }
    });
    rows.collect()
}
