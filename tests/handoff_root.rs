//! The future given to `block_on` of a current-thread runtime waits for no other task's call.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use support::{PATIENCE, build, detectors, within};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::{task, threadlet, time};

/// Long beside everything but a call that is waited for.
const CALL: Duration = Duration::from_secs(4);
const SOON: Duration = Duration::from_secs(2);

fn each(test: impl Fn(Runtime) + Copy + Send + 'static) {
    for detector in detectors().into_iter().filter(|detector| *detector != Detector::Off) {
        within(3 * PATIENCE, move || test(build(&mut Builder::new_current_thread(), detector)));
    }
}

/// The story: the root feeds the closure that the root's own thread has begun to run.
#[test]
fn a_closure_may_wait_for_the_root() {
    each(|runtime| {
        let answer = runtime.block_on(async {
            let (send, receive) = mpsc::channel();
            let call = task::spawn_blocking(move || receive.recv());
            time::sleep(Duration::from_millis(5)).await;
            send.send(7).unwrap();
            call.await.unwrap()
        });
        assert_eq!(answer, Ok(7));
    });
}

#[test]
fn a_marked_call_of_a_task_does_not_hold_up_the_root() {
    each(|runtime| {
        let (let_go, wait) = mpsc::channel::<()>();
        let began = Instant::now();
        let call = runtime.spawn(async move { threadlet!(wait.recv_timeout(CALL).is_ok()) });
        runtime.block_on(async {
            let late = time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
            assert!(late.is_err());
        });
        assert!(began.elapsed() < SOON, "the root waited: {:?}", began.elapsed());
        let_go.send(()).unwrap();
        assert!(runtime.block_on(call).unwrap(), "the call was made once, and ended");
    });
}

#[test]
fn a_timeout_around_a_closure_is_in_time() {
    each(|runtime| {
        let began = Instant::now();
        let (let_go, wait) = mpsc::channel::<()>();
        let late = runtime.block_on(async {
            let call = task::spawn_blocking(move || wait.recv_timeout(CALL).is_ok());
            time::timeout(Duration::from_millis(20), call).await.is_err()
        });
        assert!(late && began.elapsed() < SOON, "{:?}", began.elapsed());
        drop(let_go);
    });
}

/// A block that nobody announced does hold up the root, but once in the life of a runtime.
#[test]
fn an_unmarked_block_holds_up_the_root_once() {
    holds_up_the_root_once(|| std::thread::sleep(Duration::from_millis(300)));
}

/// And so does one in `run`, which cannot wait until its task is elsewhere.
#[test]
fn a_block_in_run_holds_up_the_root_once() {
    holds_up_the_root_once(|| {
        threadlet::run(|| std::thread::sleep(Duration::from_millis(300)));
    });
}

fn holds_up_the_root_once(block: fn()) {
    each(move |runtime| {
        let blocks = || {
            runtime.block_on(async {
                let began = Instant::now();
                threadlet::spawn(async move { block() });
                time::sleep(Duration::from_millis(20)).await;
                began.elapsed()
            })
        };
        blocks();
        let again = blocks();
        assert!(again < Duration::from_millis(250), "the second held it up, too: {again:?}");
    });
}

/// While no call is made, tasks stay with the root: their thread-locals are in one place.
#[test]
fn tasks_that_make_no_call_stay_at_home() {
    each(|runtime| {
        let home = std::thread::current().id();
        runtime.block_on(async {
            for _ in 0..100 {
                let here = threadlet::spawn(async {
                    task::yield_now().await;
                    std::thread::current().id()
                });
                assert_eq!(here.await.unwrap(), home);
            }
        });
        assert_eq!(runtime.metrics().spare_wakeups, 0);
    });
}

#[test]
fn a_closure_runs_though_nobody_is_in_the_runtime() {
    each(|runtime| {
        let (send, receive) = mpsc::channel();
        let handle = runtime.spawn_blocking(move || send.send(7));
        assert_eq!(receive.recv_timeout(PATIENCE), Ok(7));
        runtime.block_on(handle).unwrap().unwrap();
    });
}

/// Calls, tasks and roots by the hundred, one runtime after the other in use by several threads.
#[test]
fn nothing_is_lost_on_the_way_from_home() {
    each(|runtime| {
        let runtime = Arc::new(runtime);
        let sum = Arc::new(AtomicUsize::new(0));
        let threads = (0..3).map(|_| {
            let (runtime, sum) = (runtime.clone(), sum.clone());
            std::thread::spawn(move || {
                for nth in 0..30 {
                    let sum = sum.clone();
                    runtime.block_on(async move {
                        let tasks = (0..10).map(|_| {
                            let sum = sum.clone();
                            threadlet::spawn(async move {
                                let one = threadlet!(if nth % 5 == 0 {
                                    std::thread::sleep(Duration::from_micros(300));
                                    1
                                } else {
                                    1
                                });
                                sum.fetch_add(one, Ordering::Relaxed);
                            })
                        });
                        for task in tasks.collect::<Vec<_>>() {
                            task.await.unwrap();
                        }
                    });
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(sum.load(Ordering::Relaxed), 900);
    });
}

/// The story: a thread is to take the core for a closure, and the system has none to give. The core was
/// meant for it already, and whoever came into `block_on` next found it taken.
#[test]
fn a_thread_that_cannot_be_had_leaves_the_core_at_home() {
    if !support::alone(PATIENCE) {
        return;
    }
    support::os::become_nobody();
    let runtime = Builder::new_current_thread().build().unwrap();
    support::wait_until("spares are there", || runtime.metrics().spares >= 2);
    let limit = support::os::set_thread_limit(0);
    let closure = runtime.spawn_blocking(|| 7);
    assert!(runtime.metrics().thread_spawn_failures > 0, "no thread was to be had");
    let answer = runtime.block_on(closure).unwrap();
    support::os::set_thread_limit(limit);
    assert_eq!(answer, 7);
}
