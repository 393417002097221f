//! A million timers at once: a million tasks, each of which sleeps for a time of its own between
//! half a second and one. What counts is the processor time that a timer takes, from the spawn of its
//! task to the end.

use std::time::{Duration, Instant};

use crate::harness::{Plan, Samples, in_turns};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit, least};
use crate::sys;
use crate::workload::Draw;

/// Nanoseconds of processor time for each; and by how many milliseconds the last was late.
fn sleepers<P: Peer>(runtime: &P, plan: &Plan, late: &mut Samples) -> f64 {
    let count = plan.size(1_000_000, 2_000);
    let half = plan.size(Duration::from_millis(500), Duration::from_millis(25));
    let cpu = sys::process_cpu_time();
    let late_ms = runtime.run(async move {
        let mut draw = Draw::new(0);
        let task = |_| {
            let sleep = half + half * (draw.next() % 1_000_000) / 1_000_000;
            let due = Instant::now() + sleep;
            P::spawn(async move {
                P::sleep(sleep).await;
                due.elapsed()
            })
        };
        let tasks: Vec<_> = (0..count).map(task).collect();
        let mut late = Duration::ZERO;
        for task in tasks {
            late = late.max(task.await);
        }
        late.as_secs_f64() * 1e3
    });
    late.push(late_ms);
    crate::harness::ns_each(sys::process_cpu_time() - cpu, count)
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let [mut late, mut tokio_late, mut smol_late] = [(); 3].map(|()| Samples::default());
    let [ours, tokio, smol] = in_turns(
        plan.rounds(3),
        [
            &mut || sleepers(&plan.runtime(), plan, &mut late),
            &mut || sleepers(&plan.tokio(), plan, &mut tokio_late),
            &mut || sleepers(&plan.smol(), plan, &mut smol_late),
        ],
    );
    let side = |name, samples| Side::new(name, Unit::Ns, samples);
    let (best, others) = least(vec![side("tokio", &tokio), side("smol", &smol)]);
    let what = "a million timers: CPU for each, ours / best peer";
    let cpu = Row::quotient(what, Bar::AtMost(1.0), side("ours", &ours), best);
    let side = |name, samples| Side::new(name, Unit::Ms, samples);
    let (best, more) = least(vec![side("tokio", &tokio_late), side("smol", &smol_late)]);
    let what = "the same: the latest of them, ours / best peer";
    let late = Row::quotient(what, Bar::Open, side("ours", &late), best);
    vec![others.into_iter().fold(cpu, Row::beside), more.into_iter().fold(late, Row::beside)]
}
