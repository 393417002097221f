//! What the tests of the features share.

use std::time::Duration;

use threadlet::runtime::{Builder, Detector};
use threadlet::time;

pub const LIMIT: Duration = Duration::from_secs(60);

/// Runs `case` on two workers, with the kernel's records if they are to be had, and without.
pub fn each<F: Future<Output = ()> + Send + 'static>(case: fn() -> F) {
    for detector in [Detector::Auto, Detector::Monitor] {
        let runtime =
            Builder::new_multi_thread().worker_threads(2).detector(detector).build().unwrap();
        let task = runtime.spawn(async move { time::timeout(LIMIT, case()).await });
        runtime.block_on(task).unwrap().expect("it comes to an end");
    }
}
