//! In executors that are none of ours.

use std::time::Duration;

use threadlet::fs::{self, File};

use crate::support::{self, alone, child, foreign_block_on, is_child, os, passes, within};
use crate::{LIMIT, Scratch, evict, pattern, scenarios, threads_of_ours};

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("tokio can be built")
}

#[test]
fn in_an_executor_of_one_thread() {
    within(LIMIT, || scenarios::each(foreign_block_on));
}

#[test]
fn in_tokio() {
    within(LIMIT, || {
        let tokio = tokio_runtime();
        scenarios::each(|scenario| tokio.block_on(tokio.spawn(scenario)).unwrap());
        scenarios::each(|scenario| tokio.block_on(scenario));
    });
}

#[test]
fn in_smol() {
    within(LIMIT, || {
        let smol = async_executor::Executor::new();
        scenarios::each(|scenario| foreign_block_on(smol.run(smol.spawn(scenario))));
    });
}

/// Many at once, in tokio and in a runtime of ours, in one process.
#[test]
fn side_by_side() {
    within(LIMIT, || {
        let (tokio, ours) = (tokio_runtime(), threadlet::runtime::Runtime::new().unwrap());
        let work = || async {
            for (_, scenario) in scenarios::all() {
                let scratch = Scratch::new();
                scenario(scratch.0.clone()).await;
            }
        };
        let theirs: Vec<_> = (0..4).map(|_| tokio.spawn(work())).collect();
        let mine: Vec<_> = (0..4).map(|_| ours.spawn(work())).collect();
        theirs.into_iter().for_each(|task| tokio.block_on(task).unwrap());
        mine.into_iter().for_each(|task| ours.block_on(task).unwrap());
    });
}

/// A long file that is wholly in memory does not keep an executor's only thread to itself.
#[test]
fn a_long_read_from_memory_gives_others_their_turn() {
    within(LIMIT, || {
        let scratch = Scratch::new();
        let data = pattern(20 << 20);
        let path = scratch.file("file", &data);
        let turns = std::cell::Cell::new(0);
        let read = async {
            let mut file = File::open(&path).await.unwrap();
            let mut buf = vec![0; 64 << 10];
            while futures::io::AsyncReadExt::read(&mut file, &mut buf).await.unwrap() > 0 {}
            let by_position = turns.get();
            let mut all = vec![0; data.len()];
            file.read_exact_at(&mut all, 0).await.unwrap();
            assert!(all == data);
            (by_position, turns.get() - by_position)
        };
        let others = async {
            loop {
                turns.set(turns.get() + 1);
                threadlet::task::yield_now().await;
            }
        };
        let (read, others) = (std::pin::pin!(read), std::pin::pin!(others));
        let (by_position, by_offset) = match foreign_block_on(futures::future::select(read, others))
        {
            futures::future::Either::Left((turns, _)) => turns,
            futures::future::Either::Right((never, _)) => never,
        };
        assert!(by_position >= 10 && by_offset >= 10, "{by_position}, {by_offset}");
    });
}

const APART: Duration = Duration::from_secs(100);

#[test]
fn what_is_in_memory_needs_no_thread() {
    if !alone(APART) {
        return;
    }
    // Behind a seccomp filter nothing is asked, and some file systems refuse to be.
    if support::skip("asked") {
        return;
    }
    assert!(!os::is_filtered(), "a filter is active: name `asked` in THREADLET_SKIP");
    let scratch = Scratch::new();
    let data = pattern(300_000);
    let path = scratch.file("file", &data);
    let refused = os::refuses_to_be_asked(&std::fs::File::open(&path).unwrap());
    assert!(!refused, "{scratch:?} cannot be asked: name `asked` in THREADLET_SKIP");
    let tokio = tokio_runtime();
    let work = |path: std::path::PathBuf, data: Vec<u8>| async move {
        for _ in 0..100 {
            let file = File::open(&path).await.unwrap();
            let mut page = [0; 4096];
            file.read_exact_at(&mut page, 100_000).await.unwrap();
            assert_eq!(page, data[100_000..104_096]);
            assert_eq!(file.read_at(&mut page, 300_000).await.unwrap(), 0, "the end");
            assert_eq!(file.metadata().await.unwrap().len(), 300_000);
            let mut file = file;
            let mut all = Vec::new();
            futures::io::AsyncReadExt::read_to_end(&mut file, &mut all).await.unwrap();
            assert!(all == data && fs::read(&path).await.unwrap() == data);
            assert!(fs::try_exists(&path).await.unwrap());
            assert!(fs::symlink_metadata(&path).await.unwrap().is_file());
            assert!(!fs::try_exists(path.with_extension("missing")).await.unwrap());
        }
    };
    // The second time a missing name is looked up, it is known to be missing.
    let _ = std::fs::metadata(path.with_extension("missing"));
    foreign_block_on(work(path.clone(), data.clone()));
    tokio.block_on(tokio.spawn(work(path.clone(), data.clone()))).unwrap();
    assert_eq!(threads_of_ours(), 0, "{:?}", os::thread_names());
    let report = threadlet::runtime::Report::of_all();
    let asked = |text: &str| report.sites().find(|site| site.text == text).map(|site| site.asked);
    assert_eq!(asked("fs::read"), Some(200), "{report}");
    assert_eq!(asked("fs::File::read_at"), Some(400), "{report}");

    // What is not in memory has threads of ours started.
    // (Where the device is busy a page may be kept: more than one look.)
    for _ in 0..20 {
        evict(&path);
        let read = tokio.block_on(tokio.spawn(fs::read(path.clone()))).unwrap().unwrap();
        assert!(read == data);
        if threads_of_ours() > 0 {
            break;
        }
    }
    // But for a file system that keeps everything in memory, or a very fast device.
    if !support::skip("evicted") {
        assert!(threads_of_ours() > 0, "nothing had to be moved: name `evicted` in THREADLET_SKIP");
    }
}

/// Nothing is asked behind a filter: one that kills for what an ask is made of changes nothing.
#[test]
fn behind_a_filter_that_kills() {
    if is_child() {
        return behind_a_filter();
    }
    let mut command = child();
    for number in [libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_openat2] {
        os::filtered(&mut command, number, libc::SECCOMP_RET_KILL_PROCESS);
    }
    passes(APART, &mut command);
}

/// A filter that refuses, with the errors that filters and old kernels give.
#[test]
fn behind_a_filter_that_refuses() {
    if is_child() {
        return behind_a_filter();
    }
    for errno in [libc::ENOSYS, libc::EPERM] {
        let mut command = child();
        for number in [libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_openat2, libc::SYS_statx] {
            os::filtered(&mut command, number, os::refuse(errno));
        }
        passes(APART, &mut command);
    }
}

fn behind_a_filter() {
    assert!(os::is_filtered());
    scenarios::each(foreign_block_on);
    let runtime = threadlet::runtime::Runtime::new().unwrap();
    scenarios::each(|scenario| runtime.block_on(runtime.spawn(scenario)).unwrap());
    crate::cursor::abandoned_everything();
    (1..=20).for_each(crate::model::run);
    assert!(support::os::thread_names().iter().any(|name| name.starts_with("threadlet")));
}
