//! Tasks from outside beside workers that are never idle: two tasks compute for a millisecond in each
//! poll and yield, and a thread that is no worker spawns many. How long until the first of these has
//! run, and until the last has?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::harness::{Plan, Samples, interleave, spin};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let rows = [
        (1, Which::First, "tasks from outside, one busy worker: until the first, ours / tokio"),
        (1, Which::Last, "tasks from outside, one busy worker: until the last, ours / tokio"),
        (2, Which::First, "tasks from outside, two busy workers: until the first, ours / tokio"),
        (2, Which::Last, "tasks from outside, two busy workers: until the last, ours / tokio"),
    ];
    rows.map(|(workers, which, what)| row(plan, workers, which, what)).into()
}

#[derive(Clone, Copy)]
enum Which {
    First,
    Last,
}

fn row(plan: &Plan, workers: usize, which: Which, what: &'static str) -> Row {
    let count = plan.size(200, 20);
    let ours = || wait(&plan.runtime_of(workers), which, count);
    let tokios = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        wait(&builder.worker_threads(workers).build().expect("tokio's"), which, count)
    };
    let (ours, peer): (Samples, Samples) = interleave(plan.rounds(11), ours, tokios);
    let side = |name, samples| Side::new(name, Unit::Ms, samples);
    Row::quotient(what, Bar::AtMost(3.0), side("ours", &ours), side("tokio", &peer))
}

/// Milliseconds.
fn wait<P: Peer>(runtime: &P, which: Which, count: usize) -> f64 {
    let over = Arc::new(AtomicBool::new(false));
    // The thread in `block_on` is no worker.
    runtime.block_on(async {
        for _ in 0..2 {
            let over = over.clone();
            drop(P::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    spin(Duration::from_millis(1));
                    P::yield_now().await;
                }
            }));
        }
        std::thread::sleep(Duration::from_millis(50));
        let (tell, told) = mpsc::channel();
        let begin = Instant::now();
        for _ in 0..count {
            let tell = tell.clone();
            drop(P::spawn(async move { tell.send(begin.elapsed()).expect("somebody listens") }));
        }
        drop(tell);
        let times: Vec<Duration> = told.iter().collect();
        assert_eq!(times.len(), count, "each of them runs");
        over.store(true, Ordering::Relaxed);
        let time = match which {
            Which::First => times.iter().min(),
            Which::Last => times.iter().max(),
        };
        time.expect("there are some").as_secs_f64() * 1e3
    })
}
