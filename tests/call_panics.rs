//! A panic reaches whoever waits for it, and everything is as before.

mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use support::{Barrier, build, detectors, ticker, unpredicted, wait_for_ticks, wait_until, within};
use threadlet::runtime::{Builder, Runtime};
use threadlet::task::JoinError;
use threadlet::threadlet;

const LIMIT: Duration = Duration::from_secs(60);
const CAP: usize = 4;

/// Runs `case` on runtimes of one core, under each detector, and demands that each is whole
/// afterwards.
fn each(case: fn(&Runtime)) {
    // No backtraces: to find their lines takes so long that a panic is a hog.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    for detector in detectors() {
        within(LIMIT, move || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).max_async_threads(CAP);
            let runtime = build(&mut builder, detector);
            for _ in 0..3 {
                case(&runtime);
                is_whole(&runtime);
            }
        });
    }
}

/// Tasks run, blocks are seen, permits are back, and no task is left.
fn is_whole(runtime: &Runtime) {
    wait_until("every permit is back and no task is left", || {
        let metrics = runtime.metrics();
        (metrics.permits_free, metrics.async_threads, metrics.tasks_alive) == (CAP, 0, 0)
    });
    let barrier = Barrier::default();
    let mine = barrier.clone();
    let before = runtime.metrics().handoffs_blocked;
    let task = runtime.spawn(unpredicted(move || mine.block()));
    wait_until("a block is seen", || runtime.metrics().handoffs_blocked > before);
    let (ticks, ticker) = ticker(runtime);
    wait_for_ticks("a ticker ticks beside it", &ticks, 3);
    ticker.abort();
    barrier.let_go(1);
    runtime.block_on(task).unwrap();
    wait_until("no task is left", || runtime.metrics().tasks_alive == 0);
}

/// The panic of a task, as its awaiter gets it.
#[track_caller]
fn panics<F>(runtime: &Runtime, future: F, text: &str) -> JoinError
where
    F: Future<Output = ()> + Send + 'static,
{
    let error = runtime.block_on(runtime.spawn(future)).expect_err("it panicked");
    assert!(error.is_panic() && !error.is_cancelled(), "{error}");
    assert!(error.to_string().contains(text), "{error}");
    error
}

fn sleep() {
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn in_a_poll() {
    each(|runtime| {
        panics(runtime, async { panic!("in a poll") }, "in a poll");
        let later = async {
            threadlet::task::yield_now().await;
            panic!("in a later poll");
        };
        panics(runtime, later, "in a later poll");
    });
}

#[test]
fn in_a_region() {
    each(|runtime| {
        panics(runtime, async { threadlet!(panic!("in a region")) }, "in a region");
        let run = async { threadlet::run(|| panic!("in run")) };
        panics(runtime, run, "in run");
        let task = runtime.spawn_blocking(|| panic!("in spawn_blocking"));
        let error = runtime.block_on(task).expect_err("it panicked");
        assert!(error.to_string().contains("in spawn_blocking"), "{error}");
    });
}

#[test]
fn in_a_region_without_a_core() {
    each(|runtime| {
        let seen = || runtime.metrics().handoffs_blocked + runtime.metrics().handoffs_hog;
        let before = seen();
        let blocked = async {
            threadlet!({
                sleep();
                panic!("after a block");
            });
        };
        panics(runtime, blocked, "after a block");
        assert!(seen() > before, "it had lost its core");
        let handed_over = async { threadlet!(will_block; panic!("handed over")) };
        panics(runtime, handed_over, "handed over");
        let coreless = async {
            threadlet!(sleep());
            threadlet!(panic!("in the next region"));
        };
        panics(runtime, coreless, "in the next region");
    });
}

#[test]
fn in_a_nested_region() {
    each(|runtime| {
        let nested = async {
            threadlet!(threadlet::run(|| threadlet::run(|| panic!("deep inside"))));
        };
        panics(runtime, nested, "deep inside");
        // Caught on the way, the outer region goes on, and is one still. (Printing the panic may
        // take so long that it is a hog.)
        let seen = || runtime.metrics().handoffs_blocked + runtime.metrics().handoffs_hog;
        let before = seen();
        let caught = runtime.spawn(async {
            threadlet!({
                let inner = || threadlet::run(|| panic!("caught"));
                let caught = catch_unwind(AssertUnwindSafe(inner));
                sleep();
                caught.is_err()
            })
        });
        assert!(runtime.block_on(caught).unwrap());
        assert!(seen() > before, "its block was seen");
    });
}

/// Panics when it is dropped, unless the thread panics already.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

/// A future that is ready at once, or never, and panics when it is dropped.
struct Explosive(bool, #[allow(dead_code, reason = "it is there to be dropped")] Bomb);

impl Future for Explosive {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn in_the_drop_of_a_finished_future() {
    each(|runtime| {
        panics(runtime, Explosive(true, Bomb("when it was dropped")), "when it was dropped");
    });
}

#[test]
fn in_the_drop_of_an_aborted_future() {
    each(|runtime| {
        let task = runtime.spawn(Explosive(false, Bomb("when it was aborted")));
        task.abort();
        let error = runtime.block_on(task).expect_err("it was aborted");
        assert!(error.is_panic(), "{error}");
        assert!(error.to_string().contains("when it was aborted"), "{error}");
    });
}

#[test]
fn in_the_drop_of_an_output() {
    each(|runtime| {
        // Nobody waits: it is dropped by the runtime.
        drop(runtime.spawn(async { Bomb("nobody wanted it") }));
        // Somebody waits: it is that one's.
        let bomb = runtime.block_on(runtime.spawn(async { Bomb("somebody has it") })).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(bomb))).is_err());
        // In a region's own value, dropped by the poll.
        let dropped = async { drop(threadlet!(Bomb("as a region's value"))) };
        panics(runtime, dropped, "as a region's value");
    });
}

#[test]
fn with_a_payload_that_panics_too() {
    each(|runtime| {
        drop(runtime.spawn(async { panic_any(Bomb("in the payload")) }));
        let task = runtime.spawn(async { threadlet!(panic_any(Bomb("in the payload"))) });
        let payload = runtime.block_on(task).expect_err("it panicked").into_panic();
        assert!(payload.is::<Bomb>());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(payload))).is_err());
    });
}

/// Panics when it is woken.
struct Alarm;

impl std::task::Wake for Alarm {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("in a waker");
    }
}

#[test]
fn in_a_waker() {
    each(|runtime| {
        // A timer, whose waker runs on the worker that finds it due.
        let task = runtime.spawn(async {
            let mut sleep = Box::pin(threadlet::time::sleep(Duration::from_millis(3)));
            let waker = std::sync::Arc::new(Alarm).into();
            let _ = sleep.as_mut().poll(&mut Context::from_waker(&waker));
            threadlet::time::sleep(Duration::from_millis(8)).await;
        });
        runtime.block_on(task).unwrap();
        // A permit, granted by whatever thread gives one back.
        let barrier = Barrier::default();
        let calls: Vec<_> = (0..CAP)
            .map(|_| {
                let mine = barrier.clone();
                runtime.spawn(async move { threadlet!(will_block; mine.block()) })
            })
            .collect();
        wait_until("all permits are taken", || runtime.metrics().permits_free == 0);
        let waits = runtime.spawn(async {
            let mut call = Box::pin(async { threadlet!(will_block; ()) });
            let waker = std::sync::Arc::new(Alarm).into();
            assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            threadlet::time::sleep(Duration::from_millis(20)).await;
            call.await;
        });
        wait_until("it waits at the gate", || runtime.metrics().gate_waiters == 1);
        barrier.let_go(CAP);
        for call in calls {
            runtime.block_on(call).expect("it is not this call's panic");
        }
        runtime.block_on(waits).unwrap();
    });
}

#[test]
fn in_the_root_of_block_on() {
    for detector in detectors() {
        within(LIMIT, move || {
            for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
                let runtime = build(builder.max_async_threads(CAP), detector);
                for _ in 0..3 {
                    let root = || runtime.block_on(async { threadlet!(panic!("in the root")) });
                    let payload = catch_unwind(AssertUnwindSafe(root)).expect_err("it panicked");
                    assert_eq!(payload.downcast_ref(), Some(&"in the root"));
                    let value = runtime.block_on(async { threadlet!(7) });
                    assert_eq!(value, 7);
                    let value = runtime.block_on(async { threadlet::spawn(async { 8 }).await });
                    assert_eq!(value.unwrap(), 8);
                }
            }
        });
    }
}
