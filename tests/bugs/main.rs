//! The bug list of DESIGN.md section 6, one named test each: what others' runtimes got wrong, and
//! what a hand-off must not bring back.

mod hand_off;
mod panics;
mod process;

use std::future::Future;
use std::time::{Duration, Instant};

use threadlet::runtime::{Builder, Runtime};
use threadlet::time;

/// Far more than any of this takes; a test that gets there has found a bug.
const LIMIT: Duration = Duration::from_secs(30);

fn one_core() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().unwrap()
}

/// Waits on this thread until `holds`.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Awaits `future` in `runtime`, but not for ever.
#[track_caller]
fn in_time<F: Future>(runtime: &Runtime, what: &str, future: F) -> F::Output {
    let done = runtime.block_on(async { time::timeout(LIMIT, future).await });
    done.unwrap_or_else(|_| panic!("{what}: {:#?}", runtime.metrics()))
}
