//! Bad input, and an operating system that refuses.

mod support;

use std::io;
use std::time::Duration;

use support::{
    Barrier, alone, child, in_time, is_child, os, passes, skip, ticker, unpredicted,
    wait_for_ticks, wait_until, within,
};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::{threadlet, time};

const LIMIT: Duration = Duration::from_secs(60);

fn one_core() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    builder
}

fn refused(builder: &mut Builder) -> io::Error {
    let error = builder.build().expect_err("this cannot be built");
    wait_until("nothing is left running", || runtime_threads() == 0);
    error
}

fn runtime_threads() -> usize {
    os::thread_names().iter().filter(|name| name.starts_with("fault-rt")).count()
}

/// A block is seen, whatever else does not work.
fn a_block_is_seen(runtime: &Runtime) {
    let barrier = Barrier::default();
    let (ticks, ticker) = ticker(runtime);
    let mine = barrier.clone();
    let before = runtime.metrics().handoffs_blocked;
    let task = runtime.spawn(unpredicted(move || mine.block()));
    wait_until("the block is seen", || runtime.metrics().handoffs_blocked > before);
    wait_for_ticks("the ticker goes on", &ticks, 10);
    barrier.let_go(1);
    runtime.block_on(task).unwrap();
    ticker.abort();
}

#[test]
fn a_count_of_zero_is_an_error_that_names_it() {
    type Set = fn(&mut Builder) -> &mut Builder;
    let cases: [(&str, Set); 6] = [
        ("worker_threads is 0", |b| b.worker_threads(0)),
        ("max_async_threads is 0", |b| b.max_async_threads(0)),
        ("min_spare_threads is 0", |b| b.min_spare_threads(0)),
        ("worker_threads is", |b| b.worker_threads(usize::MAX)),
        ("max_async_threads is", |b| b.max_async_threads(usize::MAX)),
        ("min_spare_threads is", |b| b.min_spare_threads(usize::MAX)),
    ];
    for (text, set) in cases {
        for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
            let error = set(&mut builder).build().expect_err(text);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.to_string().contains("from 1 to"), "{error}");
        }
    }
}

#[test]
#[should_panic(expected = "max_async_threads is 0")]
fn a_cap_cannot_be_set_to_zero_later() {
    one_core().build().unwrap().set_max_async_threads(0);
}

#[test]
fn a_detector_that_does_not_exist_is_an_error_that_names_those_that_do() {
    if !is_child() {
        passes(LIMIT, child().env("THREADLET_DETECTOR", "pref"));
        return;
    }
    let error = Runtime::new().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let text = error.to_string();
    for word in ["THREADLET_DETECTOR", "\"pref\"", "auto", "perf", "monitor", "off"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[test]
fn an_empty_name_of_a_detector_names_none() {
    if !is_child() {
        passes(LIMIT, child().env("THREADLET_DETECTOR", ""));
        return;
    }
    assert_eq!(Runtime::new().unwrap().block_on(async { 7 }), 7);
}

#[test]
fn a_stack_that_does_not_fit_is_an_error_and_leaves_nothing_behind() {
    if !alone(LIMIT) {
        return;
    }
    for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
        builder.thread_name("fault-rt").thread_stack_size(1 << 50);
        let error = refused(&mut builder);
        assert!(error.to_string().contains("thread"), "it says what failed: {error}");
        // The same builder, with sense.
        let runtime = builder.thread_stack_size(1 << 20).build().unwrap();
        assert_eq!(runtime.block_on(runtime.spawn(async { 7 })).unwrap(), 7);
    }
}

#[test]
fn whichever_thread_cannot_be_created_the_build_is_undone() {
    if !alone(LIMIT) {
        return;
    }
    os::become_nobody();
    let mut errors = 0;
    // The user may have other threads: begin at none, and allow one more until it is enough.
    for limit in 0.. {
        let before = os::set_thread_limit(limit);
        let result = Builder::new_multi_thread().worker_threads(2).thread_name("fault-rt").build();
        os::set_thread_limit(before);
        match result {
            Ok(runtime) => {
                assert_eq!(runtime.block_on(runtime.spawn(async { 7 })).unwrap(), 7);
                a_block_is_seen(&runtime);
                break;
            }
            Err(error) => {
                assert!(error.to_string().contains("thread"), "{error}");
                wait_until("nothing is left running", || runtime_threads() == 0);
                errors += 1;
            }
        }
    }
    assert!(errors >= 3, "two workers and a monitor: {errors}");
}

/// A runtime needs none to run tasks; what only some can have (a ring, a look at a suspect) it does
/// without. (A socket that finds none says so: see `io_descriptors`.)
#[test]
fn a_runtime_starts_without_a_descriptor_to_be_had() {
    if is_child() {
        return start_without_descriptors();
    }
    // A process each: what the probe was answered is kept.
    for limit in 3..8 {
        passes(LIMIT, child().env("THREADLET_TEST_DESCRIPTORS", limit.to_string()));
    }
}

fn start_without_descriptors() {
    let limit = std::env::var("THREADLET_TEST_DESCRIPTORS").unwrap_or_default();
    let before = os::set_limit(libc::RLIMIT_NOFILE, limit.parse().unwrap_or(3));
    let runtime = one_core().thread_name("fault-rt").build().unwrap();
    let answer = in_time(&runtime, "tasks run", runtime.spawn(async { 7 }));
    os::set_limit(libc::RLIMIT_NOFILE, before);
    assert_eq!(answer.unwrap(), 7);
    a_block_is_seen(&runtime);
    drop(runtime);
    wait_until("nothing is left running", || runtime_threads() == 0);
}

/// A thread that cannot be created later: the core blocks with its thread, that is counted, and
/// put right as soon as it can be.
#[test]
fn a_spare_that_cannot_be_created_is_tried_again() {
    if is_child() {
        return run_out_of_spares();
    }
    for detector in ["perf", "monitor"] {
        if detector == "perf" && skip("perf") {
            continue;
        }
        passes(LIMIT, child().env("THREADLET_DETECTOR", detector));
    }
}

fn run_out_of_spares() {
    os::become_nobody();
    let runtime = one_core().min_spare_threads(1).build().unwrap();
    a_block_is_seen(&runtime);
    let (ticks, ticker) = ticker(&runtime);
    wait_until("the spare is there", || runtime.metrics().spares >= 1);
    let limit = os::set_thread_limit(0);
    let barrier = Barrier::default();
    let mut calls = Vec::new();
    // Spares that were on their way may still come: block until none is left.
    let is_stalled = || runtime.handle().blocked().iter().any(|blocked| blocked.since.is_none());
    while !is_stalled() || runtime.metrics().thread_spawn_failures < 2 {
        if is_stalled() || barrier.came() < calls.len() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let mine = barrier.clone();
        calls.push(runtime.spawn(async move { threadlet!(mine.block()) }));
        wait_until("it blocks, and is seen to", || {
            barrier.came() == calls.len() && runtime.handle().blocked().len() == calls.len()
        });
    }
    let before = ticks.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(20));
    let after = ticks.load(std::sync::atomic::Ordering::Relaxed);
    assert!(after <= before + 1, "the only core is stalled");

    os::set_thread_limit(limit);
    wait_for_ticks("the core is handed over after all", &ticks, 10);
    barrier.let_go(calls.len());
    for call in calls {
        runtime.block_on(call).unwrap();
    }
    ticker.abort();
    wait_until("every permit is back", || runtime.metrics().permits_free == 512);
}

/// The same, and nobody raises the limit: the core goes on when its call returns.
#[test]
fn without_a_spare_the_core_waits_for_its_call() {
    if !is_child() {
        passes(LIMIT, child().env("THREADLET_DETECTOR", "monitor"));
        return;
    }
    os::become_nobody();
    let runtime = one_core().min_spare_threads(1).build().unwrap();
    let _limit = os::set_thread_limit(0);
    let tasks: Vec<_> = (0..200_u32)
        .map(|nth| {
            runtime.spawn(async move {
                for _ in 0..5 {
                    threadlet!(std::thread::sleep(Duration::from_micros(300)));
                    time::sleep(Duration::from_micros(100)).await;
                }
                nth
            })
        })
        .collect();
    for (nth, task) in (0..).zip(tasks) {
        assert_eq!(runtime.block_on(task).unwrap(), nth, "nothing is lost");
    }
    wait_until("every permit is back", || runtime.metrics().permits_free == 512);
}

#[test]
fn perf_refused_by_a_filter_is_a_reason_and_the_monitor_takes_over() {
    if is_child() {
        return the_monitor_takes_over();
    }
    let calls = [libc::SYS_perf_event_open, libc::SYS_ioctl];
    let errors = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EMFILE, libc::EINVAL];
    for (call, error) in calls.iter().flat_map(|call| errors.map(|error| (*call, error))) {
        let mut child = child();
        child.env("THREADLET_DETECTOR", "perf");
        passes(LIMIT, os::filtered(&mut child, call, os::refuse(error)));
    }
}

#[test]
fn perf_forbidden_on_pain_of_death_is_never_tried() {
    if is_child() {
        return the_monitor_takes_over();
    }
    // The second is what the sentinel needs beside it.
    for call in [libc::SYS_perf_event_open, libc::SYS_setpriority] {
        for detector in ["perf", "auto"] {
            let mut child = child();
            child.env("THREADLET_DETECTOR", detector);
            passes(LIMIT, os::filtered(&mut child, call, libc::SECCOMP_RET_KILL_PROCESS));
        }
    }
}

/// What is merely useful (long slices for hogs) is no reason to die; and nobody moves a thread to
/// another CPU.
#[test]
fn what_is_merely_useful_is_not_tried_behind_a_filter() {
    if is_child() {
        return blocks_and_hogs_are_seen();
    }
    let calls = [libc::SYS_sched_setaffinity, libc::SYS_sched_setattr, libc::SYS_sched_getattr];
    for call in calls {
        passes(LIMIT, os::filtered(&mut child(), call, libc::SECCOMP_RET_KILL_PROCESS));
    }
}

/// The same calls, and a filter that comes when the runtime is there already: for all threads, or for
/// each that runs tasks, from its start on.
#[test]
fn what_is_forbidden_later_is_not_tried() {
    if is_child() {
        return a_filter_comes_later();
    }
    let calls = [
        libc::SYS_perf_event_open,
        libc::SYS_ioctl,
        libc::SYS_sched_getattr,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setaffinity,
        libc::SYS_setpriority,
    ];
    for detector in support::detectors() {
        let detector = if detector == Detector::Perf { "perf" } else { "monitor" };
        for (call, who) in calls.iter().flat_map(|call| ["all", "runners"].map(|who| (call, who))) {
            let mut child = child();
            child.env("THREADLET_DETECTOR", detector);
            child.env("THREADLET_TEST_FILTER", format!("{call} {who}"));
            passes(LIMIT, &mut child);
        }
    }
}

fn a_filter_comes_later() {
    let told = std::env::var("THREADLET_TEST_FILTER").unwrap();
    let (call, who) = told.split_once(' ').unwrap();
    let program = os::deny(call.parse().unwrap(), libc::SECCOMP_RET_KILL_PROCESS);
    let mut builder = one_core();
    if who == "runners" {
        builder.on_thread_start(move || os::filter(&program).unwrap());
    }
    let runtime = builder.build().unwrap();
    runtime.block_on(runtime.spawn(calls(50))).unwrap();
    if who == "all" {
        // In a poll, with a ring that is armed.
        let task = runtime.spawn(async move {
            calls(50).await;
            (0..20).for_each(|_| threadlet::run(|| ()));
            os::filter_all(&program).unwrap();
            calls(50).await;
        });
        runtime.block_on(task).unwrap();
    }
    // New threads, too, and all of them block.
    let barrier = Barrier::default();
    let blocked: Vec<_> = (0..8)
        .map(|_| {
            let mine = barrier.clone();
            runtime.spawn(async move { threadlet!(mine.block()) })
        })
        .collect();
    wait_until("all of them block", || barrier.blocked() == blocked.len());
    barrier.let_go(blocked.len());
    blocked.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    block_and_compute(&runtime);
    let metrics = runtime.metrics();
    if metrics.detector == "perf" {
        assert!(metrics.ring_faults > 0, "{metrics:#?}");
    }
}

/// Makes calls as they are made where rings are opened and armed.
async fn calls(polls: usize) {
    for _ in 0..polls {
        (0..20).for_each(|_| threadlet::run(|| ()));
        threadlet!(std::thread::sleep(Duration::from_micros(200)));
        time::sleep(Duration::from_millis(1)).await;
    }
}

fn blocks_and_hogs_are_seen() {
    block_and_compute(&one_core().build().unwrap());
}

fn block_and_compute(runtime: &Runtime) {
    (0..20).for_each(|_| a_block_is_seen(runtime));
    let hog = runtime.spawn_blocking(|| {
        let end = os::thread_cpu_time() + Duration::from_millis(100);
        while os::thread_cpu_time() < end {
            std::hint::spin_loop();
        }
    });
    runtime.block_on(hog).unwrap();
    assert!(runtime.metrics().handoffs_hog >= 1);
}

fn the_monitor_takes_over() {
    let runtime = one_core().build().unwrap();
    let metrics = runtime.metrics();
    assert_eq!(metrics.detector, "monitor");
    let reason = metrics.detector_reason.expect("it says why");
    assert!(reason.contains("perf"), "{reason}");
    a_block_is_seen(&runtime);
    // The monitor, asked for by name, has nothing to explain.
    drop(runtime);
}

/// What was allowed at the probe is refused to one thread later.
#[test]
fn perf_refused_to_one_thread_later_is_counted_and_the_monitor_takes_over() {
    if !support::detectors().contains(&Detector::Perf) {
        return;
    }
    for call in [libc::SYS_perf_event_open, libc::SYS_ioctl, libc::SYS_epoll_ctl] {
        for warm in [false, true] {
            // Opening is over when the thread is warm.
            if warm && call != libc::SYS_ioctl {
                continue;
            }
            within(LIMIT, move || refuse_later(call, warm));
        }
    }
}

fn refuse_later(call: libc::c_long, warm: bool) {
    // Rings are for sites that have blocked, in whatever runtime.
    let one_site = |block: bool| {
        threadlet::run(|| {
            if block {
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    };
    let before = support::build(&mut one_core(), Detector::Perf);
    while before.metrics().handoffs_blocked == 0 {
        before.block_on(before.spawn(async move { one_site(true) })).unwrap();
        // It does not block always.
        before.block_on(before.spawn(async move { one_site(false) })).unwrap();
    }
    drop(before);

    let runtime = support::build(&mut one_core(), Detector::Perf);
    let metrics = runtime.handle().clone();
    let task = runtime.spawn(async move {
        // The ring is opened between two polls, once the sentinel is there.
        let regions = async |polls| {
            for _ in 0..polls {
                (0..20).for_each(|_| one_site(false));
                time::sleep(Duration::from_millis(1)).await;
            }
        };
        if warm {
            regions(50).await;
        }
        // For this thread alone, and for ever.
        os::filter(&os::deny(call, os::refuse(libc::EPERM))).unwrap();
        for _ in 0..1000 {
            regions(1).await;
            if metrics.metrics().ring_faults > 0 {
                break;
            }
        }
    });
    runtime.block_on(task).unwrap();
    let metrics = runtime.metrics();
    assert!(metrics.ring_faults >= 1, "call {call}, warm {warm}: {metrics:#?}");
    assert_eq!(metrics.detector, "perf");
    a_block_is_seen(&runtime);
    a_block_is_seen(&runtime);
}

#[test]
fn hooks_that_panic_harm_nobody() {
    let mut builder = one_core();
    builder
        .on_thread_start(|| panic!("at the start"))
        .on_thread_stop(|| panic!("at the end"))
        .on_handoff(|_| panic!("at a hand-off"));
    within(LIMIT, move || {
        let runtime = builder.build().unwrap();
        a_block_is_seen(&runtime);
        a_block_is_seen(&runtime);
        drop(runtime);
    });
}
