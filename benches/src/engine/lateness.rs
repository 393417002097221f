//! How much cached threadlets on all CPUs disturb a thread that has nothing to do with them.
//!
//! A plain thread sleeps a millisecond at a time and notes how late it wakes, while every CPU reads
//! cached pages: once through `threadlet!` in spawned tasks, one for each worker, and once on as
//! many bare threads. The reads are the same and never stop, so what differs is what watches them:
//! rings that are armed and their sentinel, or the monitor's looks. A watcher that takes a CPU from
//! this thread shows here.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use threadlet::threadlet;

use crate::harness::{Plan, Samples, interleave};
use crate::report::{Bar, Row, Side, Unit};
use crate::workload::{PAGE, cached_file, read_page, tick_on_thread};

const PERIOD: Duration = Duration::from_millis(1);

/// For the readers to be under way, and the rings armed.
const SETTLE: Duration = Duration::from_millis(50);

/// What the readers share with who started them.
struct Reading {
    file: File,
    over: AtomicBool,
    reads: AtomicU64,
}

impl Reading {
    fn new() -> Arc<Reading> {
        let (over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Reading { file: cached_file(), over, reads })
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Ticks beside the readers, then ends them.
    fn tick(&self, count: usize) -> Samples {
        thread::sleep(SETTLE);
        let late = tick_on_thread(count, PERIOD);
        self.over.store(true, Ordering::Relaxed);
        late
    }

    fn ended(&self, reader: u64) {
        assert!(reader > 0, "every reader read");
        self.reads.fetch_add(reader, Ordering::Relaxed);
    }
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let count = plan.size(1_000, 100);
    let mut wakeups = Samples::default();
    let (ours, bare) = interleave(
        plan.rounds(7),
        || {
            let (late, woken) = beside_threadlets(plan, count);
            wakeups.push(woken);
            late.percentile(99.0)
        },
        || beside_threads(plan, count).percentile(99.0),
    );
    let row = Row::quotient(
        "cached reads on all CPUs: p99 lateness of a 1 ms sleep, threadlets / threads",
        Bar::AtMost(1.5),
        Side::new("beside threadlets", Unit::Us, &ours),
        Side::new("beside threads", Unit::Us, &bare),
    );
    vec![row.beside(Side::new("wake-ups of the sentinel", Unit::Count, &wakeups))]
}

fn beside_threadlets(plan: &Plan, count: usize) -> (Samples, f64) {
    let runtime = plan.runtime();
    let reading = Reading::new();
    let tasks: Vec<_> = (0..plan.workers)
        .map(|_| {
            let reading = reading.clone();
            runtime.spawn(async move {
                let (mut page, mut reads) = ([0; PAGE], 0);
                while reading.goes_on() {
                    threadlet!(read_page(&reading.file, reads, &mut page));
                    reads += 1;
                }
                reading.ended(reads as u64);
            })
        })
        .collect();
    let late = reading.tick(count);
    for task in tasks {
        runtime.block_on(task).expect("the reader ends well");
    }
    let metrics = runtime.metrics();
    let reads = reading.reads.load(Ordering::Relaxed);
    assert_eq!(metrics.regions, reads, "every read was a region");
    (late, metrics.sentinel_wakeups as f64)
}

fn beside_threads(plan: &Plan, count: usize) -> Samples {
    let reading = Reading::new();
    let readers: Vec<_> = (0..plan.workers)
        .map(|_| {
            let reading = reading.clone();
            thread::spawn(move || {
                let (mut page, mut reads) = ([0; PAGE], 0);
                while reading.goes_on() {
                    read_page(&reading.file, reads, &mut page);
                    reads += 1;
                }
                reading.ended(reads as u64);
            })
        })
        .collect();
    let late = reading.tick(count);
    for reader in readers {
        reader.join().expect("the reader ends well");
    }
    late
}
