//! One task, one site, and every call of it sleeps for 100 us in the kernel.
//!
//! What counts is the time beyond the block: the same number of sleeps on a plain thread, in the
//! same round, is taken away from both sides.

use std::time::{Duration, Instant};

use threadlet::threadlet;

use crate::harness::{Plan, Samples, ns_each};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
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
    let side = |name, samples| Side::new(name, Unit::Us, samples);
    let row = Row::quotient(
        "every call blocks for 100 us: cost beyond the block, ours / spawn_blocking",
        Bar::AtMost(0.8),
        side("ours", &ours),
        side("spawn_blocking", &peer),
    );
    let row = row.beside(side("the block itself", &bare));
    vec![row.note(format!("{predicted} predicted in all"))]
}
