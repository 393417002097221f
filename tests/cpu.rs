//! Closures that compute for long do not hold up the others.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use support::{build, detectors, os, ticker, wait_for_ticks, wait_until, within};
use threadlet::runtime::Builder;

/// Spins for a second of this thread's own time, so that a busy machine makes it longer.
fn spin() -> u64 {
    let mut rounds = 0;
    let end = os::thread_cpu_time() + Duration::from_secs(1);
    while os::thread_cpu_time() < end {
        (0..10_000).for_each(|_| std::hint::spin_loop());
        rounds += 1;
    }
    rounds
}

#[test]
fn a_ticker_ticks_beside_four_closures_that_spin_for_a_second_on_two_cores() {
    for detector in detectors() {
        within(Duration::from_secs(120), move || {
            let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
            let (ticks, ticker) = ticker(&runtime);
            wait_for_ticks("the ticker ticks", &ticks, 5);
            let before = ticks.load(Ordering::Relaxed);
            let spinners: Vec<_> = (0..4).map(|_| runtime.spawn_blocking(spin)).collect();
            for spinner in spinners {
                assert!(runtime.block_on(spinner).unwrap() > 0);
            }
            let ticked = ticks.load(Ordering::Relaxed) - before;
            ticker.abort();
            let metrics = runtime.metrics();
            support::say(&format!(
                "{}: {ticked} ticks, {} hogs, {} predicted",
                metrics.detector, metrics.handoffs_hog, metrics.handoffs_predicted
            ));
            assert!(ticked >= 200, "{ticked} ticks: {metrics:#?}");
            // Each has lost its core: seen to compute, or known for it from the others.
            assert!(metrics.handoffs_hog >= 1, "{metrics:#?}");
            assert!(metrics.handoffs_hog + metrics.handoffs_predicted >= 4, "{metrics:#?}");
            wait_until("every permit is back", || {
                let metrics = runtime.metrics();
                (metrics.async_threads, metrics.permits_free) == (0, 512)
            });
        });
    }
}
