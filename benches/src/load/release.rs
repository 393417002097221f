//! Five hundred and twelve calls that wait for one event, and what follows when it comes: how long
//! until the last of their tasks has ended.
//!
//! All wait at one condition variable, each on a thread of its own; it is notified when all have
//! come. Ours come back to their tasks on threads that have no core. Beside tokio's `spawn_blocking`
//! stand 512 plain threads that are joined, which is the least that it can take.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use threadlet::threadlet;

use crate::harness::{Plan, in_turns};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};

const CALLS: usize = 512;

#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    /// Waits until it is opened.
    fn wait(&self) {
        let mut state = self.state.lock().expect("nobody panics under it");
        state.0 += 1;
        if state.0 == CALLS {
            self.changed.notify_all();
        }
        let opened = self.changed.wait_while(state, |state| !state.1);
        drop(opened.expect("nobody panics under it"));
    }

    /// Opens it when all have come; says when.
    fn open(&self) -> Instant {
        let state = self.state.lock().expect("nobody panics under it");
        let state = self.changed.wait_while(state, |state| state.0 < CALLS);
        let mut state = state.expect("nobody panics under it");
        state.1 = true;
        let opened = Instant::now();
        self.changed.notify_all();
        opened
    }
}

/// Milliseconds from the opening to the end of the last.
fn ours(plan: &Plan) -> f64 {
    let (runtime, gate) = (plan.runtime(), Arc::new(Gate::default()));
    let task = |_| {
        let gate = gate.clone();
        runtime.spawn(async move { threadlet!(gate.wait()) })
    };
    let tasks: Vec<_> = (0..CALLS).map(task).collect();
    let opened = gate.open();
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("it ends well");
        }
    });
    opened.elapsed().as_secs_f64() * 1e3
}

fn pooled<P: Peer>(runtime: &P) -> f64 {
    let gate = Arc::new(Gate::default());
    runtime.block_on(async {
        let call = |_| {
            let gate = gate.clone();
            let call = P::spawn_blocking(move || gate.wait());
            P::spawn(call)
        };
        let tasks: Vec<_> = (0..CALLS).map(call).collect();
        let opened = gate.open();
        for task in tasks {
            task.await;
        }
        opened.elapsed().as_secs_f64() * 1e3
    })
}

fn threads() -> f64 {
    let gate = Arc::new(Gate::default());
    let thread = |_| {
        let gate = gate.clone();
        std::thread::spawn(move || gate.wait())
    };
    let threads: Vec<_> = (0..CALLS).map(thread).collect();
    let opened = gate.open();
    for thread in threads {
        thread.join().expect("it ends well");
    }
    opened.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let [ours, tokio, threads] = in_turns(
        plan.rounds(15),
        [&mut || ours(plan), &mut || pooled(&plan.tokio()), &mut || threads()],
    );
    let side = |name, samples| Side::new(name, Unit::Ms, samples);
    let what =
        "512 calls released at one instant: until the last task has ended, ours / spawn_blocking";
    let row =
        Row::quotient(what, Bar::AtMost(1.0), side("ours", &ours), side("spawn_blocking", &tokio));
    vec![row.beside(side("plain threads", &threads))]
}
