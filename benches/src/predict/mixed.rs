//! Sixty-four tasks whose calls sometimes block, and a task that ticks beside them.
//!
//! A share of the calls sleeps for 100 us (or 10 ms) in the kernel, the others read a cached page;
//! which is which is drawn once per call, by the same generator on all sides. Each side runs for the
//! same time, and calls are counted. A task of the same runtime sleeps a millisecond at a time meanwhile
//! and notes how late it wakes. Processor time and threads stand beside the wall time: a runtime
//! that buys throughput with either is to be seen doing it.
//!
//! In the figure `mixed` each call is followed by a yield, in `unyielding` there is none: there a
//! worker of tokio that has called `block_in_place` once has no core to give up any more, and the
//! sixty-four tasks are sixty-four threads that make plain calls. Beside it stand as many threads that
//! never were anything else.

use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use threadlet::threadlet;

use crate::harness::{Plan, Samples, pairs};
use crate::peer::{Peer, Smol};
use crate::report::{Bar, Row, Side as Measured, Unit, least, most};
use crate::sys;
use crate::workload::{Draw, PAGE, cached_file, late_us, read_page};

const TASKS: usize = 64;
/// How long they do.
const BLOCKS: [Duration; 2] = [Duration::from_micros(100), Duration::from_millis(10)];
const PERIOD: Duration = Duration::from_millis(1);

/// Of a thousand calls, how many block.
const SHARES: [u32; 6] = [0, 1, 10, 100, 500, 1000];

type Page = [u8; PAGE];

/// What all tasks of a run share.
struct Work {
    file: File,
    over: AtomicBool,
    mix: Mix,
}

impl Work {
    /// One call: it sleeps, or it reads.
    #[inline]
    fn call(&self, draw: &mut Draw, page: &mut Page) {
        let number = draw.next();
        if number % 1000 < self.mix.share {
            sys::nanosleep(self.mix.block);
        } else {
            read_page(&self.file, number as usize >> 10, page);
        }
    }
}

/// A way to make calls on a runtime.
trait Caller {
    type Runtime: Peer;

    /// Makes calls until the work is over, one at least; returns how many.
    fn calls(work: Arc<Work>, task: usize, yields: bool) -> impl Future<Output = u64> + Send;
}

struct Ours;
struct SpawnBlocking;
struct BlockInPlace;
struct Unblock;

impl Caller for Ours {
    type Runtime = threadlet::runtime::Runtime;

    async fn calls(work: Arc<Work>, task: usize, yields: bool) -> u64 {
        let (mut draw, mut page, mut calls) = (Draw::new(task), [0; PAGE], 0);
        while calls == 0 || !work.over.load(Ordering::Relaxed) {
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
        while calls == 0 || !work.over.load(Ordering::Relaxed) {
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

impl Caller for Unblock {
    type Runtime = Smol;

    async fn calls(work: Arc<Work>, task: usize, yields: bool) -> u64 {
        let (mut state, mut calls) = ((Draw::new(task), Box::new([0; PAGE])), 0);
        while calls == 0 || !work.over.load(Ordering::Relaxed) {
            let work = work.clone();
            let call = blocking::unblock(move || {
                work.call(&mut state.0, &mut state.1);
                state
            });
            state = call.await;
            calls += 1;
            if yields {
                Smol::yield_now().await;
            }
        }
        calls
    }
}

impl Caller for BlockInPlace {
    type Runtime = tokio::runtime::Runtime;

    async fn calls(work: Arc<Work>, task: usize, yields: bool) -> u64 {
        let (mut draw, mut page, mut calls) = (Draw::new(task), [0; PAGE], 0);
        while calls == 0 || !work.over.load(Ordering::Relaxed) {
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
    rate: Samples,
    cpu: Samples,
    threads: Samples,
    median: Samples,
    late: Samples,
}

impl Side {
    fn measure<C: Caller>(&mut self, runtime: &C::Runtime, run: &Run) {
        let work =
            Arc::new(Work { file: cached_file(), over: AtomicBool::new(false), mix: run.mix });
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
        self.note(calls, &late, begin.elapsed(), sys::process_cpu_time() - cpu);
    }

    /// The same by as many plain threads, and one that ticks: the limit.
    fn measure_threads(&mut self, run: &Run) {
        let (file, over) = (cached_file(), AtomicBool::new(false));
        let work = &Work { file, over, mix: run.mix };
        let (cpu, begin) = (sys::process_cpu_time(), Instant::now());
        let (calls, late) = std::thread::scope(|scope| {
            let thread = |task| {
                scope.spawn(move || {
                    let (mut draw, mut page, mut calls) = (Draw::new(task), [0; PAGE], 0);
                    while calls == 0 || !work.over.load(Ordering::Relaxed) {
                        work.call(&mut draw, &mut page);
                        calls += 1;
                    }
                    calls
                })
            };
            let threads: Vec<_> = (0..TASKS).map(thread).collect();
            let mut late = Samples::default();
            // Once at least: so many threads take their time to start.
            while late.len() == 0 || begin.elapsed() < run.length {
                let begun = Instant::now();
                std::thread::sleep(PERIOD);
                late.push(late_us(begun, PERIOD));
            }
            work.over.store(true, Ordering::Relaxed);
            let calls = threads.into_iter().map(|thread| thread.join().expect("it ends well"));
            (calls.sum::<u64>(), late)
        });
        self.note(calls, &late, begin.elapsed(), sys::process_cpu_time() - cpu);
    }

    fn note(&mut self, calls: u64, late: &Samples, wall: Duration, cpu: Duration) {
        assert!(calls >= TASKS as u64, "{calls} calls only");
        self.rate.push(calls as f64 / wall.as_secs_f64());
        self.cpu.push(cpu.as_nanos() as f64 / 1000.0 / calls as f64);
        self.threads.push(sys::threads() as f64);
        self.median.push(late.median());
        self.late.push(late.percentile(99.0));
    }

    /// Calls in a second.
    fn rate(&self, name: &'static str) -> Measured {
        Measured::new(name, Unit::PerSecond, &self.rate)
    }

    /// The ticker's 99th percentile.
    fn late(&self, name: &'static str) -> Measured {
        Measured::new(name, Unit::Us, &self.late)
    }

    /// What it cost, to stand beside a row.
    fn costs(&self, name: &str) -> [Measured; 3] {
        [
            Measured::new(format!("{name}, CPU a call"), Unit::Us, &self.cpu),
            Measured::new(format!("{name}, threads"), Unit::Count, &self.threads),
            Measured::new(format!("{name}, ticker's median"), Unit::Us, &self.median),
        ]
    }
}

/// Which calls block, and how long.
#[derive(Clone, Copy)]
struct Mix {
    /// Of a thousand.
    share: u32,
    block: Duration,
}

impl Mix {
    /// All that are measured. Without a call that blocks it makes no difference how long one would.
    fn all() -> Vec<Mix> {
        let of = |block| SHARES.map(|share| Mix { share, block });
        BLOCKS
            .into_iter()
            .flat_map(of)
            .filter(|mix| mix.share > 0 || mix.block == BLOCKS[0])
            .collect()
    }

    /// Where so much of the time is spent blocked that 64 tasks can do no more on any side, there is
    /// nothing to gain.
    fn bar(self) -> Bar {
        let blocked = self.block * self.share / 1000;
        Bar::AtLeast(if blocked >= Duration::from_millis(1) { 0.95 } else { 2.5 })
    }

    fn words(self) -> String {
        let percent = f64::from(self.share) / 10.0;
        let block = match self.block.as_millis() {
            0 => format!("{} us", self.block.as_micros()),
            ms => format!("{ms} ms"),
        };
        if self.share == 0 { "0 %".to_owned() } else { format!("{percent} % for {block}") }
    }
}

struct Run {
    mix: Mix,
    yields: bool,
    length: Duration,
}

impl Run {
    fn new(plan: &Plan, mix: Mix, yields: bool) -> Run {
        let length = plan.size(Duration::from_millis(250), Duration::from_millis(30));
        Run { mix, yields, length }
    }
}

fn with_costs(row: Row, sides: &[(&str, &Side)]) -> Row {
    let costs = sides.iter().flat_map(|(name, side)| side.costs(name));
    costs.fold(row, Row::beside)
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    Mix::all().into_iter().flat_map(|mix| yielding(plan, mix)).collect()
}

/// 10 % of the calls block for 100 us, with a flight recorder and without: short rounds, many, on
/// runtimes that stay from round to round and are built anew a few times.
pub(crate) fn recorded(plan: &Plan) -> Vec<Row> {
    let mix = Mix { share: 100, block: BLOCKS[0] };
    let length = Duration::from_millis(plan.size(40, 30));
    let run = Run { mix, yields: true, length };
    let [mut with, mut without] = [(); 2].map(|()| Side::default());
    for _ in 0..plan.size(10, 1) {
        let (on, off) = (plan.recorded(), plan.runtime());
        pairs(
            plan.rounds(32),
            || with.measure::<Ours>(&on, &run),
            || without.measure::<Ours>(&off, &run),
        );
    }
    let what = format!("{}: calls/s, without a recorder / with one", run.mix.words());
    let row = Row::pairs(what, Bar::AtMost(1.02), without.rate("without"), with.rate("with"));
    let costs = |name, side: &Side| {
        // The process has the threads of both.
        let [cpu, _threads, ticker] = side.costs(name);
        [cpu, ticker]
    };
    let all = costs("with", &with).into_iter().chain(costs("without", &without));
    vec![all.fold(row, Row::beside)]
}

fn yielding(plan: &Plan, mix: Mix) -> [Row; 2] {
    let run = Run::new(plan, mix, true);
    let [mut ours, mut spawned, mut in_place, mut smol] = [(); 4].map(|()| Side::default());
    for _ in 0..plan.rounds(5) {
        ours.measure::<Ours>(&plan.runtime(), &run);
        spawned.measure::<SpawnBlocking>(&plan.tokio(), &run);
        in_place.measure::<BlockInPlace>(&plan.tokio(), &run);
        smol.measure::<Unblock>(&plan.smol(), &run);
    }
    let peers =
        [("spawn_blocking", &spawned), ("block_in_place", &in_place), ("smol unblock", &smol)];
    let words = mix.words();
    let (best, others) = most(peers.map(|(name, side)| side.rate(name)).into());
    let what = format!("{words}: calls/s, ours / best peer");
    let rate = Row::quotient(what, mix.bar(), ours.rate("ours"), best);
    let rate = others.into_iter().fold(rate, Row::beside);
    let (best, others) = least(peers.map(|(name, side)| side.late(name)).into());
    let what = format!("{words}: ticker p99, ours / best peer");
    let late = Row::quotient(what, Bar::AtMost(0.5), ours.late("ours"), best);
    let all = [("ours", &ours), peers[0], peers[1], peers[2]];
    [with_costs(rate, &all), others.into_iter().fold(late, Row::beside)]
}

pub(crate) fn run_unyielding(plan: &Plan) -> Vec<Row> {
    Mix::all().into_iter().flat_map(|mix| unyielding(plan, mix)).collect()
}

fn unyielding(plan: &Plan, mix: Mix) -> [Row; 2] {
    let run = Run::new(plan, mix, false);
    let [mut ours, mut in_place, mut threads] = [(); 3].map(|()| Side::default());
    for _ in 0..plan.rounds(5) {
        ours.measure::<Ours>(&plan.runtime(), &run);
        in_place.measure::<BlockInPlace>(&plan.tokio(), &run);
        threads.measure_threads(&run);
    }
    [("block_in_place", in_place), ("64 threads", threads)].map(|(name, side)| {
        let what = format!("{}: calls/s, ours / {name}", mix.words());
        let row = Row::quotient(what, Bar::AtLeast(0.95), ours.rate("ours"), side.rate(name));
        with_costs(row, &[("ours", &ours), (name, &side)])
    })
}
