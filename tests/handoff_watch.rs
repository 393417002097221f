//! The sentinel takes a core and goes on with it: another keeps the watch in time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{build, detectors, within};
use threadlet::runtime::{Builder, Detector, Handle, Runtime};
use threadlet::{task, threadlet};

const LIMIT: Duration = Duration::from_secs(120);

/// All calls, those that block and those that do not: a site that always blocked would hand over first.
async fn call(block: bool) {
    threadlet!(if block {
        std::thread::sleep(Duration::from_millis(20));
    });
}

/// Enough of them before one that blocks, that the thread's ring is armed.
async fn calls_and_a_block(before: impl FnOnce()) {
    for _ in 0..8 {
        call(false).await;
    }
    before();
    call(true).await;
}

/// After a time in which nothing blocked, and the monitor has come to look seldom, a call blocks, and
/// then one of the task that goes on with the core. How long that one holds up the next.
fn second_block(runtime: &Runtime) -> Duration {
    let base = Instant::now();
    let nanos = move || base.elapsed().as_nanos() as u64;
    let round = runtime.spawn(async move {
        while base.elapsed() < Duration::from_millis(30) {
            task::yield_now().await;
        }
        let began = Arc::new(AtomicU64::new(0));
        let noted = began.clone();
        // The one that was spawned last has its turn first.
        let third = task::spawn(async move { nanos() - noted.load(Ordering::Relaxed) });
        let second = task::spawn(async move {
            calls_and_a_block(|| began.store(nanos(), Ordering::Relaxed)).await;
        });
        calls_and_a_block(|| {}).await;
        second.await.unwrap();
        third.await.unwrap()
    });
    Duration::from_nanos(runtime.block_on(round).unwrap())
}

#[test]
fn a_block_in_the_first_task_of_one_that_was_the_sentinel_is_heard_of() {
    if !detectors().contains(&Detector::Perf) {
        return;
    }
    within(LIMIT, || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).rescue(false).hog_after(Duration::from_secs(3600));
        let runtime = build(&mut builder, Detector::Perf);
        // Each of its threads is to have its ring.
        for _ in 0..8 {
            second_block(&runtime);
        }
        // Left to the monitor's pauses, one in seven would be found within this time. Several tries: a
        // busy machine has pauses of its own.
        let soon = Duration::from_micros(1200);
        let found_soon = || (0..24).filter(|_| second_block(&runtime) < soon).count();
        let tries: Vec<_> = (0..8).map(|_| found_soon()).take_while(|found| *found < 14).collect();
        support::say(&format!("found soon, of 24, in tries that were too few: {tries:?}"));
        assert!(tries.len() < 8, "found soon, of 24: {tries:?}");
    });
}

/// Calls at one site, every other one blocks: too seldom for a site whose core is handed over first.
async fn every_other_blocks(blocks: Arc<AtomicU64>) {
    for call in 0..8 {
        threadlet!(if call % 2 == 0 {
            blocks.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(20));
        });
    }
}

/// The story: a block of less than a tenth of a millisecond was over before the monitor's second look.
/// A core was found blocked by luck only, while tasks waited for it and a CPU had nothing to do.
#[test]
fn short_blocks_of_a_warm_site_are_found() {
    const LONG: Duration = Duration::from_millis(300);
    if !detectors().contains(&Detector::Monitor) {
        return;
    }
    within(LIMIT, || {
        // In a hundred blocks. A busy machine has pauses of its own: several tries.
        let found = || {
            let mut builder = Builder::new_multi_thread();
            let runtime = build(builder.worker_threads(1), Detector::Monitor);
            let blocks = Arc::new(AtomicU64::new(0));
            let mine = blocks.clone();
            let found = runtime.block_on(async move {
                let begun = Instant::now();
                let chains: Vec<_> = (0..16)
                    .map(|_| {
                        let blocks = mine.clone();
                        task::spawn(async move {
                            while begun.elapsed() < LONG {
                                // A new one each time: who has no core would go on without.
                                task::spawn(every_other_blocks(blocks.clone())).await.unwrap();
                            }
                        })
                    })
                    .collect();
                for chain in chains {
                    chain.await.unwrap();
                }
                Handle::current().metrics().handoffs_blocked
            });
            found as f64 * 100.0 / blocks.load(Ordering::Relaxed) as f64
        };
        let tries: Vec<_> = (0..8).map(|_| found()).take_while(|found| *found < 4.0).collect();
        support::say(&format!("found, of 100, in tries that were too few: {tries:.1?}"));
        assert!(tries.len() < 8, "found, of 100: {tries:.1?}");
    });
}
