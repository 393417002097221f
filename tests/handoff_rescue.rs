//! Blocking that nobody announced: found, bounded, reported, and cheap where it is short.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use support::{os, wait_until};
use threadlet::runtime::{Builder, Cause, Detector, Runtime};
use threadlet::{task, threadlet, time};

/// Far more than any of this takes; a test that gets there has found a bug.
const LIMIT: Duration = Duration::from_secs(30);

fn builder(cores: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(cores);
    builder
}

/// A task that waits for a `std::sync::Mutex` stops its worker. Everybody else's tasks stood still
/// until the holder, perhaps one of them, let go.
#[test]
fn others_go_on_while_a_task_waits_for_a_lock() {
    let runtime = builder(1).build().unwrap();
    let lock = Arc::new(Mutex::new(0));
    let held = lock.lock().unwrap();
    let mine = lock.clone();
    let waiting = runtime.spawn(async move { *mine.lock().unwrap() += 1 });
    let other = runtime.spawn(async {
        for _ in 0..5 {
            time::sleep(Duration::from_millis(2)).await;
            task::spawn(async {}).await.unwrap();
        }
    });
    wait_until("others go on", || other.is_finished());
    assert!(!waiting.is_finished());
    assert!(runtime.metrics().handoffs_rescued >= 1);
    assert!(runtime.metrics().async_threads >= 1);
    drop(held);
    wait_until("the lock is taken", || waiting.is_finished());
    wait_until("the permit comes back", || runtime.metrics().permits_free == 512);
    assert_eq!(*lock.lock().unwrap(), 1);
}

/// Who turns rescue off wants the plain behaviour: the worker waits.
#[test]
fn without_rescue_the_worker_waits() {
    let runtime = builder(1).rescue(false).build().unwrap();
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let started = Arc::new(AtomicBool::new(false));
    let (mine, says) = (lock.clone(), started.clone());
    let waiting = runtime.spawn(async move {
        says.store(true, Ordering::SeqCst);
        drop(mine.lock().unwrap());
    });
    wait_until("it waits for the lock", || started.load(Ordering::SeqCst));
    let other = runtime.spawn(async {});
    std::thread::sleep(Duration::from_millis(100));
    assert!(!other.is_finished() && !waiting.is_finished());
    assert_eq!(runtime.metrics().handoffs_rescued, 0);
    drop(held);
    wait_until("both go on", || other.is_finished() && waiting.is_finished());
    // Marked calls are handed over as ever.
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() });
    let other = runtime.spawn(async move { sender.send(()).unwrap() });
    wait_until("a marked call is handed over", || other.is_finished() && blocked.is_finished());
}

/// A rescue costs a thread, two switches and a place at the end of some queue. For a lock that is
/// held for 5 us that is a loss, so a wait has to last a while before anybody acts.
#[test]
fn short_waits_are_not_rescued() {
    let runtime = builder(2).rescue_after(Duration::from_millis(20)).build().unwrap();
    let lock = Arc::new(Mutex::new(0_u64));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let lock = lock.clone();
            runtime.spawn(async move {
                for _ in 0..500 {
                    {
                        let mut sum = lock.lock().unwrap();
                        let start = Instant::now();
                        while start.elapsed() < Duration::from_micros(5) {
                            std::hint::spin_loop();
                        }
                        *sum += 1;
                    }
                    task::yield_now().await;
                }
            })
        })
        .collect();
    wait_until("all are through", || tasks.iter().all(|task| task.is_finished()));
    assert_eq!(*lock.lock().unwrap(), 8000);
    // 8,000 short waits. On a machine with others on it a holder may lose its CPU for long, so a
    // few are allowed.
    let rescued = runtime.metrics().handoffs_rescued;
    assert!(rescued <= 40, "{rescued} rescues");
}

/// The story: who blocks without having said so was the monitor's alone. It looks at a busy core every
/// four milliseconds as a rule, so that each such block cost its core some milliseconds.
#[test]
fn where_rescues_are_frequent_the_sentinel_makes_them() {
    if !support::detectors().contains(&Detector::Perf) {
        return;
    }
    support::within(LIMIT, || {
        let runtime = builder(1).detector(Detector::Auto).build().unwrap();
        let ticks = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, end) = (ticks.clone(), stop.clone());
        let slack = os::timer_slack();
        let runs = runtime.spawn(async move {
            let mut others = 0;
            while !end.load(Ordering::Relaxed) {
                count.fetch_add(1, Ordering::Relaxed);
                others += usize::from(os::timer_slack() != slack);
                task::yield_now().await;
            }
            others
        });
        let blocks = runtime.spawn(async {
            for _ in 0..200 {
                std::thread::sleep(Duration::from_millis(5));
                task::yield_now().await;
            }
        });
        runtime.block_on(blocks).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(runtime.block_on(runs).unwrap(), 0, "the sentinel's slack is not the tasks'");
        let metrics = runtime.metrics();
        assert!(metrics.handoffs_rescued >= 50, "{metrics:#?}");
        // A core that the monitor retakes goes to a spare, which it wakes; the sentinel is awake.
        assert!(metrics.spare_wakeups < metrics.handoffs_rescued / 2, "{metrics:#?}");
        assert_eq!(metrics.ring_faults, 0, "{metrics:#?}");
    });
}

/// How long each of some unmarked blocks of 10 ms holds up the next task of the only core, which works
/// for 20 ms before each.
fn held_up_by_blocks(detector: Detector) -> Vec<Duration> {
    let runtime = builder(1).detector(detector).build().unwrap();
    let task = runtime.spawn(async {
        let mut held_up = Vec::new();
        for _ in 0..32 {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(20) {
                task::yield_now().await;
            }
            let blocked = Instant::now();
            let next = task::spawn(async move { blocked.elapsed() });
            let blocks = async { std::thread::sleep(Duration::from_millis(10)) };
            task::spawn(blocks).await.unwrap();
            held_up.push(next.await.unwrap());
        }
        held_up
    });
    runtime.block_on(task).unwrap()
}

/// The story: each was found after 2.5 to 5 ms.
#[test]
fn where_rescues_are_frequent_they_are_soon() {
    support::within(2 * LIMIT, || {
        for detector in support::detectors() {
            // Perf alone looks at no poll before there were rescues.
            let detector = match detector {
                Detector::Perf => Detector::Auto,
                other => other,
            };
            let soon = |held_up: &Duration| *held_up < Duration::from_micros(1500);
            let found = || held_up_by_blocks(detector).iter().filter(|it| soon(it)).count();
            // Most of them; with the monitor backed off 2 to 8. A busy machine has pauses of its own.
            let tries: Vec<_> = (0..8).map(|_| found()).take_while(|found| *found < 13).collect();
            assert!(tries.len() < 8, "{detector:?}: found soon, of 32: {tries:?}");
        }
    });
}

/// How long each of `many` unmarked blocks holds up the next task of the only core.
async fn held_up_by(many: usize, block: Duration) -> Vec<Duration> {
    let mut held_up = Vec::new();
    for _ in 0..many {
        let blocked = Instant::now();
        let next = task::spawn(async move { blocked.elapsed() });
        task::spawn(async move { std::thread::sleep(block) }).await.unwrap();
        held_up.push(next.await.unwrap());
    }
    held_up
}

/// The story: by the monitor each poll that slept kept its core for `rescue_after`, though all those
/// before it had slept for much longer.
#[test]
fn where_all_sleep_on_none_is_waited_for_until_they_are_short() {
    const AFTER: Duration = Duration::from_millis(5);
    support::within(LIMIT, || {
        let builder = &mut builder(1);
        let runtime = builder.rescue_after(AFTER).detector(Detector::Monitor).build().unwrap();
        let run = |many, block| {
            let task = runtime.spawn(held_up_by(many, block));
            runtime.block_on(task).unwrap()
        };
        // One in sixteen is asked, and a busy machine has pauses of its own.
        let soon = || run(24, AFTER * 5 / 2).iter().filter(|held_up| **held_up < AFTER).count();
        let tries: Vec<_> = (0..20).map(|_| soon()).take_while(|soon| *soon < 18).collect();
        assert!(tries.len() < 20, "of 24 were not waited for: {tries:?}");

        run(150, AFTER / 5);
        let before = runtime.metrics().handoffs_rescued;
        run(50, AFTER / 5);
        let rescued = runtime.metrics().handoffs_rescued - before;
        assert!(rescued <= 10, "{rescued} of 50 short ones were rescued");
    });
}

/// One popular lock could take every permit, and then no marked call got one. Rescues have a limit
/// of their own, a quarter of the cap: beyond it cores stand still, all but the last.
#[test]
fn one_popular_lock_does_not_take_every_permit() {
    let cap = 8;
    let runtime = builder(4).max_async_threads(cap).build().unwrap();
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let lock = lock.clone();
            runtime.spawn(async move { drop(lock.lock().unwrap()) })
        })
        .collect();
    // Two are rescued, three stall with their cores, and three leave the last core that runs.
    wait_until("only the last core goes on", || runtime.metrics().async_threads == 5);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        let metrics = runtime.metrics();
        assert_eq!((metrics.async_threads, metrics.permits_free), (5, 3), "{metrics:#?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    let call = runtime.spawn(async { threadlet!(std::thread::sleep(Duration::from_millis(5))) });
    wait_until("a marked call is made", || call.is_finished());
    drop(held);
    wait_until("all get the lock", || waiting.iter().all(|task| task.is_finished()));
    wait_until("permits come back", || runtime.metrics().permits_free == cap);
}

/// The same lock beside marked calls: they are handed over at once, with the permits that are left.
#[test]
fn marked_calls_get_permits_beside_a_popular_lock() {
    let cap = 8;
    let runtime = builder(4).max_async_threads(cap).build().unwrap();
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let lock = lock.clone();
            runtime.spawn(async move { drop(lock.lock().unwrap()) })
        })
        .collect();
    wait_until("two are rescued", || runtime.metrics().handoffs_rescued == 2);
    let (senders, marked): (Vec<_>, Vec<_>) = (0..cap - 2)
        .map(|_| {
            let (sender, receiver) = mpsc::channel::<()>();
            (sender, runtime.spawn(async move { threadlet!(receiver.recv()).is_err() }))
        })
        .unzip();
    wait_until("all permits are used", || runtime.metrics().async_threads == cap);
    assert_eq!(runtime.metrics().handoffs_rescued, 2);
    drop(senders);
    wait_until("marked calls return", || marked.iter().all(|task| task.is_finished()));
    drop(held);
    wait_until("all get the lock", || waiting.iter().all(|task| task.is_finished()));
}

fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// A poll that computes for long is no block, but to those behind it it looks the same. It is left
/// alone for 10 ms, and then handed over.
#[test]
fn a_poll_that_computes_for_long_is_handed_over() {
    let runtime = builder(1).build().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let mine = over.clone();
    let computing = runtime.spawn(async move {
        let start = Instant::now();
        while !mine.load(Ordering::Relaxed) && start.elapsed() < LIMIT {
            std::hint::spin_loop();
        }
    });
    let other = runtime.spawn(async {});
    wait_until("others go on", || other.is_finished());
    assert!(!computing.is_finished());
    over.store(true, Ordering::Relaxed);
    wait_until("it ends", || computing.is_finished());
    assert!(runtime.metrics().handoffs_rescued >= 1);
}

/// Polls of a millisecond are ordinary.
#[test]
fn a_poll_that_computes_for_a_while_is_left_alone() {
    let runtime = builder(1).build().unwrap();
    // On a busy machine a millisecond of work may take ten: a few may be handed over.
    let task = runtime.spawn(async {
        for _ in 0..50 {
            compute(Duration::from_millis(1));
            task::yield_now().await;
        }
    });
    wait_until("it ends", || task.is_finished());
    let rescued = runtime.metrics().handoffs_rescued;
    assert!(rescued <= 10, "{rescued} rescues");
}

/// The story: the monitor looked at a poll that computes every quarter of a millisecond, as if it were
/// about to fall asleep, and took its CPU from it each time; where workers share a CPU, a tenth of it.
#[test]
fn a_poll_that_computes_is_looked_at_seldom() {
    support::within(LIMIT, || {
        let runtime = builder(1).thread_name("seldom").build().unwrap();
        let sleeps = || os::sleeps_of("seldom-monitor");
        wait_until("the monitor is there", || sleeps().is_some());
        // With others in line, which it looks after more often.
        let computing = [(); 4].map(|()| {
            runtime.spawn(async {
                for _ in 0..30 {
                    compute(Duration::from_millis(8));
                    task::yield_now().await;
                }
            })
        });
        // Bit by bit: on a busy machine it looks seldom whatever it wants, but not all the time.
        let (mut start, mut before) = (Instant::now(), sleeps().unwrap());
        let mut bits = Vec::new();
        while computing.iter().any(|task| !task.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            let (now, looks) = (Instant::now(), sleeps().unwrap());
            bits.push((looks - before, now - start));
            (start, before) = (now, looks);
        }
        // A look every four milliseconds, and some more when it began.
        for (looks, took) in &bits[2..] {
            assert!(
                *looks < 8 + took.as_millis() as u64 / 4,
                "{looks} looks in {took:?}: {bits:?}"
            );
        }
        let looks: u64 = bits.iter().map(|(looks, _)| looks).sum();
        support::say(&format!("{looks} looks, the most in 20 ms: {:?}", bits[2..].iter().max()));
        assert!(looks > 20, "it was looked at: {bits:?}");
    });
}

/// "Something blocked" helps nobody. The hook hears of every rescue, and the list of the blocked
/// names the place where the task was spawned.
#[test]
fn a_rescue_is_reported_with_the_place_of_the_spawn() {
    let rescued = Arc::new(AtomicUsize::new(0));
    let mine = rescued.clone();
    let runtime: Runtime = builder(1)
        .on_handoff(move |cause| {
            if cause == Cause::Rescued {
                mine.fetch_add(1, Ordering::SeqCst);
            }
        })
        .build()
        .unwrap();
    let (sender, receiver) = mpsc::channel::<()>();
    let line = line!() + 1;
    let blocked = runtime.spawn(async move { receiver.recv().unwrap() });
    wait_until("the hook is called", || rescued.load(Ordering::SeqCst) == 1);
    let list = runtime.handle().blocked();
    assert_eq!(list.len(), 1, "{list:?}");
    assert!(list[0].site.is_none(), "it had not said so");
    assert_eq!(list[0].spawned_at.as_deref(), Some(format!("{}:{line}", file!()).as_str()));
    assert_eq!(list[0].task, Some(blocked.id()));
    assert_eq!(list[0].cause, Cause::Rescued);
    assert!(list[0].since.is_some() && list[0].thread > 0);
    sender.send(()).unwrap();
    wait_until("it returns", || blocked.is_finished());
    wait_until("nobody is blocked", || runtime.handle().blocked().is_empty());
}
