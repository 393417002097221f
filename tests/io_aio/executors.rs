//! Whoever awaits it: the same from any executor.

use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use threadlet::aio::{Completions, File, Mode, Op, Queue, lio_listio};
use threadlet::runtime::{Builder, Detector};

use crate::support::{self, alone, build, detectors, foreign_block_on, os, say, within};
use crate::{LIMIT, Scratch};

/// As a program might: write pages side by side, sync, read them in some order, check.
async fn scenario(scratch: std::sync::Arc<Scratch>) {
    let file = File::from(scratch.open());
    let queue = Queue::new(16);
    let page = |number: u64| vec![number as u8; 4096];
    let mut writes = Completions::new();
    for number in 0..64 {
        let op = Op::write_at(&file, page(number), number * 4096);
        writes.push(number, queue.submit(op).await);
    }
    queue.fence();
    let sync = queue.submit(Op::fsync(&file)).await;
    // Not all together: more than the depth would wait for room for ever if nobody made any.
    while let Some((number, result, data)) = writes.next().await {
        assert_eq!(result.unwrap(), 4096);
        assert!(data == page(number));
    }
    sync.await.0.unwrap();
    let mut reads = Completions::new();
    for nth in 0..64 {
        let number = nth * 37 % 64;
        reads.push(number, queue.submit(Op::read_at(&file, vec![0; 4096], number * 4096)).await);
    }
    while let Some((number, result, data)) = reads.next().await {
        assert_eq!(result.unwrap(), 4096);
        assert!(data == page(number), "{number}");
    }
    let list = (0..20).map(|number| Op::read_at(&file, Box::from([0; 8]), number * 4096));
    let list: Vec<Op<Box<[u8]>>> = list.collect();
    for (number, read) in (0..).zip(lio_listio(&queue, Mode::Wait, list).await) {
        let (result, data) = read.await;
        assert_eq!((result.unwrap(), data), (8, Box::from([number; 8])));
    }
    // Arrays and types of one's own are buffers too.
    let (result, data) = queue.submit(Op::read_at(&file, [0; 4], 4094)).await.await;
    assert_eq!((result.unwrap(), data), (4, [0, 0, 1, 1]));
    queue.drain().await;
    assert_eq!(queue.in_flight(), 0);
}

fn each(mut run: impl FnMut(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>)) {
    for _ in 0..5 {
        run(Box::pin(scenario(std::sync::Arc::new(Scratch::new(&[])))));
    }
}

#[test]
fn in_an_executor_of_one_thread() {
    within(LIMIT, || each(foreign_block_on));
}

#[test]
fn in_the_executor_of_futures() {
    within(LIMIT, || each(futures::executor::block_on));
}

#[test]
fn in_tokio() {
    within(LIMIT, || {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        each(|scenario| tokio.block_on(tokio.spawn(scenario)).unwrap());
        each(|scenario| tokio.block_on(scenario));
    });
}

#[test]
fn in_runtimes_of_ours() {
    within(LIMIT, || {
        for detector in detectors() {
            let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
            each(|scenario| runtime.block_on(runtime.spawn(scenario)).unwrap());
            each(|scenario| runtime.block_on(scenario));
            let many: Vec<_> = (0..8)
                .map(|_| runtime.spawn(scenario(std::sync::Arc::new(Scratch::new(&[])))))
                .collect();
            many.into_iter().for_each(|one| runtime.block_on(one).unwrap());
            let single = build(&mut Builder::new_current_thread(), detector);
            each(|scenario| single.block_on(scenario));
            each(|scenario| single.block_on(single.spawn(scenario)).unwrap());
        }
    });
}

/// On a core of its own a task whose data is always in memory would be the only one to run.
#[test]
fn others_have_their_turn() {
    within(LIMIT, || {
        // Nobody takes the core away.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).rescue(false).detector(Detector::Off);
        let runtime = builder.build().unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let busy = runtime.spawn(async move {
            let queue = Queue::new(4);
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                queue.submit(Op::nop()).await.await.0.unwrap();
            }
        });
        let other = runtime.spawn(async move {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        runtime.block_on(other).unwrap();
        runtime.block_on(busy).unwrap();
    });
}

/// A queue outlives the runtime that ran its first operations.
#[test]
fn from_one_runtime_to_the_next() {
    within(LIMIT, || {
        let queue = Queue::new(64);
        let mut left = Vec::new();
        for _ in 0..3 {
            let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
            runtime.block_on(async {
                for n in 0..10 {
                    let call = Op::call(move || {
                        std::thread::sleep(Duration::from_millis(1));
                        Ok(n)
                    });
                    left.push((n, queue.submit(call).await));
                    queue.barrier();
                }
            });
        }
        for (n, one) in left {
            assert_eq!(foreign_block_on(one).0.unwrap(), n);
        }
    });
}

#[test]
fn what_is_in_memory_needs_no_thread() {
    if !alone(LIMIT) {
        return;
    }
    if os::is_filtered() {
        return say("SKIPPED: asked (a seccomp filter is active)");
    }
    let data: Vec<u8> = (0..300_000_u32).map(|n| (n / 251) as u8).collect();
    let scratch = Scratch::new(&data);
    if os::refuses_to_be_asked(&scratch.open()) {
        return say("SKIPPED: asked (the file system of the build refuses)");
    }
    let threads = os::thread_names().len();
    let file = File::from(scratch.open());
    let queue = Queue::new(4);
    foreign_block_on(async {
        for n in 0..1000_u64 {
            let offset = n * 293;
            let mut read = queue.submit(Op::read_at(&file, vec![0; 4096], offset)).await;
            assert!(read.is_ended(), "within `submit`");
            let (result, page) = (&mut read).await;
            assert_eq!(result.unwrap(), 4096);
            assert!(page == data[offset as usize..][..4096]);
            queue.barrier();
            queue.fence();
        }
        // The last bytes, and what is behind them.
        let end = queue.submit(Op::read_at(&file, vec![0; 4096], 299_000)).await;
        assert_eq!(end.await.0.unwrap(), 1000);
        let behind = queue.submit(Op::read_at(&file, vec![0; 4096], 300_000)).await;
        assert_eq!(behind.await.0.unwrap(), 0);
        let list = (0..16).map(|n| Op::read_at(&file, vec![0; 512], n * 512));
        let ended = lio_listio(&queue, Mode::Wait, list).await;
        assert!(ended.iter().all(|read| read.is_ended()));
        queue.drain().await;
    });
    assert_eq!(os::thread_names().len(), threads, "{:?}", os::thread_names());
    assert_eq!(support::threads_named("threadlet-global"), 0);

    // What a barrier holds back runs on a thread, and is right too.
    let slow = queue.try_submit(Op::call(|| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(0)
    }));
    queue.barrier();
    let read = queue.try_submit(Op::read_at(&file, vec![0; 4096], 4096)).unwrap();
    assert!(!read.is_ended());
    let (result, page) = foreign_block_on(read);
    assert_eq!(result.unwrap(), 4096);
    assert!(page == data[4096..8192] && slow.unwrap().is_ended());
}
