//! What it costs a root future to ask a task: it spawns one and waits for its answer.
//!
//! On a current-thread runtime the tasks run on the root's thread, as tokio's do, until the first of
//! them makes an in-place call. From then on they have a thread of their own, and a round trip is one
//! from thread to thread. That is what a root pays for never waiting for a task's call; tokio's root
//! does not pay it, and waits.

use std::time::Instant;

use threadlet::runtime::{Builder, Runtime};

use crate::harness::{Plan, Samples, interleave, ns_each};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let count = plan.size(20_000, 500);
    let at_home = || {
        let runtime = current_thread(plan);
        round_trips(&runtime, count)
    };
    let away = || {
        let runtime = current_thread(plan);
        // The first call: the tasks leave.
        runtime.run(async { threadlet::threadlet!(()) });
        round_trips(&runtime, count)
    };
    let workers = || round_trips(&plan.runtime(), count);
    let tokios_one = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("tokio's");
        round_trips(&runtime, count)
    };
    let tokios_workers = || round_trips(&plan.tokio(), count);
    let rounds = plan.rounds(11);
    vec![
        row(
            "a root asks a task, one thread, ours / tokio",
            interleave(rounds, at_home, tokios_one),
        ),
        row(
            "the same after a task has made a call, ours / tokio",
            interleave(rounds, away, tokios_one),
        ),
        row("the same with workers, ours / tokio", interleave(rounds, workers, tokios_workers)),
    ]
}

fn row(what: &'static str, (ours, peer): (Samples, Samples)) -> Row {
    let side = |name, samples| Side::new(name, Unit::Ns, samples);
    Row::quotient(what, Bar::Open, side("ours", &ours), side("tokio", &peer))
}

fn current_thread(plan: &Plan) -> Runtime {
    Builder::new_current_thread().detector(plan.detector).build().expect("our runtime")
}

/// Nanoseconds for one.
fn round_trips<P: Peer>(runtime: &P, count: usize) -> f64 {
    runtime.block_on(async {
        let trips = async |count| {
            for n in 0..count {
                assert_eq!(P::spawn(async move { n }).await, n);
            }
        };
        trips(count / 10).await;
        let begin = Instant::now();
        trips(count).await;
        ns_each(begin.elapsed(), count)
    })
}
