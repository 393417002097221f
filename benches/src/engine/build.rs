//! Building a runtime and dropping it, as a test suite does for each test.
//!
//! Both with their defaults and as many workers; tokio with its timers and its I/O, which ours
//! always has. Each round is one life. One task runs in between and is waited for, so that a
//! runtime that is not ready when `build` returns gains nothing. Dropping waits for the threads on
//! both sides.

use std::time::Instant;

use crate::harness::{Plan, interleave};
use crate::peer::Peer;
use crate::report::{Bar, Row, Unit};

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let (ours, peer) = interleave(
        plan.rounds(200),
        || us_of_a_life(|| plan.runtime()),
        || us_of_a_life(|| plan.tokio()),
    );
    let (mine, theirs) = (ours.median(), peer.median());
    vec![Row {
        what: "build, one task, drop: ours / tokio",
        bar: Bar::AtMost(2.0),
        unit: Unit::Ratio,
        value: mine / theirs,
        medians: format!(
            "ours {mine:.0} us (p99 {:.0}), tokio {theirs:.0} us (p99 {:.0})",
            ours.percentile(99.0),
            peer.percentile(99.0)
        ),
    }]
}

fn us_of_a_life<P: Peer>(build: impl FnOnce() -> P) -> f64 {
    let begin = Instant::now();
    let runtime = build();
    assert_eq!(runtime.run(async { 7 }), 7);
    drop(runtime);
    begin.elapsed().as_nanos() as f64 / 1000.0
}
