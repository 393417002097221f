//! Long computations through `spawn_blocking`, and a task that ticks beside them.
//!
//! Four closures compute for a second each (on two CPUs: twice as many as there are), and a task
//! sleeps a millisecond at a time meanwhile. tokio runs the closures on threads of their own from
//! the beginning; ours begin on the workers and lose their cores as hogs. With more computing
//! threads than CPUs the ticker is as late as the kernel's scheduler makes it, on both sides; what
//! is compared is whether we add to that. The first ticks, before the hogs are found, count.

use std::time::{Duration, Instant};

use crate::harness::{Plan, Samples, interleave, spin};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::workload::late_us;

const CLOSURES: usize = 4;
const PERIOD: Duration = Duration::from_millis(1);

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let compute = plan.size(Duration::from_secs(1), Duration::from_millis(200));
    let (mut ticks, mut walls) = (Samples::default(), Samples::default());
    let (ours, peer) = interleave(
        plan.rounds(9),
        || {
            let beside = tick_beside(&plan.runtime(), compute);
            ticks.push(beside.late.len() as f64);
            walls.push(beside.wall.as_secs_f64());
            beside.late.percentile(99.0)
        },
        || tick_beside(&plan.tokio(), compute).late.percentile(99.0),
    );
    let row = Row::quotient(
        "4 closures compute: p99 lateness of a task's 1 ms sleep, ours / tokio",
        Bar::AtMost(1.2),
        Side::new("ours", Unit::Us, &ours),
        Side::new("tokio", Unit::Us, &peer),
    );
    let row = row.beside(Side::new("ours, ticks", Unit::Count, &ticks));
    vec![row.beside(Side::new("ours, the closures took", Unit::S, &walls))]
}

struct Beside {
    late: Samples,
    wall: Duration,
}

fn tick_beside<P: Peer>(runtime: &P, compute: Duration) -> Beside {
    let (late, wall) = runtime.run(async move {
        let begin = Instant::now();
        let closures: Vec<_> = (0..CLOSURES)
            .map(|_| {
                P::spawn_blocking(move || {
                    spin(compute);
                    Instant::now()
                })
            })
            .collect();
        let ticker = P::spawn(async move {
            let mut late = Samples::default();
            while begin.elapsed() < compute {
                let begun = Instant::now();
                P::sleep(PERIOD).await;
                late.push(late_us(begun, PERIOD));
            }
            late
        });
        let late = ticker.await;
        let mut last = begin;
        for closure in closures {
            last = last.max(closure.await);
        }
        (late, last - begin)
    });
    assert!(wall >= compute, "the closures computed for so long");
    assert!(late.len() >= 10, "{} ticks only: the ticker was shut out", late.len());
    Beside { late, wall }
}
