//! Seccomp filters: those that are there from the first, and those that come while a runtime runs.

mod support;

use std::time::Duration;

use support::{Barrier, a_block_is_seen, child, is_child, os, passes, wait_until, within};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::{threadlet, time};

const LIMIT: Duration = Duration::from_secs(60);

fn one_core() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    builder
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
    for detector in ["perf", "auto"] {
        let mut child = child();
        child.env("THREADLET_DETECTOR", detector);
        let call = libc::SYS_perf_event_open;
        passes(LIMIT, os::filtered(&mut child, call, libc::SECCOMP_RET_KILL_PROCESS));
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
