//! Bugs this crate once had: the end of a runtime, and `fork`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use threadlet::runtime::{Builder, Detector, Handle, Runtime};
use threadlet::{threadlet, time};

use super::support::{alone, child, is_child, os, run_within, wait_until, within};
use super::{LIMIT, one_core};

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose: a waker of the user's");
    }
}

#[test]
fn a_waker_that_panics_does_not_stop_the_shutdown() {
    within(LIMIT, || {
        let runtime = Builder::new_multi_thread().thread_name("waker-panics").build().unwrap();
        let guard = runtime.enter();
        let mut sleep = pin!(time::sleep(Duration::from_secs(100)));
        let waker = Waker::from(Arc::new(Panics));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(guard);
        drop(runtime);
        let left = || os::thread_names().iter().any(|name| name.starts_with("waker-panics"));
        wait_until("all threads have ended", || !left());
    });
}

/// A timer in a `block_on` inside a task looked like one of that task, which is dropped at the end.
/// It never fired, and the end waited for it.
#[test]
fn a_nested_block_on_does_not_outlive_its_timers() {
    within(LIMIT, || {
        let runtime = one_core();
        let handle = runtime.handle().clone();
        let nested = runtime.spawn_blocking(move || {
            handle.block_on(time::sleep(Duration::from_secs(3600)));
        });
        wait_until("it waits", || !runtime.handle().blocked().is_empty());
        drop(runtime);
        assert!(threadlet::block_on(nested).unwrap_err().is_panic());
    });
}

#[test]
fn a_root_does_not_outlive_its_timers() {
    within(LIMIT, || {
        for builder in [&mut Builder::new_current_thread(), &mut Builder::new_multi_thread()] {
            let runtime = builder.build().unwrap();
            let handle = runtime.handle().clone();
            let root = std::thread::spawn(move || {
                handle.block_on(time::sleep(Duration::from_secs(3600)));
            });
            std::thread::sleep(Duration::from_millis(50));
            drop(runtime);
            assert!(root.join().is_err(), "it panics rather than wait for ever");
        }
    });
}

/// In a current-thread runtime the thread in `block_on` is none of those that the end waits for.
#[test]
fn a_runtime_may_go_while_another_thread_blocks_in_block_on() {
    within(LIMIT, || {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        let root = std::thread::spawn(move || {
            handle.block_on(async {
                threadlet!(will_block; std::thread::sleep(Duration::from_millis(300)));
            });
        });
        wait_until("it is blocked", || !runtime.handle().blocked().is_empty());
        drop(runtime);
        root.join().unwrap();
    });
}

struct Blocks(Handle, Arc<AtomicBool>);

impl Drop for Blocks {
    fn drop(&mut self) {
        self.0.block_on(async {});
        self.1.store(true, Ordering::SeqCst);
    }
}

/// What is spawned on a runtime that has ended is dropped at once, in a place where the list of
/// entered runtimes was borrowed.
#[test]
fn what_is_spawned_too_late_may_enter_a_runtime_when_it_is_dropped() {
    let (living, ended) = (one_core(), one_core());
    let handle = ended.handle().clone();
    drop(ended);
    let dropped = Arc::new(AtomicBool::new(false));
    let blocks = Blocks(living.handle().clone(), dropped.clone());
    let _entered = handle.enter();
    let task = threadlet::spawn(async move { drop(blocks) });
    drop(task);
    assert!(dropped.load(Ordering::SeqCst), "its drop ran to its end");
}

/// A runtime that is dropped on one of its own threads does not wait; the monitor is one, too.
#[test]
fn a_hook_may_drop_its_runtime() {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    let gone = Arc::new(AtomicBool::new(false));
    let mine = gone.clone();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .detector(Detector::Monitor)
        .on_handoff(move |_| {
            let runtime = RUNTIME.lock().unwrap().take();
            if let Some(runtime) = runtime {
                drop(runtime);
                mine.store(true, Ordering::SeqCst);
            }
        })
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    *RUNTIME.lock().unwrap() = Some(runtime);
    drop(handle.spawn(async { threadlet!(std::thread::sleep(Duration::from_millis(300))) }));
    wait_until("the hook has dropped it", || gone.load(Ordering::SeqCst));
}

thread_local! {
    static LEFT: RefCell<Option<Box<dyn std::any::Any>>> = const { RefCell::new(None) };
}

struct Slow(Duration);

impl Drop for Slow {
    fn drop(&mut self) {
        std::thread::sleep(self.0);
    }
}

/// Destructors of thread-locals run after a thread has said goodbye.
#[test]
fn a_limit_on_shutdown_holds_for_destructors_of_thread_locals() {
    within(LIMIT, || {
        let slow = || LEFT.with_borrow_mut(|left| *left = Some(Box::new(Slow(LIMIT / 2))));
        let runtime = Builder::new_multi_thread().worker_threads(1).on_thread_start(slow).build();
        let runtime = runtime.unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        runtime.shutdown_timeout(Duration::from_secs(1));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}

struct TakesRuntime(Arc<Mutex<Option<Runtime>>>);

impl Drop for TakesRuntime {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap().take());
    }
}

/// A thread that joined itself.
#[test]
fn a_thread_local_of_a_spare_may_drop_its_runtime() {
    within(LIMIT, || {
        let place = Arc::new(Mutex::new(None));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .min_spare_threads(1)
            .thread_keep_alive(Duration::from_millis(20))
            .build()
            .unwrap();
        let barrier = super::support::Barrier::default();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (place, barrier) = (place.clone(), barrier.clone());
                runtime.spawn_blocking(move || {
                    LEFT.with_borrow_mut(|left| *left = Some(Box::new(TakesRuntime(place))));
                    barrier.block();
                })
            })
            .collect();
        wait_until("all are blocked", || runtime.metrics().async_threads == 8);
        let handle = runtime.handle().clone();
        *place.lock().unwrap() = Some(runtime);
        barrier.let_go(8);
        for task in tasks {
            // Some may be cancelled by the end.
            let _ = threadlet::block_on(task);
        }
        wait_until("a spare that retired has dropped it", || place.lock().unwrap().is_none());
        drop(handle);
    });
}

/// Each task wakes another when it is dropped: as deep a stack as there were tasks, where no thread
/// of the runtime was left (or had come) to do it. It is far away, so that it still sleeps then,
/// whichever end they are dropped from.
#[test]
fn a_chain_of_tasks_is_dropped_one_after_the_other() {
    if !alone(LIMIT) {
        return;
    }
    os::become_nobody();
    // A spare may be quicker than the limit: then there is somebody to do it, and it is another case.
    let nobody_else = (0..20).any(|_| drops_a_chain());
    assert!(nobody_else, "there was always somebody else to do it");
}

/// Whether there was no thread of the runtime to do it.
fn drops_a_chain() -> bool {
    const TASKS: usize = 100_000;
    let runtime = Builder::new_current_thread().detector(Detector::Off).build().unwrap();
    let limit = os::set_thread_limit(0);
    if runtime.metrics().spares > 0 {
        os::set_thread_limit(limit);
        return false;
    }
    runtime.block_on(async {
        let (mut tell, told): (Vec<_>, Vec<_>) =
            (0..TASKS).map(|_| futures::channel::oneshot::channel::<()>()).unzip();
        tell.rotate_left(TASKS / 2);
        for (tell, told) in tell.into_iter().zip(told) {
            threadlet::spawn(async move {
                let _tell = tell;
                let _ = told.await;
            });
        }
        for _ in 0..TASKS {
            threadlet::task::yield_now().await;
        }
    });
    let nobody_else = runtime.metrics().spares == 0;
    drop(runtime);
    os::set_thread_limit(limit);
    nobody_else
}

#[test]
fn a_name_that_no_thread_can_have_is_refused() {
    for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
        let error = builder.thread_name("a\0b").build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("thread_name"), "{error}");
    }
}

/// The report of a cap that stalls goes to standard error, which may be closed or full.
#[test]
fn a_report_that_cannot_be_written_is_no_reason_to_end() {
    if is_child() {
        return stall_at_the_cap();
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = child().stderr(full).stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{status}");
    // It is said once, and not again every second.
    let told = run_within(LIMIT, &mut child());
    assert_eq!(told.output.matches("wait for a permit").count(), 1, "{}", told.output);
    assert!(told.output.contains("own_shutdown.rs:"), "it names the place: {}", told.output);
}

fn stall_at_the_cap() {
    let runtime =
        Builder::new_multi_thread().worker_threads(1).max_async_threads(1).build().unwrap();
    let call = || async { threadlet!(will_block; std::thread::sleep(Duration::from_millis(3300))) };
    let tasks = [(); 2].map(|()| runtime.spawn(call()));
    std::thread::sleep(Duration::from_millis(3100));
    runtime.shutdown_background();
    drop(tasks);
}

/// What a thread-local of the user's does at the end of its thread: it wakes a task, or drops a
/// runtime. The places where a shutdown keeps what it wakes were thread-locals that are destroyed, too,
/// and before it: to touch one then ended the process.
#[test]
fn a_thread_local_may_wake_a_task_and_drop_a_runtime() {
    if !alone(LIMIT) {
        return;
    }
    struct AtEnd(RefCell<Option<Box<dyn FnOnce()>>>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(|end| end());
        }
    }
    thread_local! {
        static AT_END: AtEnd = const { AtEnd(RefCell::new(None)) };
    }
    let at_end = |end: Box<dyn FnOnce()>| AT_END.with(|at| *at.0.borrow_mut() = Some(end));

    let runtime = one_core();
    let (send, receive) = futures::channel::oneshot::channel();
    let waits = runtime.spawn(receive);
    let other = runtime.handle().clone();
    let waker = std::thread::spawn(move || {
        at_end(Box::new(|| send.send(7).unwrap()));
        // Behind it, so that all of this thread's places of ours go first.
        drop(other.spawn(async {}));
    });
    waker.join().unwrap();
    assert_eq!(runtime.block_on(waits).unwrap(), Ok(7));

    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let (dropped, was_dropped) = futures::channel::oneshot::channel::<()>();
        let owner = std::thread::spawn(move || {
            let mine = Arc::new(Mutex::new(None::<Runtime>));
            let ends = mine.clone();
            at_end(Box::new(move || drop(ends.lock().unwrap().take())));
            let runtime = builder.build().unwrap();
            runtime.spawn(async move {
                let _dropped = dropped;
                std::future::pending::<()>().await;
            });
            runtime.block_on(threadlet::task::yield_now());
            *mine.lock().unwrap() = Some(runtime);
        });
        owner.join().unwrap();
        assert!(runtime.block_on(was_dropped).is_err(), "its task was dropped");
    }
}
