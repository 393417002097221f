//! Bad input, and an operating system that refuses.

mod support;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::io::AsyncReadExt;
use support::{
    Barrier, a_block_is_seen, alone, child, in_time, is_child, os, passes, skip, ticker,
    wait_for_ticks, wait_until, within,
};
use threadlet::net::UnixStream;
use threadlet::runtime::{Builder, Runtime};
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

/// Tasks stand still for want of a thread: that is said, though a line has a thread of its own as a
/// rule. So is why, and where. And nobody computes meanwhile: once the monitor rang itself each time it
/// found that a spare was missing, and so had no pause until there was one.
#[test]
fn a_thread_that_cannot_be_had_is_told() {
    if is_child() {
        return stand_still();
    }
    for detector in ["perf", "monitor"] {
        let told = passes(LIMIT, child().env("THREADLET_DETECTOR", detector));
        let line = told.lines().find(|line| line.contains("fault-rt: "));
        let line = line.unwrap_or_else(|| panic!("nothing is said:\n{told}"));
        for word in ["1 cores are blocked", "no thread can be started", "life_faults.rs", "NPROC"] {
            assert!(line.contains(word), "{word} is not in: {line}");
        }
    }
}

fn stand_still() {
    os::become_nobody();
    let runtime = one_core().min_spare_threads(1).thread_name("fault-rt").build().unwrap();
    let limit = os::set_thread_limit(0);
    let barrier = Barrier::default();
    let blocked = || runtime.handle().blocked();
    let mut calls = Vec::new();
    while blocked().iter().all(|blocked| blocked.since.is_some()) {
        // A spare that was on its way may have come.
        let mine = barrier.clone();
        calls.push(runtime.spawn(async move { threadlet!(mine.block()) }));
        wait_until("it blocks, and is seen to", || blocked().len() == calls.len());
    }
    let before = os::process_cpu_time();
    std::thread::sleep(Duration::from_millis(1500));
    let used = os::process_cpu_time() - before;
    assert!(used < Duration::from_millis(300), "{used:?} of CPU while all stand still");
    os::set_thread_limit(limit);
    barrier.let_go(calls.len());
    calls.into_iter().for_each(|call| runtime.block_on(call).unwrap());
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

/// The hook is foreign code: it is called on no thread that others count on.
#[test]
fn a_hook_that_blocks_at_a_hand_off_holds_up_nobody() {
    for detector in support::detectors() {
        within(LIMIT, move || {
            let barrier = Barrier::default();
            let mine = barrier.clone();
            let mut builder = one_core();
            builder.on_handoff(move |_| mine.block());
            let runtime = support::build(&mut builder, detector);
            a_block_is_seen(&runtime);
            wait_until("the hook blocks", || barrier.blocked() > 0);
            a_block_is_seen(&runtime);
            a_block_is_seen(&runtime);
            barrier.let_go(1 << 20);
            drop(runtime);
        });
    }
}

/// Each of its calls that blocks would be followed by another.
#[test]
fn a_hook_is_not_told_of_its_own_blocks() {
    for detector in support::detectors() {
        within(LIMIT, move || {
            let calls = Arc::new(AtomicUsize::new(0));
            let counts = calls.clone();
            let mut builder = one_core();
            builder.on_handoff(move |_| {
                counts.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(30));
            });
            let runtime = support::build(&mut builder, detector);
            a_block_is_seen(&runtime);
            wait_until("the hook is called", || calls.load(Ordering::Relaxed) > 0);
            wait_until("it blocks, unmarked", || runtime.metrics().handoffs_rescued > 0);
            std::thread::sleep(Duration::from_millis(200));
            let calls = calls.load(Ordering::Relaxed) as u64;
            let now = runtime.metrics();
            assert!(calls < now.handoffs_blocked + now.handoffs_rescued, "{calls}: {now:#?}");
            drop(runtime);
        });
    }
}

/// What was ready when the thread woke does not wait for its hook.
#[test]
fn a_hook_that_blocks_when_a_thread_wakes_holds_up_nobody() {
    within(LIMIT, || {
        let barrier = Barrier::default();
        let armed = Arc::new(AtomicBool::new(false));
        let [begun, asleep]: [Arc<AtomicUsize>; 2] = Default::default();
        let (mine, is_armed) = (barrier.clone(), armed.clone());
        let (have_begun, sleeps) = (begun.clone(), asleep.clone());
        let mut builder = one_core();
        // With so many waiting the only worker goes to sleep.
        builder.on_thread_park(move || {
            sleeps.store(have_begun.load(Ordering::Relaxed), Ordering::Relaxed);
        });
        builder.on_thread_unpark(move || {
            if is_armed.swap(false, Ordering::Relaxed) {
                mine.block();
            }
        });
        let runtime = builder.build().unwrap();
        let (ends, readers): (Vec<_>, Vec<_>) = (0..4)
            .map(|_| {
                let (end, other) = std::os::unix::net::UnixStream::pair().unwrap();
                other.set_nonblocking(true).unwrap();
                let begun = begun.clone();
                let reads = async move {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let mut stream = UnixStream::from_std(other).unwrap();
                    stream.read_exact(&mut [0]).await.unwrap();
                };
                (end, runtime.spawn(reads))
            })
            .unzip();
        wait_until("all wait", || asleep.load(Ordering::Relaxed) == 4);
        armed.store(true, Ordering::Relaxed);
        for mut end in ends {
            end.write_all(b"x").unwrap();
        }
        wait_until("the hook blocks", || barrier.blocked() > 0);
        wait_until("they wake", || readers.iter().all(|reader| reader.is_finished()));
        barrier.let_go(1);
        drop(runtime);
    });
}
