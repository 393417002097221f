//! The guide's `troubleshooting.md`: each trouble is made, is seen in the figure that its row names,
//! and goes by what the row says, where that can be done here.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{Barrier, build, detectors, in_time, wait_until, within};
use threadlet::runtime::{Builder, Detector, Runtime, SiteStats};
use threadlet::{Group, threadlet};

const PAGE: &str = include_str!("../docs/guide/troubleshooting.md");
const LIMIT: Duration = Duration::from_secs(60);

fn each(case: fn(Detector)) {
    for detector in detectors() {
        within(LIMIT, move || case(detector));
    }
}

/// A runtime with so many workers and permits.
fn runtime(detector: Detector, workers: usize, cap: usize) -> Runtime {
    build(Builder::new_multi_thread().worker_threads(workers).max_async_threads(cap), detector)
}

/// The site of this file on that line.
fn site(runtime: &Runtime, line: u32) -> SiteStats {
    let sites = runtime.sites();
    let found = sites.into_iter().find(|site| site.file == file!() && site.line == line);
    found.unwrap_or_else(|| panic!("no site on line {line}"))
}

fn compute(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

fn unmarked_calls_are_rescued(detector: Detector) {
    let runtime = runtime(detector, 1, 8);
    let pause = Duration::from_millis(100);
    let unmarked = runtime.spawn(async move { std::thread::sleep(pause) });
    in_time(&runtime, "it returns", unmarked).unwrap();
    assert!(runtime.metrics().handoffs_rescued >= 1);
    // The thread puts it down behind its poll, when who awaits the task may go on already.
    wait_until("its place has a row", || {
        runtime.sites().iter().any(|site| site.rescued >= 1 && site.calls == 0)
    });
    // The remedy.
    let before = runtime.metrics().handoffs_rescued;
    let marked = runtime.spawn(async move { threadlet!(std::thread::sleep(pause)) });
    in_time(&runtime, "it returns", marked).unwrap();
    assert_eq!(runtime.metrics().handoffs_rescued, before);
}

fn calls_wait_for_a_permit(detector: Detector) {
    let runtime = runtime(detector, 2, 1);
    let barrier = Barrier::default();
    // A call that may block: without a permit it waits at the gate.
    let call = |runtime: &Runtime| {
        let mine = barrier.clone();
        runtime.spawn(async move { threadlet!(will_block; mine.block()) })
    };
    let first = call(&runtime);
    wait_until("it blocks", || runtime.metrics().permits_free == 0);
    let second = call(&runtime);
    wait_until("the other waits", || runtime.metrics().gate_waiters == 1);
    assert_eq!(runtime.handle().blocked().len(), 1);
    // The remedy.
    runtime.set_max_async_threads(2);
    wait_until("nobody waits", || runtime.metrics().gate_waiters == 0 && barrier.blocked() == 2);
    barrier.let_go(2);
    in_time(&runtime, "they return", async { (first.await.unwrap(), second.await.unwrap()) });
}

fn calls_wait_for_a_place(detector: Detector) {
    static GROUP: Group = Group::new("of report_troubles, places", 1);
    GROUP.set_limit(1);
    let runtime = runtime(detector, 1, 8);
    let barrier = Barrier::default();
    let line = line!() + 4;
    let calls = [(); 2].map(|()| {
        let mine = barrier.clone();
        // On the next line, for `site` to find it.
        runtime.spawn(async move { threadlet!(in &GROUP; mine.block()) })
    });
    wait_until("one waits for a place", || GROUP.waiting() == 1);
    assert_eq!(runtime.metrics().gate_waiters, 0, "and not for a permit");
    // The remedy.
    GROUP.set_limit(2);
    wait_until("none waits", || barrier.blocked() == 2);
    barrier.let_go(2);
    for call in calls {
        in_time(&runtime, "it returns", call).unwrap();
    }
    let site = site(&runtime, line);
    assert!(site.waits == 1 && site.waited > Duration::ZERO, "{site:?}");
}

fn a_worker_stands_still(detector: Detector) {
    let runtime = runtime(detector, 2, 1);
    let barrier = Barrier::default();
    let calls = [(); 2].map(|()| {
        let mine = barrier.clone();
        runtime.spawn(async move { threadlet!(or_inline; mine.block()) })
    });
    wait_until("both block", || barrier.blocked() == 2);
    wait_until("one with its core", || runtime.metrics().regions_stalled >= 1);
    // The remedy.
    runtime.set_max_async_threads(2);
    let runs = runtime.spawn(async {});
    in_time(&runtime, "the others go on", runs).unwrap();
    wait_until("it has a thread", || runtime.metrics().async_threads == 2);
    barrier.let_go(2);
    for call in calls {
        in_time(&runtime, "it returns", call).unwrap();
    }
}

fn marked_calls_compute(detector: Detector) {
    let runtime = runtime(detector, 1, 8);
    let line = line!() + 1;
    let hog = runtime.spawn(async { threadlet!(compute(Duration::from_millis(100))) });
    in_time(&runtime, "it returns", hog).unwrap();
    assert!(runtime.metrics().handoffs_hog >= 1);
    assert!(site(&runtime, line).hogged >= 1);
}

fn many_threads(detector: Detector) {
    static GROUP: Group = Group::new("of report_troubles, threads", 2);
    for bounded in [false, true] {
        let runtime = runtime(detector, 1, 64);
        let barrier = Barrier::default();
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let mine = barrier.clone();
                runtime.spawn(async move {
                    match bounded {
                        true => threadlet!(in &GROUP, will_block; mine.block()),
                        false => threadlet!(will_block; mine.block()),
                    }
                })
            })
            .collect();
        let at_once = if bounded { 2 } else { 6 };
        wait_until("they block", || runtime.metrics().async_threads == at_once);
        assert_eq!((runtime.metrics().async_threads_peak, barrier.blocked()), (at_once, at_once));
        barrier.let_go(6);
        for call in calls {
            in_time(&runtime, "it returns", call).unwrap();
        }
    }
}

fn tasks_pile_up(detector: Detector) {
    let runtime = runtime(detector, 1, 8);
    let silent = || std::future::pending::<()>();
    let tasks: Vec<_> = (0..100).map(|_| runtime.spawn(silent())).collect();
    assert_eq!(runtime.metrics().tasks_alive, 100);
    tasks.iter().for_each(|task| task.abort());
    // The remedy.
    for _ in 0..100 {
        let limit = Duration::from_millis(10);
        runtime.spawn(async move { threadlet::time::timeout(limit, silent()).await });
    }
    wait_until("they end", || runtime.metrics().tasks_alive == 0);
}

fn work_from_outside_waits(detector: Detector) {
    let mut builder = Builder::new_multi_thread();
    let runtime = build(builder.worker_threads(1).rescue(false), detector);
    let stop = Arc::new(AtomicBool::new(false));
    let (mine, started) = (stop.clone(), Barrier::default());
    let begins = started.clone();
    started.let_go(1);
    let busy = runtime.spawn(async move {
        begins.block();
        while !mine.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    wait_until("the worker is busy", || started.came() == 1);
    let waiting: Vec<_> = (0..50).map(|_| runtime.spawn(async {})).collect();
    assert_eq!(runtime.metrics().injector_depth, 50);
    stop.store(true, Ordering::Relaxed);
    in_time(&runtime, "all end", async {
        busy.await.unwrap();
        for task in waiting {
            task.await.unwrap();
        }
    });
    assert_eq!(runtime.metrics().injector_depth, 0);
}

fn a_call_runs_in_no_task(detector: Detector) {
    let runtime = runtime(detector, 1, 8);
    let line = line!() + 1;
    let call = async || threadlet!(std::hint::black_box(1));
    assert_eq!(runtime.block_on(call()), 1);
    let there = |runtime: &Runtime| {
        runtime.sites().iter().any(|site| site.file == file!() && site.line == line)
    };
    assert!(!there(&runtime), "the root future of a multi-thread runtime is no task");
    // The remedy.
    in_time(&runtime, "it returns", runtime.spawn(call())).unwrap();
    assert_eq!(site(&runtime, line).calls, 1);
}

fn the_detector_has_its_name(detector: Detector) {
    // Why it is not a better one: `life_filters`, behind a filter.
    let metrics = runtime(detector, 1, 8).metrics();
    let name = if detector == Detector::Perf { "perf" } else { "monitor" };
    assert_eq!((metrics.detector, metrics.detector_reason), (name, None));
}

enum Proof {
    Here(fn(Detector)),
    /// It takes a process of its own: a file of `tests/` and a test in it.
    There(&'static str, &'static str),
}

/// A proof for each row of the first table, by the first figure of the row.
fn proofs() -> Vec<(&'static str, Proof)> {
    use Proof::{Here, There};
    vec![
        ("handoffs_rescued", Here(unmarked_calls_are_rescued)),
        ("gate_waiters", Here(calls_wait_for_a_permit)),
        ("waits", Here(calls_wait_for_a_place)),
        ("regions_stalled", Here(a_worker_stands_still)),
        (
            "thread_spawn_failures",
            There("life_faults", "a_spare_that_cannot_be_created_is_tried_again"),
        ),
        ("handoffs_hog", Here(marked_calls_compute)),
        ("async_threads_peak", Here(many_threads)),
        ("tasks_alive", Here(tasks_pile_up)),
        ("injector_depth", Here(work_from_outside_waits)),
        ("detector", Here(the_detector_has_its_name)),
        (
            "ring_faults",
            There(
                "life_filters",
                "perf_refused_to_one_thread_later_is_counted_and_the_monitor_takes_over",
            ),
        ),
        ("calls", Here(a_call_runs_in_no_task)),
    ]
}

/// The rows of the table under this heading line.
fn rows(head: &str) -> Vec<Vec<&'static str>> {
    let mut lines = PAGE.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows: Vec<_> = lines
        .by_ref()
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "there is a table {head}");
    rows
}

fn words(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn each_row_has_its_proof() {
    let first: Vec<_> = rows("| what you see").iter().map(|row| words(row[1]).next()).collect();
    let proofs = proofs();
    assert_eq!(first, proofs.iter().map(|(figure, _)| Some(*figure)).collect::<Vec<_>>());
    let root = env!("CARGO_MANIFEST_DIR");
    for (_, proof) in proofs {
        if let Proof::There(file, test) = proof {
            let text = std::fs::read_to_string(format!("{root}/tests/{file}.rs")).unwrap();
            assert!(text.contains(&format!("\nfn {test}()")), "{file} has no {test}");
        }
    }
}

#[test]
fn each_trouble_shows_in_its_figure() {
    for (_, proof) in proofs() {
        if let Proof::Here(proof) = proof {
            each(proof);
        }
    }
}

/// What is named is there: figures as fields, the report's columns, what is to be changed.
#[test]
fn each_name_is_real() {
    let metrics = include_str!("../src/runtime/metrics.rs");
    let builder = include_str!("../src/runtime/builder.rs");
    for row in rows("| what you see") {
        for figure in words(row[1]).filter(|word| !word.contains("::")) {
            assert!(metrics.contains(&format!("    pub {figure}: ")), "{figure} is no figure");
        }
        for knob in words(row[3]).filter(|word| word.contains('_') && !word.contains(['.', ' '])) {
            let known = builder.contains(&format!("    pub fn {knob}("))
                || ["spawn_blocking", "will_block"].contains(&knob);
            assert!(known, "{knob} is no method of the builder");
        }
    }
    let told = include_str!("../src/shared/told.rs").replace("\\\n", "");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in rows("| line") {
        for part in row[0].trim_matches('"').split(" ... ") {
            assert!(told.contains(part), "{part:?} is never said");
        }
    }
}
