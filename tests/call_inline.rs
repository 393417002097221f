//! A region that does not block costs no allocation and no system call.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use support::{build, child, detectors, is_child, os, run_within, within};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::{threadlet, time};

const REGIONS: u64 = 10_000;

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // At the end of a thread the cell may be gone; nobody counts there.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: all of it is the system allocator's; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One core, which is taken only from a thread that blocks in a region: not from one that is
/// preempted for long in a poll.
fn runtime(detector: Detector) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).rescue(false).hog_after(Duration::from_secs(3600));
    build(&mut builder, detector)
}

/// Regions until the thread has opened its ring (or given up), which it does between two polls, has
/// armed it, and knows the site.
async fn warm_up() {
    for _ in 0..50 {
        regions(100);
        time::sleep(Duration::from_millis(1)).await;
    }
    regions(100);
}

fn regions(count: u64) {
    for nth in 0..count {
        // The same place for all, so that it is one site.
        assert_eq!(threadlet::run(|| nth + 1), nth + 1);
    }
}

fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// What 10,000 regions allocate, plain and with their gate, and what one box does.
async fn count_allocations() -> (u64, u64, u64) {
    warm_up().await;
    let since = |before| allocations().wrapping_sub(before);
    let before = allocations();
    regions(REGIONS);
    let plain = since(before);
    let before = allocations();
    for nth in 0..REGIONS {
        assert_eq!(threadlet!(nth + 1), nth + 1);
    }
    let awaited = since(before);
    let before = allocations();
    drop(std::hint::black_box(Box::new(7)));
    (plain, awaited, since(before))
}

#[test]
fn a_region_that_does_not_block_allocates_nothing() {
    for detector in detectors() {
        within(Duration::from_secs(60), move || {
            let runtime = runtime(detector);
            // The thread whose allocations are counted is to keep its core. It may lose it once or
            // twice in the beginning, when it sleeps to open its ring.
            let kept = (0..20).find_map(|_| {
                let before = runtime.metrics();
                let counted = runtime.block_on(runtime.spawn(count_allocations())).unwrap();
                let after = runtime.metrics();
                assert!(after.regions >= before.regions + 2 * REGIONS);
                (after.handoffs_blocked == before.handoffs_blocked).then_some(counted)
            });
            let (plain, awaited, one) = kept.expect("a call that does not block keeps its core");
            assert_eq!(one, 1, "an allocation is counted");
            assert_eq!(plain, 0, "in {REGIONS} regions");
            // It goes back through the queue now and then, and the driver is looked at in passing.
            assert_eq!(awaited, 0, "in {REGIONS} regions with their gate");
        });
    }
}

/// What a worker between two polls does in passing: it looks at the driver.
const IN_PASSING: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
];

/// In a child: under a filter that kills at any system call but those `allowed`, one that writes
/// and one that ends the process, the worker runs its regions, writes that it is alive, and ends
/// the process.
fn behind_a_filter(allowed: &[libc::c_long], run: impl Future<Output = ()> + Send + 'static) {
    let detector = match std::env::var("THREADLET_DETECTOR").unwrap().as_str() {
        "perf" => Detector::Perf,
        _ => Detector::Monitor,
    };
    let runtime = runtime(detector);
    let filter = os::allow_only(&[&[libc::SYS_write, libc::SYS_exit_group], allowed].concat());
    let task = runtime.spawn(async move {
        warm_up().await;
        os::filter(&filter).unwrap();
        run.await;
        let text = "\nalive\n";
        // SAFETY: the text outlives the call.
        let _written = unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    });
    let _never = runtime.block_on(task);
}

/// Runs the calling test as a child, under each detector, and demands that the child stays alive.
fn stays_alive() {
    for detector in detectors() {
        let word = if detector == Detector::Perf { "perf" } else { "monitor" };
        let ended = run_within(Duration::from_secs(60), child().env("THREADLET_DETECTOR", word));
        let alive = ended.status.success() && ended.output.contains("alive");
        assert!(alive, "under {detector:?}: {ended:?}");
    }
}

#[test]
fn a_region_that_does_not_block_makes_no_system_call() {
    if is_child() {
        return behind_a_filter(&[], async { regions(REGIONS) });
    }
    stays_alive();
}

/// With the gate in front, which sends the task back through the queue now and then.
#[test]
fn a_region_behind_its_gate_makes_no_system_call() {
    if is_child() {
        return behind_a_filter(IN_PASSING, async {
            for nth in 0..REGIONS {
                assert_eq!(threadlet!(nth + 1), nth + 1);
            }
        });
    }
    stays_alive();
}

/// The filter of the tests above sees a call that is not ours.
#[test]
fn a_stray_system_call_would_be_seen() {
    if is_child() {
        return behind_a_filter(&[], async {
            regions(REGIONS);
            // SAFETY: no arguments.
            let _parent = unsafe { libc::getppid() };
        });
    }
    let ended = run_within(Duration::from_secs(60), child().env("THREADLET_DETECTOR", "monitor"));
    assert_eq!(ended.status.signal(), Some(libc::SIGSYS), "{ended:?}");
    assert!(!ended.output.contains("alive"), "{ended:?}");
}
