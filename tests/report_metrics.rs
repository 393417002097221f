//! A runtime's histograms, and its figures in the forms that others read.

mod support;

use std::time::Duration;

use support::{build, detectors, in_time, wait_until};
use threadlet::runtime::Builder;
use threadlet::{task, threadlet, time};

fn timed() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_metrics_poll_time_histogram().enable_metrics_schedule_latency_histogram();
    builder
}

#[test]
fn each_poll_is_timed_where_that_was_asked_for() {
    for detector in detectors() {
        let runtime = build(timed().worker_threads(2), detector);
        let pause = Duration::from_millis(30);
        let task = runtime.spawn(async move {
            for _ in 0..100 {
                task::yield_now().await;
            }
            // In the last poll. One that loses its core counts as well, and so does a coreless one.
            threadlet!(std::thread::sleep(pause));
            task::yield_now().await;
        });
        in_time(&runtime, "it ends", task).unwrap();
        wait_until("the last poll is counted", || {
            runtime.metrics().poll_times().unwrap().count() == 102
        });
        let times = runtime.metrics().poll_times().unwrap();
        assert!(times.longest() >= pause && times.total() >= pause, "{times:?}");
        assert!(times.quantile(0.5) < pause / 2, "{times:?}");
        assert_eq!(times.buckets().map(|(_, count)| count).sum::<u64>(), 102);
    }
}

#[test]
fn a_task_that_waits_behind_another_is_seen_to_wait() {
    let runtime = timed().worker_threads(1).rescue(false).build().unwrap();
    let pause = Duration::from_millis(50);
    let task = runtime.spawn(async move {
        let behind = threadlet::spawn(async {});
        // In the middle of its poll, and nobody takes over.
        std::thread::sleep(pause);
        behind.await.unwrap();
    });
    in_time(&runtime, "both end", task).unwrap();
    let waits = runtime.metrics().schedule_latencies().unwrap();
    assert!(waits.longest() >= pause * 9 / 10, "{waits:?}");
    // The first and the second at their spawn, and perhaps the first once more.
    assert!((2..=3).contains(&waits.count()), "{waits:?}");
}

/// Woken by a timer, by another thread, and by a task of the same worker.
#[test]
fn whoever_wakes_a_task_it_is_timed() {
    let runtime = timed().worker_threads(2).build().unwrap();
    let task = runtime.spawn(async {
        for _ in 0..10 {
            time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..10 {
            threadlet::spawn(async {}).await.unwrap();
        }
        task::spawn_blocking(|| ()).await.unwrap();
    });
    in_time(&runtime, "it ends", task).unwrap();
    let waits = runtime.metrics().schedule_latencies().unwrap();
    assert!((22..=64).contains(&waits.count()), "{waits:?}");
}

#[test]
fn nothing_is_timed_where_nobody_asked() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    in_time(&runtime, "it ends", runtime.spawn(async {})).unwrap();
    let metrics = runtime.metrics();
    assert!(metrics.poll_times().is_none() && metrics.schedule_latencies().is_none());
}
