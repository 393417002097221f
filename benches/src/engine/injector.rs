//! Tasks from outside beside workers that are never idle: two tasks compute for a millisecond in each
//! poll and yield, and a thread that is no worker spawns many. How long until the first of these has
//! run, and until the last has? That depends on how far into its poll the task is that computes just
//! then: each side is asked at as many points of a poll, evenly spread.

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

/// How long a poll of those that compute takes.
const POLL: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
enum Which {
    First,
    Last,
}

fn row(plan: &Plan, workers: usize, which: Which, what: &'static str) -> Row {
    let count = plan.size(200, 20);
    let rounds = plan.rounds(11);
    let parts = || (0..rounds as u32).map(|nth| POLL * nth / rounds as u32);
    let (mut of_ours, mut of_tokios) = (parts(), parts());
    let ours = || {
        let part = of_ours.next().expect("one for each round");
        wait(&plan.runtime_of(workers), which, count, part)
    };
    let tokios = || {
        let part = of_tokios.next().expect("one for each round");
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        wait(&builder.worker_threads(workers).build().expect("tokio's"), which, count, part)
    };
    let (ours, peer): (Samples, Samples) = interleave(rounds, ours, tokios);
    let side = |name, samples| Side::new(name, Unit::Ms, samples);
    Row::quotient(what, Bar::AtMost(3.0), side("ours", &ours), side("tokio", &peer))
}

/// Milliseconds, asked when `part` of a poll is over (and what the sleep before takes too long).
fn wait<P: Peer>(runtime: &P, which: Which, count: usize, part: Duration) -> f64 {
    let over = Arc::new(AtomicBool::new(false));
    // The thread in `block_on` is no worker.
    runtime.block_on(async {
        for _ in 0..2 {
            let over = over.clone();
            drop(P::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    spin(POLL);
                    P::yield_now().await;
                }
            }));
        }
        std::thread::sleep(50 * POLL + part);
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
