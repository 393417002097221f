//! Sites that learn: which hand over before the call, how soon, and how soon they stop.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{build, detectors, in_time};
use threadlet::__private::{Pass, Site, run_at};
use threadlet::runtime::{Builder, Runtime};
use threadlet::{threadlet, time};

/// Longer than any detector needs.
const BLOCK: Duration = Duration::from_millis(3);

fn one_core(detector: threadlet::runtime::Detector) -> Runtime {
    // Patience with what is preempted for long: here a hand-off is a block.
    let hour = Duration::from_secs(3600);
    build(Builder::new_multi_thread().worker_threads(1).hog_after(hour), detector)
}

/// `calls` calls of one site, which blocks while `blocks` says so, and computes for `work`
/// otherwise. Each begins with a core.
async fn calls(site: &'static Site, calls: usize, blocks: &AtomicBool, work: Duration) {
    for _ in 0..calls {
        run_at(site, Pass::Free, || {
            if blocks.load(Ordering::Relaxed) {
                return std::thread::sleep(BLOCK);
            }
            let start = support::os::thread_cpu_time();
            while support::os::thread_cpu_time() - start < work {}
        });
        time::sleep(Duration::from_micros(200)).await;
    }
}

fn site() -> &'static Site {
    Box::leak(Box::new(Site::new(file!(), line!(), column!(), "a test's own")))
}

/// How many of `count` more calls were handed over first.
fn predicted_of(
    runtime: &Runtime,
    site: &'static Site,
    blocks: &Arc<AtomicBool>,
    count: usize,
) -> u64 {
    predicted_with(runtime, site, blocks, count, Duration::ZERO)
}

fn predicted_with(
    runtime: &Runtime,
    site: &'static Site,
    blocks: &Arc<AtomicBool>,
    count: usize,
    work: Duration,
) -> u64 {
    let before = runtime.metrics().handoffs_predicted;
    let blocks = blocks.clone();
    let task = runtime.spawn(async move { calls(site, count, &blocks, work).await });
    in_time(runtime, "the calls return", task).unwrap();
    runtime.metrics().handoffs_predicted - before
}

#[test]
fn a_site_that_always_blocks_hands_over_first_and_one_that_never_does_does_not() {
    for detector in detectors() {
        let runtime = one_core(detector);
        let (always, never) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let site_of_both = [site(), site()];
        let silent = predicted_of(&runtime, site_of_both[1], &never, 500);
        assert_eq!(silent, 0, "what never blocks is left alone");
        let taught = predicted_of(&runtime, site_of_both[0], &always, 80);
        // A few to learn from, and one in 32 to stay in touch.
        assert!(taught >= 60, "{taught} of 80 were handed over first");
        let metrics = runtime.metrics();
        assert!(metrics.handoffs_blocked >= 3, "it was seen to block first: {metrics:#?}");
    }
}

/// The story: a site blocks for as long as its disk is cold. From then on each call would be handed
/// over for nothing, and none of them would show it, but for those that run the ordinary way.
#[test]
fn a_site_that_changes_its_habit_is_found_out_both_ways() {
    for detector in detectors() {
        let runtime = one_core(detector);
        let (blocks, site) = (Arc::new(AtomicBool::new(true)), site());
        assert!(predicted_of(&runtime, site, &blocks, 40) > 20, "it has learnt");
        for _ in 0..2 {
            blocks.store(false, Ordering::Relaxed);
            let silenced = predicted_of(&runtime, site, &blocks, 40);
            assert!(silenced <= 36, "{silenced} of 40: one call in 32 runs the ordinary way");
            let after = predicted_of(&runtime, site, &blocks, 200);
            assert_eq!(after, 0, "it has unlearnt");
            blocks.store(true, Ordering::Relaxed);
            let _learning = predicted_of(&runtime, site, &blocks, 30);
            let again = predicted_of(&runtime, site, &blocks, 40);
            assert!(again >= 30, "{again} of 40: it has learnt again");
        }
    }
}

/// The story: the same, and its calls compute instead. Handed over first, such a call takes as long
/// as a block would; only one that keeps its core shows that its thread did not sleep.
#[test]
fn a_site_that_computes_instead_is_found_out() {
    for detector in detectors() {
        let runtime = one_core(detector);
        let (blocks, site) = (Arc::new(AtomicBool::new(true)), site());
        assert!(predicted_of(&runtime, site, &blocks, 40) > 20, "it has learnt");
        blocks.store(false, Ordering::Relaxed);
        let work = Duration::from_micros(200);
        let _unlearning = predicted_with(&runtime, site, &blocks, 100, work);
        let after = predicted_with(&runtime, site, &blocks, 100, work);
        assert!(after <= 20, "{after} of 100 calls were handed over first");
    }
}

#[test]
fn without_a_detector_nothing_is_predicted() {
    if std::env::var_os("THREADLET_DETECTOR").is_some() {
        return support::say("THREADLET_DETECTOR chooses another detector");
    }
    let runtime = one_core(threadlet::runtime::Detector::Off);
    let blocks = Arc::new(AtomicBool::new(true));
    assert_eq!(predicted_of(&runtime, site(), &blocks, 40), 0);
    assert_eq!(runtime.metrics().handoffs_blocked, 0);
}

/// More sites than there are rows: the last ones share one, and all of them run.
#[test]
fn thousands_of_sites() {
    const SITES: usize = 6000;
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let sites: Vec<&'static Site> = (0..SITES).map(|_| site()).collect();
    let task = runtime.spawn(async move {
        let mut sum = 0;
        for (nth, site) in sites.iter().enumerate() {
            sum += run_at(site, Pass::Free, || nth);
            if nth % 64 == 0 {
                threadlet::task::yield_now().await;
            }
        }
        sum
    });
    let sum = in_time(&runtime, "all calls return", task).unwrap();
    assert_eq!(sum, SITES * (SITES - 1) / 2);
    assert_eq!(runtime.metrics().regions, SITES as u64, "none is missing in the sum");
    assert!(runtime.handle().sites().len() >= 4000);
}

async fn length_of<T: AsRef<[u8]> + Send>(value: T) -> (usize, u32) {
    (threadlet!(value.as_ref().len()), line!())
}

/// A static in a generic function is one for all its types, and so is the site.
#[test]
fn a_generic_function_is_one_site() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let task = runtime.spawn(async {
        let (three, line) = length_of("abc").await;
        let (two, _) = length_of(vec![1, 2]).await;
        let (four, _) = length_of([0u8; 4]).await;
        (three + two + four, line)
    });
    let (sum, line) = in_time(&runtime, "three calls", task).unwrap();
    assert_eq!(sum, 9);
    let sites = runtime.handle().sites();
    let rows: Vec<_> = sites.iter().filter(|s| s.file == file!() && s.line == line).collect();
    assert_eq!((rows.len(), rows[0].calls), (1, 3), "{sites:#?}");
}
