//! Closures that compute for long do not hold up the others.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{Barrier, build, detectors, os, ticker, wait_for_ticks, wait_until, within};
use threadlet::runtime::{Builder, Runtime};

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

/// Long slices for who computes, so that who wakes with work to do need not wait for their end; and
/// not for longer than it computes, nor for what it starts.
#[test]
fn a_hog_has_long_slices_until_it_returns() {
    let Some(usual) = usual_slice() else { return };
    for detector in detectors() {
        within(Duration::from_secs(120), move || {
            let runtime = build(Builder::new_multi_thread().worker_threads(1), detector);
            let hog = runtime.spawn_blocking(move || until_slices_are_long(usual));
            let slices = runtime.block_on(hog).unwrap();
            slices_are_long_and_then_as_usual(&runtime, slices, usual);
        });
    }
}

/// The story: there was no spare when the hog was seen, and whoever brought one later gave it the core;
/// nobody made the slices of the hog long.
#[test]
fn a_hog_whose_core_waits_for_a_spare_has_long_slices_too() {
    let Some(usual) = usual_slice() else { return };
    for detector in detectors() {
        within(Duration::from_secs(120), move || {
            let (closed, door, call) =
                (Arc::new(AtomicBool::new(false)), Barrier::default(), Barrier::default());
            let mut builder = Builder::new_multi_thread();
            let (is_closed, at_door) = (closed.clone(), door.clone());
            builder.worker_threads(1).min_spare_threads(1).on_thread_start(move || {
                if is_closed.load(Ordering::SeqCst) {
                    at_door.block();
                }
            });
            let runtime = build(&mut builder, detector);
            // Should a wait below be in vain, the end does not wait for them as well.
            let _opens = Opens([door.clone(), call.clone()]);
            wait_until("the spare is there", || runtime.metrics().spares == 1);
            // It has the core from here on, and the next one does not come yet.
            closed.store(true, Ordering::SeqCst);
            let mine = call.clone();
            let blocked = runtime.spawn_blocking(move || mine.block());
            wait_until("the core is handed over", || runtime.metrics().async_threads == 1);
            let hog = runtime.spawn_blocking(move || until_slices_are_long(usual));
            wait_until("its core waits", || runtime.metrics().regions_stalled >= 1);
            wait_until("a spare is on its way", || door.blocked() > 0);
            closed.store(false, Ordering::SeqCst);
            door.let_go(100);
            let slices = runtime.block_on(hog).unwrap();
            call.let_go(1);
            slices_are_long_and_then_as_usual(&runtime, slices, usual);
            runtime.block_on(blocked).unwrap();
        });
    }
}

/// Lets go of all that wait, when it is dropped.
struct Opens([Barrier; 2]);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.iter().for_each(|barrier| barrier.let_go(100));
    }
}

/// The slices that threads have here, if they can be told and changed.
fn usual_slice() -> Option<u64> {
    let usual = os::slice_of(0);
    if usual == 0 || os::is_filtered() {
        support::say("the kernel tells no slices, or a filter keeps us from changing them");
        return None;
    }
    Some(usual)
}

/// Computes until its slices are not the `usual` ones. Returns its thread, its slice, and that of a thread
/// that it has started.
fn until_slices_are_long(usual: u64) -> (i32, u64, u64) {
    let start = Instant::now();
    while os::slice_of(0) == usual && start.elapsed() < Duration::from_secs(20) {
        (0..10_000).for_each(|_| std::hint::spin_loop());
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(60) {
        std::hint::spin_loop();
    }
    let started = std::thread::spawn(|| os::slice_of(0)).join().unwrap();
    (os::tid(), os::slice_of(0), started)
}

#[track_caller]
fn slices_are_long_and_then_as_usual(runtime: &Runtime, slices: (i32, u64, u64), usual: u64) {
    let (thread, slice, started) = slices;
    assert_eq!(slice, 50_000_000, "ns, while it computes: {:#?}", runtime.metrics());
    assert_eq!(started, usual, "ns, of a thread that it has started");
    wait_until("its slices are as usual again", || os::slice_of(thread) == usual);
}
