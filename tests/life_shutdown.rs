//! How a runtime ends: within its bound, and with every task told.

mod support;

use std::cell::RefCell;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use support::{Barrier, build, child, detectors, is_child, os, passes, wait_until, within};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::threadlet;

const LIMIT: Duration = Duration::from_secs(60);

/// What "at once" means on a machine that has other things to do; what does not end takes longer.
const AT_ONCE: Duration = Duration::from_secs(5);

fn each(case: fn(Detector)) {
    for detector in detectors() {
        within(LIMIT, move || case(detector));
    }
}

fn runtime(detector: Detector, cap: usize) -> Runtime {
    build(Builder::new_multi_thread().worker_threads(1).max_async_threads(cap), detector)
}

/// Counts what has been dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_timeout_bounds_the_wait_for_blocked_calls() {
    each(|detector| {
        for cap in [1, 8] {
            let runtime = runtime(detector, cap);
            let barrier = Barrier::default();
            // With a cap of 1: one with a permit, the emergency thread, and a stalled core.
            let calls: Vec<_> = (0..3)
                .map(|nth| {
                    let mine = barrier.clone();
                    let call = async move { threadlet!(or_inline; mine.block()) };
                    let task = runtime.spawn(call);
                    wait_until("it blocks", || runtime.handle().blocked().len() > nth);
                    task
                })
                .collect();
            let sleeper = runtime.spawn(threadlet::time::sleep(LIMIT));
            let start = Instant::now();
            runtime.shutdown_timeout(Duration::from_millis(100));
            let took = start.elapsed();
            assert!(took >= Duration::from_millis(100) && took < AT_ONCE, "{took:?}");
            assert!(calls.iter().all(|call| !call.is_finished()), "they are blocked");
            // What has started runs to its end, and its result is there.
            barrier.let_go(3);
            for call in calls {
                support::foreign_block_on(call).expect("the call ended by itself");
            }
            let error = support::foreign_block_on(sleeper).expect_err("it was dropped");
            assert!(error.is_cancelled());
        }
    });
}

#[test]
fn in_the_background_it_does_not_wait() {
    each(|detector| {
        let runtime = runtime(detector, 8);
        let barrier = Barrier::default();
        let mine = barrier.clone();
        let call = runtime.spawn(async move { threadlet!(mine.block()) });
        wait_until("it blocks", || barrier.blocked() == 1);
        let start = Instant::now();
        runtime.shutdown_background();
        assert!(start.elapsed() < AT_ONCE);
        assert!(!call.is_finished());
        barrier.let_go(1);
        support::foreign_block_on(call).expect("the call ended by itself");
    });
}

#[test]
fn a_drop_waits_for_the_calls_that_have_started() {
    each(|detector| {
        let runtime = runtime(detector, 8);
        let barrier = Barrier::default();
        let mine = barrier.clone();
        let call = runtime.spawn(async move { threadlet!(mine.block()) });
        wait_until("it blocks", || barrier.blocked() == 1);
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            barrier.let_go(1);
        });
        drop(runtime);
        assert!(call.is_finished());
        release.join().unwrap();
    });
}

#[test]
fn dropped_inside_its_own_task() {
    each(|detector| {
        for blocked in [false, true] {
            let runtime = Arc::new(runtime(detector, 8));
            let dropped = Arc::new(AtomicUsize::new(0));
            let counted = Counted(dropped.clone());
            let sleeper = runtime.spawn(async move {
                let _counted = counted;
                threadlet::time::sleep(LIMIT).await;
            });
            let (send, receive) = std::sync::mpsc::channel::<Arc<Runtime>>();
            let task = runtime.spawn(async move {
                let last = threadlet!(receive.recv().unwrap());
                let last = Arc::into_inner(last).expect("nobody else has it");
                if blocked {
                    threadlet!(drop(last));
                } else {
                    drop(last);
                }
                7
            });
            send.send(runtime).unwrap();
            assert_eq!(support::foreign_block_on(task).expect("the poll ends"), 7);
            assert!(support::foreign_block_on(sleeper).unwrap_err().is_cancelled());
            assert_eq!(dropped.load(Ordering::Relaxed), 1, "its future is gone");
        }
    });
}

#[test]
fn dropped_inside_another_runtimes_task() {
    each(|detector| {
        let (outer, inner) = (runtime(detector, 8), runtime(detector, 8));
        let sleeper = inner.spawn(threadlet::time::sleep(LIMIT));
        let start = Instant::now();
        outer.block_on(outer.spawn(async move { drop(inner) })).unwrap();
        assert!(start.elapsed() < AT_ONCE);
        assert!(outer.block_on(sleeper).unwrap_err().is_cancelled());
    });
}

#[test]
fn whoever_waits_at_the_gate_is_told() {
    each(|detector| {
        let runtime = runtime(detector, 1);
        let barrier = Barrier::default();
        let mine = barrier.clone();
        let call = runtime.spawn(async move { threadlet!(mine.block()) });
        wait_until("it blocks", || runtime.metrics().async_threads == 1);
        let waits: Vec<_> =
            (0..5).map(|_| runtime.spawn(async { threadlet!(will_block; ()) })).collect();
        wait_until("they wait", || runtime.metrics().gate_waiters == 5);
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            barrier.let_go(1);
        });
        drop(runtime);
        release.join().unwrap();
        assert!(call.is_finished());
        for wait in waits {
            assert!(support::foreign_block_on(wait).unwrap_err().is_cancelled());
        }
    });
}

/// Shutdown against hand-off, at whatever moment it comes: every task ends one way or the other,
/// and every future is dropped.
#[test]
fn at_any_moment() {
    each(|detector| {
        const TASKS: usize = 40;
        for round in 0..40_u64 {
            let mut builder = Builder::new_multi_thread();
            let runtime = build(builder.worker_threads(2).max_async_threads(4), detector);
            let dropped = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..TASKS as u64)
                .map(|nth| {
                    let counted = Counted(dropped.clone());
                    runtime.spawn(async move {
                        let _counted = counted;
                        for _ in 0..10 {
                            let pause = Duration::from_micros(nth * 7919 % 300);
                            threadlet!(std::thread::sleep(pause));
                            threadlet::time::sleep(pause).await;
                        }
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_micros(round * 131 % 4000));
            drop(runtime);
            for task in tasks {
                match support::foreign_block_on(task) {
                    Ok(()) => {}
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
            assert_eq!(dropped.load(Ordering::Relaxed), TASKS, "round {round}");
        }
    });
}

#[test]
fn tasks_spawned_after_the_end_are_cancelled() {
    each(|detector| {
        let runtime = runtime(detector, 8);
        let handle = runtime.handle().clone();
        drop(runtime);
        let task = handle.spawn(async { 7 });
        assert!(support::foreign_block_on(task).unwrap_err().is_cancelled());
        let task = handle.spawn_blocking(|| 7);
        assert!(support::foreign_block_on(task).unwrap_err().is_cancelled());
    });
}

/// One of each kind, with one core.
fn one_core(current_thread: bool) -> Runtime {
    let mut builder = match current_thread {
        true => Builder::new_current_thread(),
        false => Builder::new_multi_thread(),
    };
    if !current_thread {
        builder.worker_threads(1);
    }
    builder.max_async_threads(2).rescue(false).build().unwrap()
}

/// As in tokio: what `spawn_blocking` has accepted runs, whatever becomes of the runtime.
#[test]
fn what_spawn_blocking_has_accepted_runs() {
    const CALLS: usize = 20;
    for current_thread in [false, true] {
        within(LIMIT, move || {
            for how in 0..3 {
                let runtime = one_core(current_thread);
                let ran = Arc::new(AtomicUsize::new(0));
                let call = |ran: &Arc<AtomicUsize>| {
                    let ran = ran.clone();
                    move || {
                        std::thread::sleep(Duration::from_millis(2));
                        ran.fetch_add(1, Ordering::Relaxed) + 1
                    }
                };
                let aborted = Arc::new(AtomicUsize::new(0));
                let calls: Vec<_> =
                    (0..CALLS).map(|_| runtime.spawn_blocking(call(&ran))).collect();
                let not_run = runtime.spawn_blocking(call(&aborted));
                not_run.abort();
                match how {
                    0 => drop(runtime),
                    1 => runtime.shutdown_timeout(LIMIT),
                    _ => runtime.shutdown_background(),
                }
                if how < 2 {
                    assert_eq!(ran.load(Ordering::Relaxed), CALLS, "it has waited for them");
                }
                for call in calls {
                    assert!(support::foreign_block_on(call).unwrap() > 0);
                }
                assert_eq!(ran.load(Ordering::Relaxed), CALLS);
                // (It may have begun before it was aborted.)
                let not_run = support::foreign_block_on(not_run);
                assert_eq!(not_run.is_ok(), aborted.load(Ordering::Relaxed) > 0);
            }
        });
    }
}

/// The others are dropped first, so that nobody waits for one that will never run.
#[test]
fn an_accepted_call_that_waits_for_a_task_ends_with_the_task() {
    for current_thread in [false, true] {
        within(LIMIT, move || {
            let runtime = one_core(current_thread);
            // Until the end has begun nothing else is run.
            let end = Arc::new(AtomicUsize::new(0));
            let begun = end.clone();
            let spins = move || while begun.load(Ordering::Relaxed) == 0 {};
            let holds = runtime.spawn(async move { spins() });
            let (calls, tasks): (Vec<_>, Vec<_>) = (0..10)
                .map(|_| {
                    let (sender, receiver) = std::sync::mpsc::channel::<()>();
                    let call = runtime.spawn_blocking(move || receiver.recv().is_err());
                    let task = runtime.spawn(async move {
                        std::future::pending::<()>().await;
                        drop(sender);
                    });
                    (call, task)
                })
                .unzip();
            runtime.shutdown_background();
            end.store(1, Ordering::Relaxed);
            for call in calls {
                assert!(support::foreign_block_on(call).unwrap());
            }
            for task in tasks {
                assert!(support::foreign_block_on(task).unwrap_err().is_cancelled());
            }
            drop(holds);
        });
    }
}

/// What is spawned in such a call comes too late.
#[test]
fn an_accepted_call_may_use_its_runtime() {
    within(LIMIT, || {
        let runtime = one_core(false);
        let hold = runtime.spawn_blocking(|| std::thread::sleep(Duration::from_millis(20)));
        let calls: Vec<_> = (0..20)
            .map(|_| {
                runtime.spawn_blocking(|| {
                    std::thread::sleep(Duration::from_millis(5));
                    let late = threadlet::task::spawn_blocking(|| ());
                    threadlet::block_on(late).is_err()
                })
            })
            .collect();
        drop(runtime);
        support::foreign_block_on(hold).unwrap();
        let late = calls.into_iter().map(|call| support::foreign_block_on(call).unwrap());
        assert!(late.filter(|late| *late).count() > 0);
    });
}

/// Its destructors are part of a thread, also of one that ended before the others did: here they
/// say goodbye only when the first one is at its destructors.
#[test]
fn a_drop_waits_for_destructors_of_thread_locals() {
    #[derive(Default)]
    struct Count {
        begun: AtomicUsize,
        stopping: AtomicUsize,
        dropping: AtomicUsize,
        ended: AtomicUsize,
    }
    struct Slow(Arc<Count>);
    impl Drop for Slow {
        fn drop(&mut self) {
            // The first one is the last to be done.
            let first = self.0.dropping.fetch_add(1, Ordering::SeqCst) == 0;
            std::thread::sleep(Duration::from_millis(if first { 400 } else { 50 }));
            self.0.ended.fetch_add(1, Ordering::SeqCst);
        }
    }
    thread_local!(static LEFT: RefCell<Vec<Slow>> = const { RefCell::new(Vec::new()) });
    each(|detector| {
        let count = Arc::new(Count::default());
        let (starts, stops) = (count.clone(), count.clone());
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(3).on_thread_start(move || {
            starts.begun.fetch_add(1, Ordering::SeqCst);
            LEFT.with_borrow_mut(|left| left.push(Slow(starts.clone())));
        });
        builder.on_thread_stop(move || {
            if stops.stopping.fetch_add(1, Ordering::SeqCst) > 0 {
                wait_until("the first is at its destructors", || {
                    stops.dropping.load(Ordering::SeqCst) > 0
                });
            }
        });
        let runtime = build(&mut builder, detector);
        wait_until("all workers have begun", || count.begun.load(Ordering::SeqCst) >= 3);
        drop(runtime);
        assert_eq!(count.ended.load(Ordering::SeqCst), count.begun.load(Ordering::SeqCst));
    });
}

/// Its monitor sleeps by then, where no core runs.
#[test]
fn a_runtime_at_rest_ends() {
    each(|detector| {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = build(builder.worker_threads(1), detector);
            std::thread::sleep(Duration::from_millis(200));
            drop(runtime);
        }
    });
}

/// Whoever drops a runtime waits for its calls, and is told for which.
#[test]
fn the_end_says_what_it_waits_for() {
    if !is_child() {
        let told = passes(LIMIT, &mut child());
        let line = told.lines().find(|line| line.contains("slow-end: "));
        let line = line.unwrap_or_else(|| panic!("nothing is said:\n{told}"));
        for word in ["the end of the runtime", "tests/life_shutdown.rs:", "(thread "] {
            assert!(line.contains(word), "{word} is not in: {line}");
        }
        assert!(!told.contains("quick-end: "), "{told}");
        return;
    }
    for (name, millis) in [("quick-end", 100), ("slow-end", 1500)] {
        let runtime = Builder::new_multi_thread().thread_name(name).build().unwrap();
        let barrier = Barrier::default();
        let mine = barrier.clone();
        runtime.spawn(async move { threadlet!(mine.block()) });
        wait_until("it blocks", || barrier.blocked() == 1);
        let end = std::thread::spawn(move || drop(runtime));
        std::thread::sleep(Duration::from_millis(millis));
        barrier.let_go(1);
        end.join().unwrap();
    }
}

/// A call waits for a task that is queued behind it, and there is no thread but that of the call.
#[test]
fn without_a_spare_the_end_drops_what_a_call_waits_for() {
    if !is_child() {
        return drop(passes(LIMIT, child().env("THREADLET_DETECTOR", "monitor")));
    }
    os::become_nobody();
    for flavor in ["queued", "asleep"] {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).min_spare_threads(1).build().unwrap();
        let limit = os::set_thread_limit(0);
        let (mut calls, mut senders) = (Vec::new(), Vec::new());
        while runtime.handle().blocked().iter().all(|blocked| blocked.since.is_some()) {
            // A spare may be there, or come, and would run what is queued: it gets a call of its own.
            let asleep = flavor == "asleep" || runtime.metrics().spares > 0;
            let (sender, receiver) = mpsc::channel::<()>();
            let keeps = async move {
                if asleep {
                    threadlet::time::sleep(LIMIT).await;
                }
                drop(sender);
            };
            let handle = runtime.handle().clone();
            let mut keeps = Some(keeps);
            if asleep {
                senders.extend(keeps.take().map(|keeps| runtime.spawn(keeps)));
            }
            // Dropped with the task, or by it, whichever comes first.
            calls.push(runtime.spawn(async move {
                drop(keeps.map(|keeps| handle.spawn(keeps)));
                threadlet!(receiver.recv().is_err())
            }));
            wait_until("it blocks, or is over", || {
                let blocked = runtime.handle().blocked().len();
                blocked + calls.iter().filter(|call| call.is_finished()).count() == calls.len()
            });
        }
        drop(runtime);
        os::set_thread_limit(limit);
    }
}

/// Strangers' wakers: those of futures that are no tasks of the runtime.
struct Stranger(Barrier, Arc<AtomicUsize>);

impl Wake for Stranger {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.block();
    }
}

#[test]
fn a_waker_that_blocks_holds_up_neither_the_end_nor_others() {
    each(|detector| {
        let barrier = Barrier::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
        let entered = runtime.handle().clone();
        let entered = entered.enter();
        let mut sleepers: Vec<_> =
            (0..3).map(|_| Box::pin(threadlet::time::sleep(LIMIT))).collect();
        for sleeper in &mut sleepers {
            let waker = Waker::from(Arc::new(Stranger(barrier.clone(), calls.clone())));
            assert!(sleeper.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        let start = Instant::now();
        runtime.shutdown_timeout(Duration::from_millis(100));
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        wait_until("all are told", || calls.load(Ordering::Relaxed) == 3);
        barrier.let_go(3);
        drop(entered);
    });
}

/// The story: a stranger who wakes a task has said so, and has not put it into a queue yet, when the
/// last thread goes out. The runtime took that task for one that nobody would ever drop.
#[test]
fn a_stranger_may_be_in_the_middle_of_waking_when_the_last_thread_goes_out() {
    const TASKS: usize = 10_000;
    const STRANGERS: usize = 2;
    within(LIMIT, || {
        for _ in 0..25 {
            let dropped = Arc::new(AtomicUsize::new(0));
            let waiting = Arc::new(AtomicUsize::new(0));
            let runtime = Builder::new_multi_thread().worker_threads(4).build().unwrap();
            let (mut wakers, pending): (Vec<_>, Vec<_>) =
                (0..TASKS).map(|_| futures::channel::oneshot::channel::<()>()).unzip();
            for wait in pending {
                let (counted, waiting) = (Counted(dropped.clone()), waiting.clone());
                runtime.spawn(async move {
                    let _counted = counted;
                    waiting.fetch_add(1, Ordering::Relaxed);
                    let _told = wait.await;
                });
            }
            wait_until("some wait", || waiting.load(Ordering::Relaxed) > TASKS / 4);
            let (begins, begun) = mpsc::channel();
            let strangers = [(); STRANGERS].map(|()| {
                let (mine, begins) =
                    (wakers.split_off(wakers.len() - TASKS / STRANGERS), begins.clone());
                std::thread::spawn(move || {
                    begins.send(()).unwrap();
                    for sender in mine {
                        let _ended = sender.send(());
                    }
                })
            });
            begun.recv().unwrap();
            drop(runtime);
            strangers.into_iter().for_each(|stranger| stranger.join().unwrap());
            assert_eq!(dropped.load(Ordering::Relaxed), TASKS, "each of them once");
        }
    });
}
