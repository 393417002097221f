//! The cap on blocked threads, the gate in front of it, and what happens beyond.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Barrier, build, detectors, ticker, wait_for_ticks, wait_until, within};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::task::JoinHandle;
use threadlet::{Saturated, threadlet};

const LIMIT: Duration = Duration::from_secs(120);

/// Runs `case` under each detector, with a limit: a stuck core cannot be unwound.
fn each(case: fn(Detector)) {
    for detector in detectors() {
        within(LIMIT, move || case(detector));
    }
}

fn runtime(detector: Detector, cores: usize, cap: usize) -> Arc<Runtime> {
    let mut builder = Builder::new_multi_thread();
    // Patience with what is preempted for long: here a hand-off is a block.
    builder.worker_threads(cores).max_async_threads(cap).hog_after(Duration::from_secs(3600));
    Arc::new(build(&mut builder, detector))
}

/// Spawns a call that blocks at `barrier`, and waits until it is handed over or stalled.
fn block(runtime: &Runtime, barrier: &Barrier) -> JoinHandle<()> {
    let known = |runtime: &Runtime| runtime.handle().blocked().len();
    let (before, mine) = (known(runtime), barrier.clone());
    // Never at the gate, so that it blocks also at the cap.
    let task = runtime.spawn(async move { threadlet!(or_inline; mine.block()) });
    wait_until("the block is seen", || known(runtime) > before);
    task
}

/// Spawns a call that waits at the gate and then notes its number, and waits until it is there.
fn wait_at_gate(
    runtime: &Runtime,
    nth: usize,
    order: &Arc<Mutex<Vec<usize>>>,
    barrier: &Barrier,
) -> JoinHandle<()> {
    let before = runtime.metrics().gate_waiters;
    let (order, barrier) = (order.clone(), barrier.clone());
    let task = runtime.spawn(async move {
        threadlet!(will_block; {
            order.lock().unwrap().push(nth);
            barrier.block();
        });
    });
    wait_until("it waits at the gate", || runtime.metrics().gate_waiters > before);
    task
}

fn all_permits_come_back(runtime: &Runtime, cap: usize) {
    wait_until("every permit is back", || {
        let metrics = runtime.metrics();
        (metrics.permits_free, metrics.async_threads, metrics.gate_waiters) == (cap, 0, 0)
    });
}

#[test]
fn five_hundred_blocked_calls_and_a_cap_of_eight() {
    each(|detector| {
        const CALLS: usize = 500;
        let runtime = runtime(detector, 2, 8);
        let (ticks, ticker) = ticker(&runtime);
        let barrier = Barrier::default();
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let barrier = barrier.clone();
                runtime.spawn(async move { threadlet!(barrier.block()) })
            })
            .collect();
        wait_until("eight calls block", || runtime.metrics().async_threads >= 8);
        wait_for_ticks("the ticker goes on", &ticks, 50);
        for call in 0..CALLS {
            if call % 25 == 0 {
                wait_for_ticks("the ticker goes on", &ticks, 2);
            }
            let now = runtime.metrics().async_threads;
            assert!(now <= 9, "eight, and the emergency thread: {now}");
            barrier.let_go(1);
        }
        for call in calls {
            runtime.block_on(call).unwrap();
        }
        ticker.abort();
        let metrics = runtime.metrics();
        assert!((8..=9).contains(&metrics.async_threads_peak), "{metrics:#?}");
        all_permits_come_back(&runtime, 8);
    });
}

#[test]
fn the_gate_is_first_in_first_out() {
    each(|detector| {
        let runtime = runtime(detector, 1, 1);
        let (holder, barrier) = (Barrier::default(), Barrier::default());
        let first = block(&runtime, &holder);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> =
            (0..10).map(|nth| wait_at_gate(&runtime, nth, &order, &barrier)).collect();
        holder.let_go(1);
        for task in 0..10 {
            wait_until("the next has its turn", || order.lock().unwrap().len() == task + 1);
            barrier.let_go(1);
        }
        runtime.block_on(first).unwrap();
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        assert_eq!(*order.lock().unwrap(), Vec::from_iter(0..10));
        all_permits_come_back(&runtime, 1);
    });
}

#[test]
fn the_stalled_core_is_served_before_the_gate() {
    each(|detector| {
        let runtime = runtime(detector, 2, 1);
        let (ticks, ticker) = ticker(&runtime);
        let [a, b, c] = [(); 3].map(|()| Barrier::default());
        let first = block(&runtime, &a);
        let order = Arc::new(Mutex::new(Vec::new()));
        let at_gate = wait_at_gate(&runtime, 0, &order, &c);
        // The gate's waiter was there before the stalled core.
        let stalled = block(&runtime, &b);
        let metrics = runtime.metrics();
        // (On a busy machine a poll that waits for a lock of ours may have been claimed, too.)
        assert!(metrics.regions_stalled >= 1 && metrics.async_threads == 1, "{metrics:#?}");
        wait_for_ticks("the other core goes on", &ticks, 20);

        let before = metrics.handoffs_blocked;
        a.let_go(1);
        wait_until("the stalled core is handed over", || {
            runtime.metrics().handoffs_blocked > before
        });
        runtime.block_on(first).unwrap();
        wait_for_ticks("both cores go on", &ticks, 20);
        assert_eq!(runtime.metrics().gate_waiters, 1, "the waiter still waits");
        assert!(order.lock().unwrap().is_empty());

        b.let_go(1);
        runtime.block_on(stalled).unwrap();
        c.let_go(1);
        runtime.block_on(at_gate).unwrap();
        ticker.abort();
        all_permits_come_back(&runtime, 1);
    });
}

#[test]
fn the_last_running_core_is_handed_over_beyond_the_cap() {
    each(|detector| {
        let runtime = runtime(detector, 1, 1);
        let (ticks, ticker) = ticker(&runtime);
        let barrier = Barrier::default();
        let mut blocked = vec![block(&runtime, &barrier), block(&runtime, &barrier)];
        wait_for_ticks("the ticker lives", &ticks, 50);
        let metrics = runtime.metrics();
        assert_eq!((metrics.async_threads, metrics.permits_free), (2, 0), "{metrics:#?}");

        // There is one such thread, and no second: the core stalls now, and is not forgotten.
        blocked.push(block(&runtime, &barrier));
        let metrics = runtime.metrics();
        assert!(metrics.async_threads == 2 && metrics.regions_stalled >= 1, "{metrics:#?}");
        barrier.let_go(1);
        wait_for_ticks("the ticker lives again", &ticks, 50);
        barrier.let_go(2);
        for task in blocked {
            runtime.block_on(task).unwrap();
        }
        ticker.abort();
        all_permits_come_back(&runtime, 1);
        assert_eq!(runtime.metrics().async_threads_peak, 2);
    });
}

#[test]
fn two_cores_that_both_stall_have_one_emergency_thread() {
    each(|detector| {
        let runtime = runtime(detector, 2, 1);
        let (ticks, ticker) = ticker(&runtime);
        let barrier = Barrier::default();
        // One permit, one stalled core, and then the last one that runs.
        let blocked: Vec<_> = (0..3).map(|_| block(&runtime, &barrier)).collect();
        wait_for_ticks("the ticker lives", &ticks, 50);
        let metrics = runtime.metrics();
        assert!(metrics.async_threads <= 2 && metrics.regions_stalled >= 1, "{metrics:#?}");
        barrier.let_go(3);
        for task in blocked {
            runtime.block_on(task).unwrap();
        }
        ticker.abort();
        all_permits_come_back(&runtime, 1);
    });
}

#[test]
fn a_cap_lowered_while_in_use_takes_effect_as_calls_return() {
    each(|detector| {
        let runtime = runtime(detector, 1, 4);
        let (barrier, gated) = (Barrier::default(), Barrier::default());
        let mut tasks: Vec<_> = (0..4).map(|_| block(&runtime, &barrier)).collect();
        runtime.set_max_async_threads(2);
        assert_eq!(runtime.metrics().async_threads, 4, "nothing is interrupted");
        let order = Arc::new(Mutex::new(Vec::new()));
        tasks.extend((0..2).map(|nth| wait_at_gate(&runtime, nth, &order, &gated)));
        for left in [3, 2] {
            barrier.let_go(1);
            wait_until("a call returns", || runtime.metrics().async_threads == left);
            assert_eq!(runtime.metrics().permits_free, 0);
            assert!(order.lock().unwrap().is_empty(), "still at the lower cap or above");
        }
        barrier.let_go(1);
        wait_until("the first has its turn", || order.lock().unwrap().len() == 1);
        assert_eq!(runtime.metrics().gate_waiters, 1);
        // Raised while one waits: it is served at once.
        runtime.set_max_async_threads(3);
        wait_until("the second has its turn", || order.lock().unwrap().len() == 2);
        barrier.let_go(1);
        gated.let_go(2);
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1]);
        all_permits_come_back(&runtime, 3);
    });
}

#[test]
fn a_raised_cap_serves_the_stalled_core() {
    each(|detector| {
        let runtime = runtime(detector, 2, 1);
        let barrier = Barrier::default();
        let tasks = [block(&runtime, &barrier), block(&runtime, &barrier)];
        assert_eq!(runtime.metrics().async_threads, 1);
        runtime.set_max_async_threads(2);
        wait_until("it is handed over", || runtime.metrics().async_threads == 2);
        barrier.let_go(2);
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        all_permits_come_back(&runtime, 2);
    });
}

#[test]
fn calls_that_never_blocked_run_on_at_the_cap() {
    each(|detector| {
        // No rescue: on a busy machine a poll of a thousand calls may be taken for a long computation,
        // and then goes on without a core.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).max_async_threads(1).hog_after(Duration::from_secs(3600));
        let runtime = Arc::new(build(builder.rescue(false), detector));
        let barrier = Barrier::default();
        let blocked = block(&runtime, &barrier);
        let before = runtime.metrics().regions_unprotected;
        let calls = runtime.spawn(async {
            let mut sum = 0;
            for nth in 0..1000 {
                sum += threadlet!(nth);
            }
            sum
        });
        assert_eq!(runtime.block_on(calls).unwrap(), 499_500);
        assert!(!blocked.is_finished());
        let metrics = runtime.metrics();
        assert_eq!(metrics.regions_unprotected - before, 1000, "{metrics:#?}");
        barrier.let_go(1);
        runtime.block_on(blocked).unwrap();
        all_permits_come_back(&runtime, 1);
    });
}

#[test]
fn at_the_cap_or_fail_fails_and_or_inline_does_not_wait() {
    each(|detector| {
        let runtime = runtime(detector, 2, 1);
        let barrier = Barrier::default();
        let made = Arc::new(AtomicBool::new(false));
        let call = |made: Arc<AtomicBool>| async move {
            threadlet!(or_fail, will_block; made.store(true, Ordering::Relaxed))
        };
        assert_eq!(runtime.block_on(runtime.spawn(call(made.clone()))).unwrap(), Ok(()));
        assert!(made.swap(false, Ordering::Relaxed), "with a permit the call is made");
        all_permits_come_back(&runtime, 1);

        let blocked = block(&runtime, &barrier);
        let refused: Result<(), Saturated> =
            runtime.block_on(runtime.spawn(call(made.clone()))).unwrap();
        assert!(refused.unwrap_err().to_string().contains("max_async_threads"));
        assert!(!made.load(Ordering::Relaxed), "the call has not been made");
        let inline = runtime.spawn(async { threadlet!(or_inline, will_block; 7) });
        assert_eq!(runtime.block_on(inline).unwrap(), 7);
        assert!(!blocked.is_finished());
        assert_eq!(runtime.metrics().async_threads, 1);
        barrier.let_go(1);
        runtime.block_on(blocked).unwrap();
        all_permits_come_back(&runtime, 1);
    });
}

/// A site is remembered: without `will_block`, its last call did.
#[test]
fn a_site_that_blocked_recently_waits_at_the_gate() {
    each(|detector| {
        let runtime = runtime(detector, 1, 1);
        let (barrier, calls) = (Barrier::default(), Arc::new(AtomicUsize::new(0)));
        let spawn = || {
            let (barrier, calls) = (barrier.clone(), calls.clone());
            runtime.spawn(async move {
                threadlet!({
                    calls.fetch_add(1, Ordering::Relaxed);
                    barrier.block();
                });
            })
        };
        let first = spawn();
        wait_until("it is handed over", || runtime.metrics().async_threads == 1);
        barrier.let_go(1);
        runtime.block_on(first).unwrap();
        all_permits_come_back(&runtime, 1);

        let tasks = [spawn(), spawn()];
        wait_until("one waits", || runtime.metrics().gate_waiters == 1);
        assert_eq!(calls.load(Ordering::Relaxed), 2, "the other one blocks");
        barrier.let_go(2);
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        all_permits_come_back(&runtime, 1);
    });
}

/// A task whose calls block makes most of them without a core; these count as well.
#[test]
fn a_site_that_blocked_without_a_core_waits_at_the_gate() {
    each(|detector| {
        let runtime = runtime(detector, 2, 1);
        let (barrier, blocks) = (Barrier::default(), Arc::new(AtomicBool::new(true)));
        let spawn = |calls: usize| {
            let blocks = blocks.clone();
            runtime.spawn(async move {
                for _ in 0..calls {
                    threadlet!(if blocks.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(3));
                    });
                }
            })
        };
        // Learnt with a core each, then far more than a gate remembers without one.
        for _ in 0..20 {
            runtime.block_on(spawn(1)).unwrap();
        }
        runtime.block_on(spawn(100)).unwrap();
        all_permits_come_back(&runtime, 1);
        let holder = block(&runtime, &barrier);
        let before = runtime.metrics().regions_unprotected;
        let late = spawn(1);
        wait_until("it waits at the gate", || runtime.metrics().gate_waiters == 1);
        assert_eq!(runtime.metrics().regions_unprotected, before);
        barrier.let_go(1);
        runtime.block_on(holder).unwrap();
        runtime.block_on(late).unwrap();
        all_permits_come_back(&runtime, 1);
    });
}

#[test]
fn a_waiter_that_goes_away_leaves_its_place_and_its_permit() {
    each(|detector| {
        let runtime = runtime(detector, 1, 1);
        let (holder, barrier) = (Barrier::default(), Barrier::default());
        let blocked = block(&runtime, &holder);
        let order = Arc::new(Mutex::new(Vec::new()));
        let wait = |nth| wait_at_gate(&runtime, nth, &order, &barrier);
        let [first, second, third] = [wait(0), wait(1), wait(2)];

        // Aborted in the queue.
        first.abort();
        assert!(runtime.block_on(first).unwrap_err().is_cancelled());
        assert_eq!(runtime.metrics().gate_waiters, 2);

        // Its future dropped by a timeout, in the queue.
        let late = runtime.spawn(async {
            let call = async { threadlet!(will_block; ()) };
            threadlet::time::timeout(Duration::from_millis(5), call).await.is_err()
        });
        assert!(runtime.block_on(late).unwrap());
        assert_eq!(runtime.metrics().gate_waiters, 2);

        // Granted and aborted in one: nobody polls it in between, because this task has the core.
        let abort = second.abort_handle();
        let mine = runtime.clone();
        let both = runtime.spawn(async move {
            abort.abort();
            mine.set_max_async_threads(2);
        });
        runtime.block_on(both).unwrap();
        assert!(runtime.block_on(second).unwrap_err().is_cancelled());
        wait_until("the third has its permit", || *order.lock().unwrap() == [2]);

        barrier.let_go(1);
        runtime.block_on(third).unwrap();
        holder.let_go(1);
        runtime.block_on(blocked).unwrap();
        all_permits_come_back(&runtime, 2);
    });
}

/// With prediction, waiting, stalls and aborts in any order, the books balance in the end.
#[test]
fn no_permit_leaks() {
    each(|detector| {
        let runtime = runtime(detector, 2, 3);
        let tasks: Vec<_> = (0..300_u64)
            .map(|nth| {
                runtime.spawn(async move {
                    let pause = Duration::from_micros(50 + nth * 7919 % 400);
                    match nth % 4 {
                        0 => threadlet!(std::thread::sleep(pause)),
                        1 => threadlet!(will_block; std::thread::sleep(pause)),
                        2 => threadlet!(or_inline; std::thread::sleep(pause)),
                        _ => threadlet::run(|| std::thread::sleep(pause)),
                    }
                    threadlet::time::sleep(pause).await;
                    let _ = threadlet!(or_fail, will_block; std::thread::sleep(pause));
                })
            })
            .collect();
        for (nth, task) in tasks.iter().enumerate() {
            if nth % 5 == 0 {
                task.abort();
            }
        }
        for task in tasks {
            match runtime.block_on(task) {
                Ok(()) => {}
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
        all_permits_come_back(&runtime, 3);
        let metrics = runtime.metrics();
        assert!(metrics.async_threads_peak <= 4, "{metrics:#?}");
        assert_eq!(metrics.tasks_alive, 0, "{metrics:#?}");
    });
}
