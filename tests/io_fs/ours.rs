//! On threads of ours.

use std::sync::atomic::Ordering;

use futures::io::AsyncReadExt;
use threadlet::fs;
use threadlet::runtime::Builder;

use crate::support::{self, build, detectors, in_time, ticker, wait_for_ticks, within};
use crate::{LIMIT, Scratch, pattern, scenarios};

#[test]
fn in_tasks() {
    for detector in detectors() {
        within(LIMIT, move || {
            let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
            scenarios::each(|scenario| {
                in_time(&runtime, "a scenario", runtime.spawn(scenario)).unwrap();
            });
            let metrics = runtime.metrics();
            assert!(metrics.regions > 100, "{metrics:?}");
        });
    }
}

#[test]
fn in_tasks_at_the_cap() {
    for detector in detectors() {
        within(LIMIT, move || {
            let mut builder = Builder::new_multi_thread();
            let runtime = build(builder.worker_threads(2).max_async_threads(1), detector);
            let tasks: Vec<_> =
                (0..4).map(|_| runtime.spawn(async { scenarios_in_turn().await })).collect();
            for task in tasks {
                in_time(&runtime, "a task", task).unwrap();
            }
        });
    }
}

async fn scenarios_in_turn() {
    for (_, scenario) in scenarios::all() {
        let scratch = Scratch::new();
        scenario(scratch.0.clone()).await;
    }
}

#[test]
fn in_a_runtime_of_one_core() {
    for detector in detectors() {
        within(LIMIT, move || {
            let runtime = build(&mut Builder::new_current_thread(), detector);
            // In the root, and in a task.
            scenarios::each(|scenario| runtime.block_on(scenario));
            scenarios::each(|scenario| runtime.block_on(runtime.spawn(scenario)).unwrap());
        });
    }
}

#[test]
fn in_the_root_of_a_runtime_with_workers() {
    within(LIMIT, || {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        scenarios::each(|scenario| runtime.block_on(scenario));
        assert_eq!(runtime.metrics().regions, 0, "the root's calls are plain");
    });
}

/// A read that blocks is a region: the other tasks go on, and the site has the function's name.
#[test]
fn a_read_that_blocks_loses_its_core() {
    for detector in detectors() {
        within(LIMIT, move || {
            let runtime = build(Builder::new_multi_thread().worker_threads(1), detector);
            let (ticks, ticker) = ticker(&runtime);
            let (reader, writer) = support::os::pipe();
            let task = runtime.spawn(async move {
                let mut byte = [0; 1];
                fs::File::from_std(reader).read_exact(&mut byte).await.unwrap();
                byte
            });
            wait_for_ticks("the task's core has been handed over", &ticks, 20);
            let blocked = runtime.handle().blocked();
            let site = blocked.iter().find_map(|blocked| blocked.site);
            assert_eq!(site.map(|site| site.text()), Some("fs::File::poll_read"), "{blocked:?}");
            std::io::Write::write_all(&mut &writer, b"x").unwrap();
            assert_eq!(in_time(&runtime, "the read", task).unwrap(), *b"x");
            assert!(ticks.load(Ordering::Relaxed) >= 20);
            ticker.abort();
        });
    }
}

/// Borrowed buffers, in a task that is spawned.
#[test]
fn reads_into_borrowed_buffers() {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(10_000));
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let task = runtime.spawn(async move {
        let file = fs::File::open(path).await.unwrap();
        let mut page = [0; 10_000];
        let (head, tail) = page.split_at_mut(5000);
        let (one, two) =
            futures::future::join(file.read_exact_at(head, 0), file.read_exact_at(tail, 5000))
                .await;
        one.and(two).unwrap();
        page.to_vec()
    });
    assert_eq!(runtime.block_on(task).unwrap(), pattern(10_000));
}
