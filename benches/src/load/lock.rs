//! A mutex for async code (tokio's, which is of no runtime) that four tasks fight for: each holds it
//! across a yield, so that the others come and must wait for their turns.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use crate::harness::{Plan, in_turns};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit, least};

const TASKS: usize = 4;

/// Nanoseconds for a turn.
fn turns<P: Peer>(runtime: &P, turns: usize) -> f64 {
    let shared = Arc::new(Mutex::new(0_usize));
    let counted = shared.clone();
    let took = runtime.run(async move {
        let begin = Instant::now();
        let task = |_| {
            let shared = shared.clone();
            P::spawn(async move {
                for _ in 0..turns {
                    let mut held = shared.lock().await;
                    P::yield_now().await;
                    *held += 1;
                }
            })
        };
        let tasks: Vec<_> = (0..TASKS).map(task).collect();
        for task in tasks {
            task.await;
        }
        begin.elapsed()
    });
    let count = counted.try_lock().map(|count| *count);
    assert_eq!(count.expect("nobody holds it"), TASKS * turns, "every turn was taken");
    crate::harness::ns_each(took, TASKS * turns)
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let count = plan.size(20_000, 500);
    let [ours, tokio, smol] = in_turns(
        plan.rounds(21),
        [&mut || turns(&plan.runtime(), count), &mut || turns(&plan.tokio(), count), &mut || {
            turns(&plan.smol(), count)
        }],
    );
    let side = |name, samples| Side::new(name, Unit::Ns, samples);
    let (best, others) = least(vec![side("tokio", &tokio), side("smol", &smol)]);
    let what = "4 tasks on a contended async mutex: a turn, ours / best peer";
    let row = Row::quotient(what, Bar::AtMost(1.0), side("ours", &ours), best);
    vec![others.into_iter().fold(row, Row::beside)]
}
