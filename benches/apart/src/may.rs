//! `may`: coroutines with a stack of their own, whose code waits without an `await`. Where it has a
//! counterpart, the same work is done by tasks of ours and of tokio's.
//!
//! may has one scheduler for the process, which is started once, with as many workers as the others
//! have, each pinned to a CPU (its default); it sleeps while the others are measured. All sides take
//! their own sockets; may takes its own channel and mutex, ours and tokio's tasks those of `futures`.

mod work;

use std::future::Future;
use std::time::{Duration, Instant};

use ::may::go;

use crate::peer::Peer;
use crate::{Plan, compare};

/// What is done, in both ways. It is called in a task, or in a coroutine, and done when it returns.
trait Workload {
    const WHAT: &str;
    const SIZE: usize;

    fn in_tasks<P: Peer>(size: usize) -> impl Future<Output = ()> + Send;

    fn in_coroutines(size: usize);
}

pub(crate) fn run(plan: Plan) {
    ::may::config().set_workers(plan.workers);
    measure::<work::Spawn>(plan);
    measure::<work::Yield>(plan);
    measure::<work::Cycle>(plan);
    measure::<work::Channel>(plan);
    measure::<work::Mutex>(plan);
    measure::<work::Echo>(plan);
}

fn measure<W: Workload + 'static>(plan: Plan) {
    let size = plan.size(W::SIZE);
    compare(
        plan,
        W::WHAT,
        [
            ("ours", &mut || of_tasks::<W, threadlet::runtime::Runtime>(plan, size)),
            ("tokio", &mut || of_tasks::<W, tokio::runtime::Runtime>(plan, size)),
            ("may", &mut || of_coroutines::<W>(size)),
        ],
    );
}

/// Once to warm up, and once by the clock.
fn of_tasks<W: Workload + 'static, P: Peer + 'static>(plan: Plan, size: usize) -> Duration {
    P::start(plan).run(async move {
        W::in_tasks::<P>(size).await;
        let begin = Instant::now();
        W::in_tasks::<P>(size).await;
        begin.elapsed()
    })
}

fn of_coroutines<W: Workload + 'static>(size: usize) -> Duration {
    let work = go!(move || {
        W::in_coroutines(size);
        let begin = Instant::now();
        W::in_coroutines(size);
        begin.elapsed()
    });
    work.join().expect("the coroutine ends well")
}
