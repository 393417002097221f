//! Building a runtime and dropping it, as a test suite does for each test.
//!
//! Both with their defaults and as many workers; tokio with its timers and its I/O, which ours
//! always has. Each round is one life. One task runs in between and is waited for, so that a
//! runtime that is not ready when `build` returns gains nothing. Dropping waits for the threads on
//! both sides.

use std::time::Instant;

use crate::harness::{Plan, interleave};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let (ours, peer) = interleave(
        plan.rounds(200),
        || us_of_a_life(|| plan.runtime()),
        || us_of_a_life(|| plan.tokio()),
    );
    let side = |name, samples| Side::new(name, Unit::Us, samples);
    let row = Row::quotient(
        "build, one task, drop: ours / tokio",
        Bar::AtMost(2.0),
        side("ours", &ours),
        side("tokio", &peer),
    );
    vec![row]
}

fn us_of_a_life<P: Peer>(build: impl FnOnce() -> P) -> f64 {
    let begin = Instant::now();
    let runtime = build();
    assert_eq!(runtime.run(async { 7 }), 7);
    drop(runtime);
    begin.elapsed().as_nanos() as f64 / 1000.0
}
