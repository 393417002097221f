//! `unblock`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use threadlet::runtime::Builder;
use threadlet::{task, time, unblock};

use super::support::{Barrier, build, foreign_block_on, wait_until};
use super::{Drops, each, each_task, stuck, text_of};

#[test]
fn gives_the_value() {
    each_task(|| async { assert_eq!(unblock(|| 7).await, 7) });
    assert_eq!(foreign_block_on(unblock(|| 7)), 7, "on a plain thread");
}

#[test]
fn a_panic_comes_out_of_the_future() {
    each_task(|| async {
        let call = unblock(|| -> u8 { panic!("in the closure") });
        let payload = std::panic::AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
        assert_eq!(text_of(&*payload), "in the closure");
    });
}

#[test]
fn the_task_goes_on_meanwhile() {
    each_task(|| async {
        let barrier = Barrier::default();
        let mine = barrier.clone();
        let call = unblock(move || mine.block());
        time::timeout(Duration::from_millis(20), call).await.unwrap_err();
        barrier.let_go(1);
    });
}

#[test]
fn one_that_has_not_started_goes_with_its_future() {
    each(|detector| {
        let (runtime, barrier) = stuck(detector);
        let (drops, ran) = (Drops::default(), Arc::new(AtomicBool::new(false)));
        let entered = runtime.enter();
        let closure = || {
            let (counted, ran) = (drops.one(), ran.clone());
            move || {
                ran.store(true, Ordering::Relaxed);
                drop(counted);
            }
        };
        drop(unblock(closure()));
        assert_eq!(super::poll_once(unblock(closure())), std::task::Poll::Pending);
        drop(entered);
        barrier.let_go(3);
        wait_until("they are dropped", || drops.count() == 2);
        assert!(!ran.load(Ordering::Relaxed));
        // The one that is detached runs.
        let entered = runtime.enter();
        drop(task::spawn_blocking(closure()));
        drop(entered);
        wait_until("it has run", || ran.load(Ordering::Relaxed));
    });
}

#[test]
fn one_that_has_started_runs_on() {
    each(|detector| {
        let runtime = build(Builder::new_multi_thread().worker_threads(1), detector);
        let (drops, barrier) = (Drops::default(), Barrier::default());
        let (mine, value) = (barrier.clone(), drops.one());
        let entered = runtime.enter();
        let call = unblock(move || {
            mine.block();
            value
        });
        wait_until("it has started", || barrier.blocked() == 1);
        drop(call);
        assert_eq!(drops.count(), 0);
        barrier.let_go(1);
        wait_until("its value is dropped", || drops.count() == 1);
        drop(entered);
    });
}

#[test]
fn of_a_runtime_that_was_shut_down() {
    each(|detector| {
        let (runtime, barrier) = stuck(detector);
        let entered = runtime.enter();
        let call = unblock(|| 7);
        drop(entered);
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        barrier.let_go(3);
        let call = std::panic::AssertUnwindSafe(call).catch_unwind();
        let payload = foreign_block_on(call).unwrap_err();
        assert!(text_of(&*payload).contains("shut down"));
        // From here on there is the global one.
        let _entered = handle.enter();
        assert_eq!(foreign_block_on(unblock(|| 7)), 7);
    });
}
