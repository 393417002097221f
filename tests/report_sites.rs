//! The blocking profiler: its figures beside those of workloads that are known.

mod support;

use std::time::Duration;

use support::{build, child, detectors, in_time, is_child, passes, run_within, wait_until};
use threadlet::runtime::{Builder, Report, Runtime, SiteStats};
use threadlet::{Group, threadlet};

/// The row of the call in `line` of this file.
#[track_caller]
fn row(runtime: &Runtime, line: u32) -> SiteStats {
    let sites = runtime.handle().sites();
    let row = sites.iter().find(|site| site.file == file!() && site.line == line);
    row.unwrap_or_else(|| panic!("a row for line {line}: {sites:#?}")).clone()
}

#[test]
fn calls_that_return_at_once_ran_inline() {
    for detector in detectors() {
        let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
        let task = runtime.spawn(async {
            for _ in 0..1000 {
                threadlet!(std::hint::black_box(1));
            }
            line!() - 2
        });
        let line = in_time(&runtime, "a thousand calls", task).unwrap();
        let row = row(&runtime, line);
        assert_eq!((row.calls, row.inline, row.handed_over), (1000, 1000, 0));
        assert_eq!((row.block_times.count(), row.longest_block), (0, Duration::ZERO));
        assert_eq!((row.waits, row.waited), (0, Duration::ZERO));
        assert!(row.text.contains("black_box"), "{row:?}");
    }
}

#[test]
fn calls_that_block_are_handed_over_for_as_long_as_they_block() {
    for detector in detectors() {
        let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
        let task = runtime.spawn(async {
            for _ in 0..20 {
                threadlet!(std::thread::sleep(Duration::from_millis(40)));
                // A core again for the next.
                threadlet::time::sleep(Duration::from_millis(1)).await;
            }
            line!() - 4
        });
        let line = in_time(&runtime, "twenty blocks", task).unwrap();
        let row = row(&runtime, line);
        assert_eq!((row.calls, row.handed_over + row.inline), (20, 20));
        assert_eq!(row.blocked + row.predicted, row.handed_over, "{row:#?}");
        assert!(row.handed_over >= 18 && row.predicted > 0, "{row:#?}");
        let (median, longest) = (row.block_times.quantile(0.5), row.block_times.longest());
        // What the detector needed is not in it, nor is it finer than an eighth.
        assert!(
            (Duration::from_millis(25)..Duration::from_millis(46)).contains(&median),
            "{row:?}"
        );
        assert!(longest >= Duration::from_millis(39) && longest == row.longest_block, "{row:?}");
        assert_eq!(row.block_times.count(), row.handed_over + row.coreless);
    }
}

/// Sixty-four tasks that block nearly all the time run on threads without a core: what blocks there
/// is in the profile, too.
#[test]
fn blocks_of_threads_without_a_core_are_seen() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            runtime.spawn(async {
                for _ in 0..50 {
                    threadlet!(std::thread::sleep(Duration::from_millis(1)));
                }
                line!() - 2
            })
        })
        .collect();
    let mut line = 0;
    for task in tasks {
        line = in_time(&runtime, "all blocks", task).unwrap();
    }
    let row = row(&runtime, line);
    assert_eq!(row.calls, 800);
    // Not at first, while nothing is known of the site, and not those the detectors miss.
    assert!(row.handed_over + row.coreless >= 600, "{row:#?}");
    assert_eq!(row.block_times.count(), row.handed_over + row.coreless);
}

fn compute(time: Duration) {
    let start = support::os::thread_cpu_time();
    while support::os::thread_cpu_time() - start < time {}
}

/// A function of `fs` stands where it is called, and not where this crate has it.
#[test]
fn files_are_counted_where_they_are_opened() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let task = runtime.spawn(async {
        threadlet::fs::read("/etc/hosts").await.unwrap();
        threadlet::fs::metadata("/etc/hosts").await.unwrap();
        let file = threadlet::fs::File::open("/etc/hosts").await.unwrap();
        file.sync_data().await.unwrap();
        line!() - 4
    });
    let first = in_time(&runtime, "four calls", task).unwrap();
    let texts = ["fs::read", "fs::metadata", "fs::File::open", "fs::File::sync_data"];
    for (line, text) in (first..).zip(texts) {
        let row = row(&runtime, line);
        assert_eq!((row.text, row.calls), (text, 1), "{row:?}");
    }
}

#[test]
fn a_hog_is_no_block() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let task = runtime.spawn(async {
        threadlet!(compute(Duration::from_millis(100)));
        line!() - 1
    });
    let line = in_time(&runtime, "a computation", task).unwrap();
    let row = row(&runtime, line);
    assert_eq!((row.calls, row.hogged, row.blocked), (1, 1, 0), "{row:#?}");
    assert_eq!(row.block_times.count(), 0);
    assert!(row.longest_block >= Duration::from_millis(50), "{row:#?}");
}

#[test]
fn a_rescued_poll_counts_where_its_task_was_spawned() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let task = runtime.spawn(async {
        std::thread::sleep(Duration::from_millis(200));
        line!() - 2
    });
    let line = in_time(&runtime, "a sleep", task).unwrap();
    wait_until("the thread has noticed", || {
        runtime.handle().sites().iter().any(|site| site.line == line)
    });
    let row = row(&runtime, line);
    assert_eq!((row.calls, row.rescued, row.handed_over), (0, 1, 1), "{row:#?}");
    assert!(row.longest_block >= Duration::from_millis(100), "{row:#?}");
}

#[test]
fn waits_are_counted_for_a_permit_and_for_a_place() {
    static ONE: Group = Group::new("one", 1);
    let runtime =
        Builder::new_multi_thread().worker_threads(2).max_async_threads(1).build().unwrap();
    let wait = Duration::from_millis(50);
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            runtime.spawn(async move {
                threadlet!(in &ONE; std::thread::sleep(wait));
                line!() - 1
            })
        })
        .collect();
    let mut line = 0;
    for task in tasks {
        line = in_time(&runtime, "three in turn", task).unwrap();
    }
    let row_of_group = row(&runtime, line);
    assert_eq!((row_of_group.calls, row_of_group.waits), (3, 2), "{row_of_group:#?}");
    assert!(row_of_group.waited >= wait * 5 / 2, "one waited for one call, one for two");
    assert!(row_of_group.longest_wait >= wait * 3 / 2);

    let tasks: Vec<_> = (0..4)
        .map(|_| {
            runtime.spawn(async move {
                threadlet!(will_block; std::thread::sleep(wait));
                line!() - 1
            })
        })
        .collect();
    for task in tasks {
        line = in_time(&runtime, "four at a cap of one", task).unwrap();
    }
    let row = row(&runtime, line);
    assert!(row.waits >= 1 && row.waited >= wait / 2, "{row:#?}");
}

#[test]
fn the_table_has_all_runtimes_those_that_have_ended_too() {
    let lines = [1, 2].map(|calls| {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let task = runtime.spawn(async move {
            for _ in 0..calls {
                threadlet!(std::hint::black_box(()));
            }
            line!() - 2
        });
        in_time(&runtime, "some calls", task).unwrap()
    });
    let report = Report::of_all();
    let row = report.sites().find(|site| site.file == file!() && site.line == lines[0]);
    assert_eq!(row.expect("a row").calls, 3);
    let text = report.to_string();
    assert!(
        text.contains(&format!("{}:{}  std::hint::black_box(())", file!(), lines[0])),
        "{text}"
    );
}

fn one_call() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(runtime.spawn(async { threadlet!(std::hint::black_box(5)) })).unwrap();
    runtime.shutdown_background();
}

#[test]
fn the_environment_asks_for_a_report_at_exit() {
    if is_child() {
        return one_call();
    }
    let limit = Duration::from_secs(60);
    let told = passes(limit, child().env("THREADLET_REPORT", "1"));
    assert!(told.contains("threadlet: calls by site"), "{told}");
    assert!(told.contains("std::hint::black_box(5)"), "{told}");
    for word in ["0", ""] {
        let untold = run_within(limit, child().env("THREADLET_REPORT", word));
        assert!(untold.status.success() && !untold.output.contains("calls by site"), "{untold:?}");
    }
}
