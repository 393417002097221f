use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::runtime::{Builder, Detector};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn first_in_first_out() {
    let (sender, order) = mpsc::channel();
    let pump = Pump::new(1);
    for n in 0..1000 {
        let sender = sender.clone();
        pump.submit(move || sender.send(n).unwrap());
    }
    for n in 0..1000 {
        assert_eq!(order.recv_timeout(LIMIT), Ok(n));
    }
}

#[test]
fn never_more_than_the_limit() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let (sender, done) = mpsc::channel();
    let pump = Pump::new(3);
    for n in 0..200 {
        let sender = sender.clone();
        pump.submit(move || {
            MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if n % 2 == 0 {
                std::thread::sleep(Duration::from_micros(300));
            }
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            sender.send(()).unwrap();
        });
    }
    (0..200).for_each(|_| done.recv_timeout(LIMIT).unwrap());
    assert!(MOST.load(Ordering::SeqCst) <= 3);
}

/// 200 calls, each of which waits until so many run at once.
fn wait_for_each_other(pump: &Pump, count: usize) {
    let all = Arc::new(std::sync::Barrier::new(count));
    let (sender, done) = mpsc::channel();
    for _ in 0..200 {
        let (all, sender) = (all.clone(), sender.clone());
        pump.submit(move || {
            all.wait();
            sender.send(()).unwrap();
        });
    }
    (0..200).for_each(|_| done.recv_timeout(LIMIT).unwrap());
}

/// Calls that wait for each other: as many as the limit allows do run at once.
#[test]
fn up_to_the_limit() {
    for detector in [Detector::Auto, Detector::Monitor] {
        let runtime = Builder::new_multi_thread().worker_threads(2).detector(detector).build();
        let runtime = runtime.unwrap();
        let _entered = runtime.enter();
        let pump = Pump::new(4);
        pump.set_limit(20);
        wait_for_each_other(&pump, 20);
    }
}

/// Nobody would find out that they block.
#[test]
fn in_a_runtime_without_a_detector() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).max_async_threads(20).detector(Detector::Off).build();
    let runtime = runtime.unwrap();
    let _entered = runtime.enter();
    let pump = Pump::new(20);
    for count in [20, 1, 20] {
        wait_for_each_other(&pump, count);
    }
    comes_to_rest(&pump, &runtime, 20);
}

#[test]
fn a_limit_that_is_raised_is_used() {
    let all = Arc::new(std::sync::Barrier::new(5));
    let (sender, done) = mpsc::channel();
    let pump = Pump::new(1);
    for _ in 0..5 {
        let (all, sender) = (all.clone(), sender.clone());
        pump.submit(move || {
            all.wait();
            sender.send(()).unwrap();
        });
    }
    assert!(done.recv_timeout(Duration::from_millis(50)).is_err());
    pump.set_limit(5);
    (0..5).for_each(|_| done.recv_timeout(LIMIT).unwrap());
}

#[test]
fn a_panic_is_that_closures_own() {
    let (sender, done) = mpsc::channel();
    let pump = Pump::new(2);
    for n in 0..100 {
        let sender = sender.clone();
        pump.submit(move || {
            if n % 3 == 0 {
                // Without the hook's text.
                std::panic::resume_unwind(Box::new("thrown on purpose"));
            }
            sender.send(()).unwrap();
        });
    }
    (0..66).for_each(|_| done.recv_timeout(LIMIT).unwrap());
}

/// What stands in the line when a runtime ends is run by another.
#[test]
fn a_shutdown_loses_nothing() {
    for detector in [Detector::Auto, Detector::Monitor] {
        let runtime = Builder::new_multi_thread().worker_threads(2).detector(detector).build();
        let runtime = runtime.unwrap();
        let (sender, done) = mpsc::channel();
        let pump = Pump::new(2);
        {
            let _entered = runtime.enter();
            for n in 0..1000 {
                let sender = sender.clone();
                pump.submit(move || {
                    if n % 100 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    sender.send(()).unwrap();
                });
            }
        }
        drop(runtime);
        (0..1000).for_each(|_| done.recv_timeout(LIMIT).unwrap());
    }
}

/// A runtime without threads of its own would run it only while somebody is in its `block_on`.
#[test]
fn a_runtime_that_nobody_drives_is_passed_over() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let _entered = runtime.enter();
    let (sender, done) = mpsc::channel();
    Pump::new(1).submit(move || sender.send(()).unwrap());
    done.recv_timeout(LIMIT).unwrap();
}

#[test]
fn from_many_threads_at_once() {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    let pump = Pump::new(8);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..5000 {
                    pump.submit(move || {
                        if n % 50 == 0 {
                            std::thread::sleep(Duration::from_micros(100));
                        }
                        RUN.fetch_add(1, Ordering::Relaxed);
                    });
                    if n % 700 == 0 {
                        // Long enough for the runners to end.
                        std::thread::sleep(Duration::from_millis(3));
                    }
                }
            });
        }
    });
    let deadline = Instant::now() + LIMIT;
    while RUN.load(Ordering::Relaxed) < 20_000 {
        assert!(Instant::now() < deadline, "{pump:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until every permit is back and no runner is left: nobody lingers for ever.
fn comes_to_rest(pump: &Pump, runtime: &crate::runtime::Runtime, cap: usize) {
    let deadline = Instant::now() + LIMIT;
    let runners = || pump.shared.state.lock().runners;
    while runtime.metrics().permits_free != cap || runners() > 0 {
        assert!(Instant::now() < deadline, "{:#?}", runtime.metrics());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Short calls, one after the other: a runner stays for them.
#[test]
fn one_at_a_time() {
    for detector in [Detector::Auto, Detector::Monitor] {
        let runtime = Builder::new_multi_thread().worker_threads(2).detector(detector).build();
        let runtime = runtime.unwrap();
        let _entered = runtime.enter();
        let pump = Pump::new(4);
        for pause in [0, 0, 0, 2] {
            for n in 0..500 {
                let (sender, done) = mpsc::channel();
                pump.submit(move || sender.send(n).unwrap());
                assert_eq!(done.recv_timeout(LIMIT), Ok(n));
                if n % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(pause));
                }
            }
        }
        comes_to_rest(&pump, &runtime, 512);
    }
}

/// The runtime's own cap is lower than the pump's limit.
#[test]
fn at_the_cap() {
    for cap in [1, 3] {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).max_async_threads(cap).build().unwrap();
        let _entered = runtime.enter();
        let (sender, done) = mpsc::channel();
        let pump = Pump::new(16);
        for n in 0..400 {
            let sender = sender.clone();
            pump.submit(move || {
                if n % 3 != 0 {
                    std::thread::sleep(Duration::from_micros(200));
                }
                sender.send(()).unwrap();
            });
        }
        (0..400).for_each(|_| done.recv_timeout(LIMIT).unwrap());
        comes_to_rest(&pump, &runtime, cap);
        // Others get their turn at it afterwards.
        let other = runtime.spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)));
        runtime.block_on(other).unwrap();
    }
}

/// Threads of a test's own, for a pump that nobody else has.
fn on_threads(start: fn(Runner), limit: usize) -> Pump {
    let linger = || Duration::from_millis(20);
    Pump::on_threads(Threads { start, linger, yield_now: std::thread::yield_now }, limit)
}

fn start(runner: Runner) {
    std::thread::spawn(|| runner.run());
}

fn wait_for_runners(pump: &Pump, count: usize) {
    let deadline = Instant::now() + LIMIT;
    while pump.shared.state.lock().runners != count {
        assert!(Instant::now() < deadline, "{pump:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn threads_of_its_own_end_when_there_is_nothing_to_do() {
    let pump = on_threads(start, 20);
    for count in [20, 1, 20] {
        wait_for_each_other(&pump, count);
        wait_for_runners(&pump, 0);
    }
}

#[test]
fn without_any_thread_it_is_run_in_the_call() {
    let pump = on_threads(Runner::run_here, 20);
    let caller = std::thread::current().id();
    for n in 0..10 {
        let (sender, done) = mpsc::channel();
        pump.submit(move || sender.send((n, std::thread::current().id())).unwrap());
        assert_eq!(done.try_recv(), Ok((n, caller)));
    }
    wait_for_runners(&pump, 0);
}

/// No call is held up by what somebody else can do, be it later.
#[test]
fn a_thread_that_cannot_be_had_is_no_loss_while_there_is_one() {
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    fn first_only(runner: Runner) {
        match REFUSED.fetch_add(1, Ordering::SeqCst) {
            0 => start(runner),
            _ => runner.run_here(),
        }
    }
    let pump = on_threads(first_only, 20);
    let (go, wait) = mpsc::channel::<()>();
    let (sender, done) = mpsc::channel();
    pump.submit(move || wait.recv().unwrap());
    wait_for_runners(&pump, 1);
    let caller = std::thread::current().id();
    for n in 0..10 {
        let sender = sender.clone();
        pump.submit(move || {
            assert_ne!(std::thread::current().id(), caller);
            sender.send(n).unwrap();
        });
    }
    assert!(done.try_recv().is_err());
    go.send(()).unwrap();
    for n in 0..10 {
        assert_eq!(done.recv_timeout(LIMIT), Ok(n));
    }
    assert!(REFUSED.load(Ordering::SeqCst) > 1, "the first thread was enough");
    wait_for_runners(&pump, 0);
}
