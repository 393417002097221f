//! How runtimes end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use threadlet::runtime::Runtime;
use threadlet::{threadlet, time};

use super::support::{Barrier, wait_until, within};
use super::{LIMIT, cores, dropped};

#[test]
fn shutdown_drops_futures_and_cancels_handles() {
    let runtime = cores(2);
    let handle = runtime.handle().clone();
    let (guard, count) = dropped();
    let mut guard = Some(guard);
    let waiting = runtime.spawn({
        let guard = guard.take();
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }
    });
    let sleeping = runtime.spawn(time::sleep(Duration::from_secs(3600)));
    let done = runtime.spawn(async { 8 });
    wait_until("one is done", || done.is_finished());
    drop(runtime);
    assert_eq!(count.load(Ordering::SeqCst), 1, "the future is gone when the runtime is");
    let late = handle.spawn(async { panic!("it must not run") });
    threadlet::block_on(async {
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert!(sleeping.await.unwrap_err().is_cancelled());
        assert_eq!(done.await.unwrap(), 8);
        let late: Result<(), _> = late.await;
        assert!(late.unwrap_err().is_cancelled(), "a spawn after the shutdown is cancelled");
    });
    assert_eq!(handle.metrics().tasks_alive, 0);
}

/// A plain thread that spawns while the runtime goes: each task runs or is cancelled. One that was
/// put into the queue after everybody had left stayed there.
#[test]
fn a_spawn_may_meet_the_shutdown() {
    for _ in 0..200 {
        let runtime = cores(1);
        let handle = runtime.handle().clone();
        let go = Arc::new(AtomicBool::new(false));
        let says = go.clone();
        let spawner = std::thread::spawn(move || {
            let mut handles = Vec::new();
            for nth in 0..50 {
                handles.push(handle.spawn(async move { nth }));
                says.store(true, Ordering::SeqCst);
            }
            handles
        });
        wait_until("it has begun", || go.load(Ordering::SeqCst));
        drop(runtime);
        let handles = spawner.join().unwrap();
        threadlet::block_on(async {
            for (nth, handle) in handles.into_iter().enumerate() {
                match time::timeout(LIMIT, handle).await.expect("it runs or is cancelled") {
                    Ok(value) => assert_eq!(value, nth),
                    Err(error) => assert!(error.is_cancelled()),
                }
            }
        });
    }
}

/// Dropped by one of its own tasks, the runtime cannot wait for itself: it does not, and ends.
#[test]
fn a_runtime_may_be_dropped_inside_a_task() {
    for runtime in [cores(1), cores(2)] {
        let handle = runtime.handle().clone();
        let (guard, count) = dropped();
        runtime.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        let (give, take) = oneshot::channel::<Runtime>();
        let dropper = runtime.spawn(async move { drop(take.await.unwrap()) });
        assert!(give.send(runtime).is_ok());
        wait_until("futures are dropped", || count.load(Ordering::SeqCst) == 1);
        wait_until("the dropper ends", || dropper.is_finished());
        wait_until("no task is left", || handle.metrics().tasks_alive == 0);
    }
}

/// Bounded, whatever still blocks.
#[test]
fn shutdown_timeout_is_bounded() {
    let runtime = cores(1);
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() });
    wait_until("it blocks", || runtime.metrics().async_threads == 1);
    let start = Instant::now();
    runtime.shutdown_timeout(Duration::from_millis(20));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(20) && took < LIMIT, "{took:?}");
    assert!(!blocked.is_finished());
    sender.send(()).unwrap();
    // The poll that was in the call runs to its end.
    wait_until("it ends by itself", || blocked.is_finished());
    assert!(threadlet::block_on(blocked).is_ok());
}

/// A server whose standard error was closed panicked as it said that a call had not ended, and then
/// waited for that call for ever.
#[test]
fn a_main_that_panics_waits_no_more_than_one_that_returns() {
    #[threadlet::main]
    async fn begin(barrier: Barrier, panics: bool) {
        let mine = barrier.clone();
        threadlet::task::spawn_blocking(move || mine.block()).detach();
        wait_until("it blocks", || barrier.blocked() == 1);
        assert!(!panics, "on purpose");
    }
    within(LIMIT, || {
        for panics in [false, true] {
            let barrier = Barrier::default();
            let mine = barrier.clone();
            let ended = std::panic::catch_unwind(move || begin(mine, panics));
            assert_eq!((ended.is_err(), barrier.blocked()), (panics, 1));
            barrier.let_go(1);
        }
    });
}
