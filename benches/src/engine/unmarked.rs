//! Code that blocks a little and says nothing of it.
//!
//! Nothing is marked here: no region, only the guard that every poll has (rescue is on, as it is by
//! default). Sixty-four tasks share a `std::sync::Mutex` and compute for 5 us under it; sixty-four
//! tasks allocate and free buffers of many sizes. Each turn ends with a yield, so that all tasks
//! take part, on both sides. The same generic code runs on both runtimes, and the number of turns
//! is fixed and counted; what differs is the time.
//!
//! Beside it, code that blocks for long: a task sleeps for 10 ms on the only core, which has worked for
//! 20 ms before. How long does the next task wait? (On tokio it waits for the block to end.)

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use threadlet::runtime::Runtime;

use crate::harness::{Plan, Samples, interleave, spin};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};

const TASKS: usize = 64;
const HELD: Duration = Duration::from_micros(5);

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let turns = plan.size(200, 20);
    let rounds = plan.rounds(21);
    let mut rescued = 0;
    let (ours, peer) = interleave(
        rounds,
        || {
            let runtime = plan.runtime();
            let rate = lock_in_turns(&runtime, turns);
            rescued += runtime.metrics().handoffs_rescued;
            rate
        },
        || lock_in_turns(&plan.tokio(), turns),
    );
    let mutex = row("64 tasks on a std Mutex, nothing marked: turns/s, ours / tokio", &ours, &peer);
    let mutex = mutex.note(format!("{rescued} rescued in all"));
    let (ours, peer) = interleave(
        rounds,
        || allocate_in_turns(&plan.runtime(), turns),
        || allocate_in_turns(&plan.tokio(), turns),
    );
    let allocations = row("64 tasks allocate, nothing marked: turns/s, ours / tokio", &ours, &peer);
    let held_up = Side::new("ours", Unit::Ms, &held_up(plan));
    let what = "an unmarked block of 10 ms on one core, until the next task runs";
    vec![mutex, allocations, Row::median(what, Bar::AtMost(1.0), held_up)]
}

/// In milliseconds, by each of many blocks.
fn held_up(plan: &Plan) -> Samples {
    let (blocks, works) = (plan.size(150, 20), Duration::from_millis(20));
    let waits = plan.runtime_of(1).run(async move {
        let mut waits = Vec::new();
        for _ in 0..blocks {
            let begin = Instant::now();
            while begin.elapsed() < works {
                <Runtime as Peer>::yield_now().await;
            }
            let blocked = Instant::now();
            let next = <Runtime as Peer>::spawn(async move { blocked.elapsed() });
            let block = || std::thread::sleep(Duration::from_millis(10));
            <Runtime as Peer>::spawn(async move { block() }).await;
            waits.push(next.await);
        }
        waits
    });
    waits.iter().map(|wait| wait.as_secs_f64() * 1e3).collect()
}

fn row(what: &'static str, ours: &Samples, peer: &Samples) -> Row {
    let side = |name, samples| Side::new(name, Unit::PerSecond, samples);
    Row::quotient(what, Bar::AtLeast(0.95), side("ours", ours), side("tokio", peer))
}

/// Turns per second.
fn lock_in_turns<P: Peer>(runtime: &P, turns: usize) -> f64 {
    let shared = Arc::new(Mutex::new(0_usize));
    let counted = shared.clone();
    let took = runtime.run(async move {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let shared = shared.clone();
                P::spawn(async move {
                    for _ in 0..turns {
                        turn_under(&shared);
                        P::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        begin.elapsed()
    });
    let count = *counted.lock().expect("no task panicked");
    assert_eq!(count, TASKS * turns, "every turn was taken");
    count as f64 / took.as_secs_f64()
}

fn turn_under(shared: &Mutex<usize>) {
    let mut count = shared.lock().expect("no task panicked");
    spin(HELD);
    *count += 1;
}

/// Turns per second.
fn allocate_in_turns<P: Peer>(runtime: &P, turns: usize) -> f64 {
    let took = runtime.run(async move {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                P::spawn(async move {
                    let mut kept: Vec<Vec<u8>> = Vec::new();
                    let mut bytes = 0;
                    for turn in 0..turns {
                        bytes += allocate(&mut kept, task * turns + turn);
                        P::yield_now().await;
                    }
                    bytes
                })
            })
            .collect();
        let mut bytes = 0;
        for task in tasks {
            bytes += task.await;
        }
        assert!(bytes >= TASKS * turns * BUFFERS, "every turn allocated");
        begin.elapsed()
    });
    (TASKS * turns) as f64 / took.as_secs_f64()
}

/// Buffers made in a turn.
const BUFFERS: usize = 32;

/// Makes buffers of 1 byte to 8 KiB and drops those of the turn before.
fn allocate(kept: &mut Vec<Vec<u8>>, seed: usize) -> usize {
    let sizes = (0..BUFFERS).map(|nth| 1 + (seed * 31 + nth * 257) % 8192);
    let made: Vec<Vec<u8>> = sizes.map(|size| black_box(vec![seed as u8; size])).collect();
    *kept = made;
    kept.iter().map(Vec::len).sum()
}
