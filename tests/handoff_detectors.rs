//! What blocks is seen to block, and what does not is not: once for each detector.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use support::uffd::LatePage;
use support::{build, child, detectors, is_child, os, passes, skip, wait_until, within};
use threadlet::runtime::{Builder, Detector, Handle, Metrics, Runtime};
use threadlet::{task, threadlet, time};

const LIMIT: Duration = Duration::from_secs(120);

/// One core, nothing but marked calls, and no hogs: a hand-off means that a call blocked.
fn runtime(detector: Detector) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).rescue(false).hog_after(Duration::from_secs(3600));
    build(&mut builder, detector)
}

/// Demands that `block` is handed over, that the core serves others meanwhile, and that `release`
/// ends it.
fn is_handed_over(
    runtime: &Runtime,
    block: impl FnOnce() + Send + 'static,
    release: impl FnOnce(),
) {
    let before = runtime.metrics().handoffs_blocked;
    let task = runtime.spawn(support::unpredicted(block));
    wait_until("the call is handed over", || runtime.metrics().handoffs_blocked > before);
    let other = runtime.spawn(async { time::sleep(Duration::from_millis(1)).await });
    runtime.block_on(other).unwrap();
    assert!(!task.is_finished(), "it is still blocked");
    release();
    runtime.block_on(task).unwrap();
    wait_until("its permit is back", || runtime.metrics().permits_free == 512);
}

/// Runs `case` under each detector, with a limit.
fn each(case: fn(&Runtime)) {
    for detector in detectors() {
        within(LIMIT, move || case(&runtime(detector)));
    }
}

fn pipe(runtime: &Runtime) {
    let (mut reader, mut writer) = os::pipe();
    let read = move || reader.read_exact(&mut [0]).unwrap();
    is_handed_over(runtime, read, || writer.write_all(&[7]).unwrap());
}

#[test]
fn a_read_of_an_empty_pipe_is_handed_over() {
    each(pipe);
}

#[test]
fn a_futex_wait_is_handed_over() {
    each(|runtime| {
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().unwrap();
        let mine = lock.clone();
        is_handed_over(runtime, move || drop(mine.lock().unwrap()), || drop(held));

        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let mine = pair.clone();
        let wait = move || {
            let open = mine.0.lock().unwrap();
            drop(mine.1.wait_while(open, |open| !*open).unwrap());
        };
        is_handed_over(runtime, wait, || {
            *pair.0.lock().unwrap() = true;
            pair.1.notify_one();
        });

        let open = Arc::new(AtomicBool::new(false));
        let (send, receive) = std::sync::mpsc::channel();
        let mine = open.clone();
        let park = move || {
            send.send(std::thread::current()).unwrap();
            while !mine.load(Ordering::Acquire) {
                std::thread::park();
            }
        };
        is_handed_over(runtime, park, || {
            open.store(true, Ordering::Release);
            receive.recv().unwrap().unpark();
        });
    });
}

#[test]
fn a_sleep_is_handed_over() {
    each(|runtime| {
        is_handed_over(runtime, || std::thread::sleep(Duration::from_millis(1500)), || {});
    });
}

#[test]
fn a_page_fault_that_is_answered_late_is_handed_over() {
    if skip("userfaultfd") {
        return;
    }
    each(|runtime| {
        let page = Arc::new(LatePage::new().expect("userfaultfd (or THREADLET_SKIP names it)"));
        let mine = page.clone();
        is_handed_over(
            runtime,
            move || assert_eq!(mine.touch(), 0),
            || {
                page.fault_seen().unwrap();
                page.answer().unwrap();
            },
        );
    });
}

/// One site for different calls: rings are armed only for a site that has blocked of late.
async fn at_one_site(call: impl FnOnce()) {
    threadlet!(call());
}

/// Blocks there until one block is handed over.
async fn warm_the_site() {
    let handed_over = || {
        let metrics = Handle::current().metrics();
        metrics.handoffs_blocked + metrics.handoffs_predicted
    };
    let before = handed_over();
    while handed_over() == before {
        at_one_site(|| std::thread::sleep(Duration::from_millis(2))).await;
        // A site that blocks at each call would soon hand over first.
        for _ in 0..3 {
            at_one_site(|| {}).await;
        }
        task::yield_now().await;
    }
}

/// Demands that `calls` calls of `call` are not taken for blocked, after a real block was.
fn is_not_handed_over(runtime: &Runtime, calls: usize, call: impl Fn() + Send + Sync + 'static) {
    pipe(runtime);
    let task = runtime.spawn(async move {
        warm_the_site().await;
        // The thread opens its ring between the first of these, and sleeps for it.
        for _ in 0..4 {
            for _ in 0..25 {
                at_one_site(|| {}).await;
            }
            task::yield_now().await;
        }
        let before = Handle::current().metrics();
        for _ in 0..calls {
            at_one_site(&call).await;
        }
        before
    });
    let before = runtime.block_on(task).unwrap();
    let after = runtime.metrics();
    assert_eq!(after.handoffs_blocked, before.handoffs_blocked, "{before:#?} {after:#?}");
    assert_eq!(after.handoffs_hog, 0, "{after:#?}");
    // The block that warmed the site may have been foreseen: other tests have calls there, too.
    assert_eq!(after.handoffs_predicted, before.handoffs_predicted, "{before:#?} {after:#?}");
    assert!(after.regions >= before.regions + calls as u64, "they were regions: {after:#?}");
    // It is seen still.
    pipe(runtime);
}

#[test]
fn a_cached_read_is_not_handed_over() {
    each(|runtime| {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        file.read_exact_at(&mut [0; 4096], 0).unwrap();
        is_not_handed_over(runtime, 20_000, move || {
            file.read_exact_at(&mut [0; 4096], 0).unwrap();
        });
    });
}

#[test]
fn sched_yield_is_not_handed_over() {
    each(|runtime| {
        // On a busy CPU each gives away a slice of it.
        let end = Instant::now() + Duration::from_secs(5);
        is_not_handed_over(runtime, 20_000, move || {
            if Instant::now() < end {
                std::thread::yield_now();
            }
        });
    });
}

/// Threads that keep every CPU busy while it lives.
struct Busy(Arc<AtomicBool>, Vec<std::thread::JoinHandle<()>>);

impl Busy {
    fn new() -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let count = 2 * std::thread::available_parallelism().unwrap().get();
        let spin = |stop: Arc<AtomicBool>| {
            move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        };
        let threads = (0..count).map(|_| std::thread::spawn(spin(stop.clone()))).collect();
        Busy(stop, threads)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_spinning_thread_that_others_preempt_is_not_handed_over() {
    each(|runtime| {
        let busy = Busy::new();
        is_not_handed_over(runtime, 4, || {
            let (start, before) = (Instant::now(), os::preemptions());
            while start.elapsed() < Duration::from_millis(300) || os::preemptions() < before + 5 {
                for _ in 0..100_000 {
                    std::hint::spin_loop();
                }
                assert!(start.elapsed() < LIMIT / 4, "nobody preempts this thread");
            }
        });
        drop(busy);
    });
}

/// The story: a worker that has a quarter of its CPU is off it again and again in the middle of a call
/// that does not block. Whoever takes that for a block hands over for nothing.
#[test]
fn cached_reads_of_many_tasks_beside_busy_threads_are_not_handed_over() {
    each(|runtime| {
        let file = Arc::new(File::open(std::env::current_exe().unwrap()).unwrap());
        file.read_exact_at(&mut [0; 4096], 0).unwrap();
        // Four of them for each CPU.
        let busy = [Busy::new(), Busy::new()];
        let preempted = os::preemptions_of_all();
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let file = file.clone();
                runtime.spawn(async move {
                    for _ in 0..80 {
                        for _ in 0..16 {
                            at_one_site(|| file.read_exact_at(&mut [0; 4096], 0).unwrap()).await;
                        }
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
        assert!(os::preemptions_of_all() > preempted, "nobody was in its way");
        drop(busy);
        let metrics = runtime.metrics();
        assert!(metrics.regions >= 64 * 80 * 16, "{metrics:#?}");
        assert_eq!((metrics.handoffs_blocked, metrics.handoffs_wasted), (0, 0), "{metrics:#?}");
        // What does block is seen still.
        pipe(runtime);
    });
}

/// A thread sleeps for a moment when it opens its ring, in its first regions. That was taken for a
/// block, the core moved to a thread that had yet to open its own, and so on.
#[test]
fn a_thread_that_opens_its_ring_is_not_handed_over() {
    for detector in detectors() {
        within(LIMIT, move || {
            for round in 0..200 {
                let runtime = runtime(detector);
                let task = runtime.spawn(async {
                    warm_the_site().await;
                    let before = Handle::current().metrics().handoffs_blocked;
                    for _ in 0..20 {
                        at_one_site(|| {}).await;
                    }
                    before
                });
                let before = runtime.block_on(task).unwrap();
                let metrics = runtime.metrics();
                assert_eq!(metrics.handoffs_blocked, before, "round {round}: {metrics:#?}");
            }
        });
    }
}

#[test]
fn a_hog_is_handed_over_and_counted_as_one() {
    for detector in detectors() {
        within(LIMIT, move || {
            let mut builder = Builder::new_multi_thread();
            let runtime = build(builder.worker_threads(1).rescue(false), detector);
            let (ticks, ticker) = support::ticker(&runtime);
            let stop = Arc::new(AtomicBool::new(false));
            let mine = stop.clone();
            let hog = runtime.spawn(async move {
                threadlet!(while !mine.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                });
            });
            wait_until("the hog is handed over", || runtime.metrics().handoffs_hog > 0);
            support::wait_for_ticks("the ticker goes on", &ticks, 20);
            let metrics = runtime.metrics();
            assert_eq!((metrics.handoffs_hog, metrics.handoffs_blocked), (1, 0), "{metrics:#?}");
            assert!(!hog.is_finished());
            stop.store(true, Ordering::Relaxed);
            ticker.abort();
            runtime.block_on(hog).unwrap();
        });
    }
}

/// A ring tells of preemption, too: armed where nothing blocks it would only be in others' way.
#[test]
fn no_ring_is_armed_for_calls_that_do_not_block() {
    if !detectors().contains(&Detector::Perf) {
        return;
    }
    within(LIMIT, || {
        let runtime = runtime(Detector::Perf);
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let cached = move || drop(file.read_exact_at(&mut [0; 4096], 0));
        let task = runtime.spawn(async move {
            for _ in 0..100_000 {
                threadlet!(cached());
            }
        });
        let busy = Busy::new();
        runtime.block_on(task).unwrap();
        drop(busy);
        let metrics = runtime.metrics();
        assert!(
            metrics.sentinel_wakeups < 10,
            "a call kept from its CPU is a suspect: {metrics:#?}"
        );
        // And it is there for those that do.
        let task = runtime.spawn(async {
            for _ in 0..200 {
                for _ in 0..20 {
                    at_one_site(|| {}).await;
                }
                at_one_site(|| std::thread::sleep(Duration::from_millis(1))).await;
                time::sleep(Duration::from_micros(100)).await;
            }
        });
        runtime.block_on(task).unwrap();
        let metrics = runtime.metrics();
        assert!(metrics.sentinel_wakeups >= 50, "{metrics:#?}");
    });
}

/// Blocks until the sentinel has been woken; so somebody keeps the watch.
fn until_the_sentinel_wakes(runtime: &Runtime) {
    let woken = runtime.metrics().sentinel_wakeups;
    wait_until("the sentinel wakes", || {
        let calls = runtime.spawn(async {
            warm_the_site().await;
            // With a core, and a moment between the polls in which the ring is opened.
            for _ in 0..8 {
                for _ in 0..8 {
                    at_one_site(|| {}).await;
                }
                task::yield_now().await;
            }
            at_one_site(|| std::thread::sleep(Duration::from_millis(2))).await;
        });
        runtime.block_on(calls).unwrap();
        runtime.metrics().sentinel_wakeups > woken
    });
}

/// It waits where nothing but a ring or the end wakes it.
#[test]
fn the_sentinel_ends_with_its_runtime() {
    if !detectors().contains(&Detector::Perf) {
        return;
    }
    within(LIMIT, || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("ended");
        let runtime = build(&mut builder, Detector::Perf);
        until_the_sentinel_wakes(&runtime);
        // Where nothing blocks no ring is armed.
        let cold = runtime.spawn(async {
            for _ in 0..64 {
                threadlet!(std::hint::black_box(()));
            }
        });
        runtime.block_on(cold).unwrap();
        let busy = Busy::new();
        let start = Instant::now();
        drop(runtime);
        assert_eq!(support::threads_named("ended"), 0);
        assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
        drop(busy);
    });
}

/// The thread that hears of a block goes on with the core: no other needs to be woken for that. And
/// then another hears of the next.
#[test]
fn the_sentinel_takes_the_core_for_itself_and_another_keeps_the_watch() {
    if !detectors().contains(&Detector::Perf) {
        return;
    }
    within(LIMIT, || {
        let runtime = runtime(Detector::Perf);
        until_the_sentinel_wakes(&runtime);
        let before = runtime.metrics();
        let task = runtime.spawn(async {
            for _ in 0..500 {
                for _ in 0..20 {
                    at_one_site(|| {}).await;
                }
                at_one_site(|| std::thread::sleep(Duration::from_micros(500))).await;
                time::sleep(Duration::from_micros(100)).await;
            }
        });
        runtime.block_on(task).unwrap();
        let now = runtime.metrics();
        let handed = now.handoffs_blocked - before.handoffs_blocked;
        // What is handed over in other ways goes to a spare, sentinel or not.
        let others = |m: &Metrics| m.handoffs_predicted + m.handoffs_rescued + m.handoffs_hog;
        let woken = now.spare_wakeups - before.spare_wakeups;
        let woken = woken.saturating_sub(others(&now) - others(&before));
        let heard = now.sentinel_wakeups - before.sentinel_wakeups;
        support::say(&format!("{handed} hand-offs, {heard} heard of, {woken} spares woken"));
        assert!(handed > 100 && heard > 50, "{now:#?}");
        // A busy machine leaves many to the monitor, nine of ten and more on one CPU. A sentinel that takes
        // none for itself leaves all.
        assert!(woken + handed / 50 < handed, "{now:#?}");
    });
}

/// How long the first call of its thread that blocks holds up the next task, after 30 ms in which
/// nothing blocked.
fn first_block() -> Duration {
    let runtime = runtime(Detector::Perf);
    let warm = runtime.spawn(warm_the_site());
    runtime.block_on(warm).unwrap();
    let task = runtime.spawn(async {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(30) {
            task::yield_now().await;
        }
        let blocked = Instant::now();
        let next = task::spawn(async move { blocked.elapsed() });
        at_one_site(|| std::thread::sleep(Duration::from_millis(20))).await;
        next.await.unwrap()
    });
    runtime.block_on(task).unwrap()
}

#[test]
fn a_block_without_a_ring_does_not_wait_for_the_end_of_a_long_pause() {
    if !detectors().contains(&Detector::Perf) {
        return;
    }
    within(LIMIT, || {
        // Left to the monitor's pauses, one in seven would be found within this time. Several tries: a
        // busy machine has pauses of its own.
        let soon = Duration::from_micros(1200);
        let found_soon = || (0..32).filter(|_| first_block() < soon).count();
        let tries: Vec<_> = (0..8).map(|_| found_soon()).take_while(|found| *found < 12).collect();
        assert!(tries.len() < 8, "found soon, of 32: {tries:?}");
    });
}

const BLOCKS: u64 = 10_000;

/// 10,000 blocks, and the worker parks after each.
fn count_wakeups() {
    let runtime = runtime(Detector::Perf);
    let preempted = os::preemptions_of_all();
    let task = runtime.spawn(async {
        for _ in 0..BLOCKS {
            // Seen from its site the calls mostly do not block: one that always does would hand its
            // core over before the call, and nobody would have to see it.
            for left in (0..4).rev() {
                threadlet!(if left == 0 {
                    std::thread::sleep(Duration::from_micros(60));
                });
            }
            time::sleep(Duration::from_micros(100)).await;
        }
    });
    runtime.block_on(task).unwrap();
    let metrics = runtime.metrics();
    let preempted = os::preemptions_of_all() - preempted;
    support::say(&format!(
        "{BLOCKS} blocks: {} wake-ups of the sentinel, {} hand-offs, {preempted} preemptions",
        metrics.sentinel_wakeups, metrics.handoffs_blocked
    ));
    // The first few of each thread come before its ring is armed, edges melt into one, and where
    // others want the CPU the monitor is often first.
    assert!(metrics.sentinel_wakeups >= BLOCKS / 10, "the sentinel was there: {metrics:#?}");
    // A thread that is preempted leaves a record, too, and others may want this CPU.
    let most = BLOCKS + BLOCKS / 10 + preempted.min(BLOCKS / 2);
    assert!(metrics.sentinel_wakeups <= most, "more than {most}: {metrics:#?}");
    assert_eq!(metrics.ring_faults, 0, "{metrics:#?}");
}

#[test]
fn the_sentinel_wakes_once_a_block() {
    if detectors().contains(&Detector::Perf) {
        within(LIMIT, count_wakeups);
    }
}

#[test]
fn the_sentinel_wakes_once_a_block_on_one_cpu() {
    if is_child() {
        return count_wakeups();
    }
    if detectors().contains(&Detector::Perf) {
        passes(LIMIT, os::pinned(&mut child()));
    }
}
