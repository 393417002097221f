//! The bug list of DESIGN.md section 6, one named test each: what others' runtimes got wrong, and
//! what a hand-off must not bring back; and, in `own_*`, what this one got wrong once.

mod hand_off;
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
