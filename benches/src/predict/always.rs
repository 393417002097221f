//! One task, one site, and every call of it sleeps for 100 us in the kernel.
//!
//! What counts is the time beyond the block: the same number of sleeps on a plain thread, in the
//! same round, is taken away from both sides.

use std::time::{Duration, Instant};

use threadlet::threadlet;

use crate::harness::{Plan, Samples, ns_each};
use crate::peer::Peer;
use crate::report::{Bar, Row, Unit};
use crate::sys;

const BLOCKED: Duration = Duration::from_micros(100);

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let count = plan.size(2_000, 100);
    let [mut ours, mut peer, mut bare] = [(); 3].map(|()| Samples::default());
    let mut predicted = 0;
    for _ in 0..plan.rounds(9) {
        let alone = std::thread::spawn(move || {
            let begin = Instant::now();
            (0..count).for_each(|_| sys::nanosleep(BLOCKED));
            begin.elapsed()
        });
        let alone = ns_each(alone.join().expect("it sleeps well"), count) / 1000.0;
        let runtime = plan.runtime();
        let mine = runtime.run(async move {
            let begin = Instant::now();
            for _ in 0..count {
                threadlet!(sys::nanosleep(BLOCKED));
            }
            begin.elapsed()
        });
        predicted += runtime.metrics().handoffs_predicted;
        drop(runtime);
        let theirs = plan.tokio().run(async move {
            let begin = Instant::now();
            for _ in 0..count {
                let call = tokio::task::spawn_blocking(|| sys::nanosleep(BLOCKED));
                call.await.expect("it sleeps well");
            }
            begin.elapsed()
        });
        bare.push(alone);
        ours.push(ns_each(mine, count) / 1000.0 - alone);
        peer.push(ns_each(theirs, count) / 1000.0 - alone);
    }
    let (mine, theirs) = (ours.median(), peer.median());
    vec![Row {
        what: "cost beyond the block, ours / spawn_blocking",
        bar: Bar::AtMost(0.8),
        unit: Unit::Ratio,
        value: mine / theirs,
        medians: format!(
            "ours {mine:.2} us ({predicted} predicted in all), spawn_blocking {theirs:.2} us \
             beyond a sleep of {:.1} us",
            bare.median()
        ),
    }]
}
