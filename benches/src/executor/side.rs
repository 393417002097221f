//! Who is compared, with how many workers.

use crate::harness::Plan;
use crate::peer::{Peer, Smol};

/// A runtime that is built for a round.
pub(crate) trait Side: Peer {
    const NAME: &'static str;

    fn start(plan: &Plan, workers: usize) -> Self;
}

impl Side for threadlet::runtime::Runtime {
    const NAME: &'static str = "ours";

    fn start(plan: &Plan, workers: usize) -> Self {
        plan.runtime_of(workers)
    }
}

impl Side for tokio::runtime::Runtime {
    const NAME: &'static str = "tokio";

    fn start(_: &Plan, workers: usize) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers).enable_all().build().expect("tokio's runtime")
    }
}

impl Side for Smol {
    const NAME: &'static str = "smol";

    fn start(_: &Plan, workers: usize) -> Self {
        Smol::start(workers)
    }
}
