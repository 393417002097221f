//! What other runtimes got wrong and a hand-off must not bring back, one named test each, which
//! tells the story; and, in `own_*`, what this one got wrong once.

mod handoff;
mod own_fork;
mod own_scheduling;
mod own_shutdown;
mod panics;
mod process;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use threadlet::runtime::{Builder, Runtime};

/// Far more than any of this takes; a test that gets there has found a bug.
const LIMIT: Duration = Duration::from_secs(30);

fn one_core() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().unwrap()
}
