//! Bugs this crate once had: cores, timers and hogs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::{task, threadlet, time};

use super::support::{self, alone, detectors, unpredicted, wait_until, within};
use super::{LIMIT, one_core};

/// The root was polled while its thread still counted as searching. If it blocked, whoever pushed
/// relied on that search, and a task waited beside an idle core.
#[test]
fn a_root_that_blocks_does_not_count_as_searching() {
    for detector in detectors() {
        within(LIMIT, move || {
            for _ in 0..4 {
                let runtime = Builder::new_current_thread().detector(detector).build().unwrap();
                let handle = runtime.handle().clone();
                let (tell, told) = signal();
                let root = std::thread::spawn(move || {
                    handle.block_on(async {
                        told.await;
                        threadlet!(std::thread::sleep(Duration::from_millis(600)));
                    });
                });
                std::thread::sleep(Duration::from_millis(30));
                // The sleeper is taken off the list for a task, and then its root is woken, too.
                drop(runtime.spawn(async {}));
                tell();
                std::thread::sleep(Duration::from_millis(200));
                let (ran, done) = mpsc::channel();
                let pushed = Instant::now();
                drop(runtime.spawn(async move { ran.send(Instant::now()).unwrap() }));
                let late = done.recv_timeout(LIMIT).unwrap() - pushed;
                assert!(late < Duration::from_millis(250), "it waited {late:?} beside a free core");
                root.join().unwrap();
            }
        });
    }
}

/// A future that is ready once the closure is called, from any thread.
fn signal() -> (impl FnOnce() + Send, impl Future<Output = ()> + Send) {
    let (tell, told) = futures::channel::oneshot::channel::<()>();
    (move || tell.send(()).unwrap(), async move { told.await.unwrap() })
}

/// Of two threads in `block_on` one has the only core. When it left, the core went home and nobody
/// told the other: timers, sockets and tasks stood still.
#[test]
fn the_core_goes_to_the_next_thread_in_block_on() {
    within(LIMIT, || {
        let runtime = Arc::new(Builder::new_current_thread().build().unwrap());
        let mine = runtime.clone();
        let first = std::thread::spawn(move || {
            mine.block_on(time::sleep(Duration::from_millis(100)));
        });
        std::thread::sleep(Duration::from_millis(30));
        let others: Vec<_> = (0..3)
            .map(|nth| {
                let mine = runtime.clone();
                std::thread::spawn(move || {
                    let task = mine.spawn(time::sleep(Duration::from_millis(150 + 50 * nth)));
                    mine.block_on(async {
                        time::sleep(Duration::from_millis(120)).await;
                        task.await.unwrap();
                    });
                })
            })
            .collect();
        first.join().unwrap();
        for other in others {
            other.join().unwrap();
        }
    });
}

/// A poll that computes for long and could not be claimed at once, for want of a permit, was never
/// claimed again.
#[test]
fn a_long_poll_is_claimed_again_when_there_is_a_permit() {
    for detector in detectors() {
        within(LIMIT, move || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(2).max_async_threads(1).detector(detector);
            let runtime = builder.build().unwrap();
            let barrier = support::Barrier::default();
            let mine = barrier.clone();
            let holder = runtime.spawn(async move { threadlet!(will_block; mine.block()) });
            wait_until("the permit is taken", || runtime.metrics().permits_free == 0);
            let (ran, done) = mpsc::channel();
            let long = runtime.spawn(async move {
                compute(Duration::from_millis(600), || threadlet::run(|| std::hint::black_box(())));
                let pushed = Instant::now();
                drop(threadlet::spawn(async move { ran.send(pushed.elapsed()).unwrap() }));
                compute(Duration::from_secs(3), || threadlet::run(|| std::hint::black_box(())));
            });
            std::thread::sleep(Duration::from_millis(200));
            barrier.let_go(1);
            runtime.block_on(holder).unwrap();
            let late = done.recv_timeout(LIMIT).unwrap();
            assert!(late < Duration::from_secs(2), "{late:?}: {:#?}", runtime.metrics());
            runtime.block_on(long).unwrap();
        });
    }
}

/// How late a millisecond's sleep is beside `load`, at worst. One core.
fn worst_tick(runtime: &Runtime, load: impl Future<Output = ()> + Send + 'static) -> Duration {
    let over = Arc::new(AtomicBool::new(false));
    let mine = over.clone();
    let ticker = runtime.spawn(async move {
        let mut worst = Duration::ZERO;
        while !mine.load(Ordering::Relaxed) {
            let start = Instant::now();
            time::sleep(Duration::from_millis(1)).await;
            worst = worst.max(start.elapsed());
        }
        worst
    });
    std::thread::sleep(Duration::from_millis(20));
    runtime.block_on(runtime.spawn(load)).unwrap();
    over.store(true, Ordering::Relaxed);
    runtime.block_on(ticker).unwrap()
}

fn compute(time: Duration, mut each: impl FnMut()) {
    let start = Instant::now();
    while start.elapsed() < time {
        let step = Instant::now();
        while step.elapsed() < Duration::from_micros(500) {
            std::hint::spin_loop();
        }
        each();
    }
}

/// Each task that a computation spawns changes the word of its core, and so does each short call:
/// to a monitor that compares words it looked like many short polls.
#[test]
fn a_computation_that_spawns_or_makes_calls_is_a_hog_too() {
    const LONG: Duration = Duration::from_secs(1);
    for detector in detectors() {
        within(LIMIT, move || {
            let runtime = || {
                Builder::new_multi_thread().worker_threads(1).detector(detector).build().unwrap()
            };
            let in_a_region = worst_tick(&runtime(), async {
                threadlet::run(|| compute(LONG, || drop(threadlet::spawn(async {}))));
            });
            let unmarked = worst_tick(&runtime(), async {
                compute(LONG, || drop(threadlet::spawn(async {})));
            });
            let calls = worst_tick(&runtime(), async {
                compute(LONG, || threadlet::run(|| std::hint::black_box(())));
            });
            let worst = [in_a_region, unmarked, calls];
            support::say(&format!("worst ticks beside a second of computing: {worst:?}"));
            assert!(worst.iter().all(|late| *late < LONG / 2), "{worst:?}");
        });
    }
}

/// Timers were looked at every 61 polls, however long these were.
#[test]
fn a_timer_is_in_time_beside_long_polls() {
    within(LIMIT, || {
        let runtime = one_core();
        let over = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let over = over.clone();
                runtime.spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        compute(Duration::from_millis(5), || {});
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        let worst = worst_tick(&runtime, time::sleep(Duration::from_secs(1)));
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        // Four polls of 5 ms may stand before it, twice.
        assert!(worst < Duration::from_millis(200), "a millisecond took {worst:?}");
    });
}

/// The monitor kept the state file of every thread it had ever suspected.
#[test]
fn the_monitor_keeps_few_files_open() {
    if !alone(LIMIT) {
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    within(LIMIT, move || {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .detector(threadlet::runtime::Detector::Monitor)
            .thread_keep_alive(Duration::from_millis(20))
            .build()
            .unwrap();
        let before = open();
        let barrier = support::Barrier::default();
        let tasks: Vec<_> = (0..150)
            .map(|_| {
                let barrier = barrier.clone();
                runtime.spawn(unpredicted(move || barrier.block()))
            })
            .collect();
        wait_until("all are blocked", || runtime.metrics().async_threads == 150);
        barrier.let_go(150);
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        let after = open();
        assert!(after < before + 100, "{before} descriptors before, {after} after");
    });
}

/// Handles of threads were forgotten in order, and the first ones never ended: each spare that
/// retired left its stack behind.
#[test]
fn spares_that_retire_leave_no_stack_behind() {
    // Alone, because other tests have threads as well.
    if !alone(LIMIT) {
        return;
    }
    fn mapped() -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().count()
    }
    within(LIMIT, || {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .min_spare_threads(1)
            .thread_keep_alive(Duration::from_millis(5))
            .build()
            .unwrap();
        let spares = Arc::new(AtomicUsize::new(0));
        let round = || {
            let barrier = support::Barrier::default();
            let tasks: Vec<_> = (0..30)
                .map(|_| {
                    let barrier = barrier.clone();
                    runtime.spawn_blocking(move || barrier.block())
                })
                .collect();
            wait_until("all are blocked", || runtime.metrics().async_threads == 30);
            barrier.let_go(30);
            for task in tasks {
                runtime.block_on(task).unwrap();
            }
            wait_until("the spares have retired", || runtime.metrics().spares <= 2);
            spares.fetch_add(1, Ordering::Relaxed);
        };
        (0..3).for_each(|_| round());
        let before = mapped();
        (0..10).for_each(|_| round());
        let after = mapped();
        // Two mappings a stack: the ten rounds would have left six hundred.
        assert!(after < before + 200, "{before} mappings before, {after} after");
    });
}

/// `blocked` named the task that the thread had run before.
#[test]
fn a_blocked_root_is_not_taken_for_the_last_task() {
    within(LIMIT, || {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        let (send, receive) = mpsc::channel::<()>();
        let root = std::thread::spawn(move || {
            handle.block_on(async move {
                threadlet::spawn(async {}).await.unwrap();
                unpredicted(move || receive.recv().unwrap()).await;
            });
        });
        wait_until("the root is blocked", || !runtime.handle().blocked().is_empty());
        let blocked = runtime.handle().blocked();
        assert_eq!((blocked[0].task, &blocked[0].spawned_at), (None, &None), "{blocked:?}");
        send.send(()).unwrap();
        root.join().unwrap();
    });
}

/// Guards that are dropped in the order in which they came left the thread in the first runtime.
#[test]
fn guards_may_go_in_any_order() {
    let (one, two) = (one_core(), one_core());
    let first = one.enter();
    let second = two.enter();
    drop(first);
    assert_eq!(Handle::current().id(), two.handle().id());
    drop(second);
    assert!(Handle::try_current().is_err(), "both are left");
}

/// A file descriptor that is read with no room for a byte.
#[test]
fn an_empty_read_does_not_wait() {
    use futures::io::AsyncReadExt;
    let runtime = one_core();
    within(LIMIT, move || {
        runtime.block_on(async {
            let listener = threadlet::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut stream = threadlet::net::TcpStream::connect(address).await.unwrap();
            let _quiet = listener.accept().await.unwrap();
            assert_eq!(stream.try_read(&mut []).unwrap(), 0);
            assert_eq!(stream.read(&mut []).await.unwrap(), 0);
            assert_eq!(stream.peek(&mut []).await.unwrap(), 0);
        });
    });
}
