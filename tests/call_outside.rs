//! Where there is no core to lend, an in-place call is a plain call.

mod support;

use std::cell::Cell;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{Barrier, build, detectors, foreign_block_on, ticker, wait_for_ticks, within};
use threadlet::runtime::{Builder, Detector, Handle, Runtime};
use threadlet::{task, threadlet};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `case` under each detector, with a limit: a stuck core cannot be unwound.
fn each(case: fn(Detector)) {
    for detector in detectors() {
        within(LIMIT, move || case(detector));
    }
}

fn one_core(detector: Detector) -> Runtime {
    build(Builder::new_multi_thread().worker_threads(1), detector)
}

/// All ways to make an in-place call, each of them once.
fn plain_calls() -> u32 {
    let mut calls = 0;
    threadlet::run(|| calls += 1);
    task::block_in_place(|| calls += 1);
    foreign_block_on(async { threadlet!(calls += 1) });
    foreign_block_on(async { threadlet!(will_block; calls += 1) });
    foreign_block_on(async { threadlet!(or_inline; calls += 1) });
    foreign_block_on(async { threadlet!(or_fail; calls += 1).unwrap() });
    calls
}

#[test]
fn on_a_plain_thread() {
    assert_eq!(plain_calls(), 6);
    // Alone it has a runtime to go to.
    let task = task::spawn_blocking(plain_calls);
    assert_eq!(foreign_block_on(task).unwrap(), 6);
}

#[test]
fn in_the_root_of_a_runtime_with_workers() {
    each(|detector| {
        let runtime = one_core(detector);
        assert_eq!(runtime.block_on(async { plain_calls() }), 6);
        assert_eq!(runtime.metrics().regions, 0, "the thread in `block_on` has no core");
    });
}

#[test]
fn nested() {
    each(|detector| {
        let runtime = one_core(detector);
        let task = runtime.spawn(async { threadlet!(threadlet::run(plain_calls)) });
        assert_eq!(runtime.block_on(task).unwrap(), 6);
        assert_eq!(runtime.metrics().regions, 1, "one region, whatever is in it");
    });
}

/// The core belongs to the thread, whatever runtime is entered on top of it.
#[test]
fn in_another_runtime_on_a_worker() {
    each(|detector| {
        let (outer, inner) = (one_core(detector), Arc::new(one_core(detector)));
        let (ticks, ticker) = ticker(&outer);
        let barrier = Barrier::default();
        let (mine, entered) = (barrier.clone(), inner.clone());
        let task = outer.spawn(async move {
            // Entered only.
            let guard = entered.enter();
            threadlet::run(|| mine.block());
            drop(guard);
            // In its `block_on`, where the wait is a region of the outer one.
            entered.block_on(async { threadlet!(mine.block()) });
            // In an executor that is none of ours.
            foreign_block_on(async { threadlet!(mine.block()) });
        });
        for nth in 1..=3 {
            support::wait_until("it blocks", || barrier.blocked() == 1 && barrier.came() == nth);
            wait_for_ticks("the outer runtime goes on", &ticks, 20);
            let value = inner.block_on(inner.spawn(async { 7 })).unwrap();
            assert_eq!(value, 7, "the inner runtime goes on");
            barrier.let_go(1);
        }
        outer.block_on(task).unwrap();
        assert_eq!(inner.metrics().regions, 0, "the inner runtime had no core at stake");
        assert!(outer.metrics().handoffs_blocked >= 1);
        ticker.abort();
    });
}

static LAST_CALLS: AtomicUsize = AtomicUsize::new(0);

struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        assert!(Handle::try_current().is_err(), "a thread that ends belongs to no runtime");
        LAST_CALLS.fetch_add(plain_calls() as usize, Ordering::Relaxed);
    }
}

thread_local! {
    static AT_THE_END: Cell<Option<AtTheEnd>> = const { Cell::new(None) };
}

#[test]
fn in_a_thread_local_destructor() {
    std::thread::spawn(|| AT_THE_END.set(Some(AtTheEnd))).join().unwrap();
    let mut threads = 6;
    assert_eq!(LAST_CALLS.load(Ordering::Relaxed), threads);
    for detector in detectors() {
        let runtime = one_core(detector);
        let set = || AT_THE_END.set(Some(AtTheEnd));
        runtime.block_on(runtime.spawn(async move { threadlet!(set()) })).unwrap();
        drop(runtime);
        threads += 6;
        assert_eq!(LAST_CALLS.load(Ordering::Relaxed), threads, "on a worker that ends");
    }
}

/// Forks, and has the child run `child` and end with its answer. Returns that, or the signal that
/// killed it as a negative number.
fn in_a_forked_child(child: impl FnOnce() -> i32) -> i32 {
    match fork() {
        0 => end(child()),
        pid => wait_for(pid),
    }
}

fn fork() -> i32 {
    // SAFETY: the child makes plain calls only, and ends by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    pid
}

fn end(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is ours to write.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

/// What a child does: it has no runtime, and calls are plain calls.
fn child() -> i32 {
    let outside = Handle::try_current().is_err();
    plain_calls() as i32 + 100 * i32::from(outside)
}

/// Enough regions for the thread to have its ring armed.
fn warm_up() {
    (0..20).for_each(|_| threadlet::run(|| ()));
}

#[test]
fn after_a_fork_in_the_child() {
    each(|detector| {
        let runtime = one_core(detector);
        let task = runtime.spawn(async {
            warm_up();
            let in_a_poll = in_a_forked_child(child);
            let in_a_region = threadlet!(in_a_forked_child(child));
            let handed_over = threadlet!(will_block; in_a_forked_child(child));
            (in_a_poll, in_a_region, handed_over)
        });
        assert_eq!(runtime.block_on(task).unwrap(), (106, 106, 106));
        let in_the_root = runtime.block_on(async { in_a_forked_child(child) });
        assert_eq!(in_the_root, 106);
        let mut builder = Builder::new_current_thread();
        let runtime = build(&mut builder, detector);
        assert_eq!(runtime.block_on(async { threadlet!(in_a_forked_child(child)) }), 106);
    });
}

#[test]
fn after_a_fork_the_child_has_a_global_runtime_of_its_own() {
    if !support::alone(LIMIT) {
        return;
    }
    let ask = || support::foreign_block_on(threadlet::task::spawn_blocking(|| 7)).unwrap();
    assert_eq!(ask(), 7);
    for _ in 0..2 {
        assert_eq!(in_a_forked_child(|| 100 + ask()), 107);
    }
    assert_eq!(ask(), 7, "the parent's is as it was");
}

/// The child returns from the region in which it was made: that is nobody's region any more.
#[test]
fn after_a_fork_the_child_may_leave_the_region() {
    each(|detector| {
        let runtime = one_core(detector);
        let (mut reader, writer) = support::os::pipe();
        let task = runtime.spawn(async move {
            warm_up();
            for slept in [false, true] {
                let pid = threadlet!({
                    if slept {
                        // The core is gone, and with it what the child would have to give back.
                        std::thread::sleep(Duration::from_millis(30));
                    }
                    fork()
                });
                if pid == 0 {
                    end(child());
                }
                assert_eq!(wait_for(pid), 106, "slept: {slept}");
            }
            // A child that kept the end would keep the reader waiting.
            drop(writer);
        });
        runtime.block_on(task).unwrap();
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    });
}
