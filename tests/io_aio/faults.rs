//! Panics, and an operating system that says no.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use threadlet::aio::{File, Op, Queue};
use threadlet::runtime::Builder;

use crate::support::{Barrier, alone, foreign_block_on, os, within};
use crate::{LIMIT, Scratch, blocked, counted, drain, in_each_runtime};

/// A buffer that lends nothing.
#[derive(Debug)]
struct Bad(u32);

impl AsMut<[u8]> for Bad {
    fn as_mut(&mut self) -> &mut [u8] {
        // Without the hook's text.
        std::panic::resume_unwind(Box::new("a bad buffer"))
    }
}

#[test]
fn a_panic_is_an_error_of_its_operation() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let scratch = Scratch::new(&[0; 64]);
            let file = File::from(scratch.open());
            let queue = Queue::new(8);
            let call: fn() -> std::io::Result<usize> =
                || std::panic::resume_unwind(Box::new(String::from("a bad call")));
            let thrown = queue.try_submit(Op::call(call)).unwrap();
            queue.barrier();
            let held = queue.try_submit(Op::read_at(&file, Bad(7), 0)).unwrap();
            let error = foreign_block_on(thrown).0.unwrap_err();
            assert!(error.to_string().contains("a bad call"), "{error}");
            let (result, buffer) = foreign_block_on(held);
            let error = result.unwrap_err();
            assert!(error.to_string().contains("a bad buffer"), "{error}");
            assert_eq!(buffer.0, 7, "it comes back");
            // Within `submit`, if the file can be asked.
            let asked = queue.try_submit(Op::read_at(&file, Bad(8), 0)).unwrap();
            assert!(foreign_block_on(asked).0.is_err());
            assert_eq!(queue.in_flight(), 0);
            let good = queue.try_submit(Op::read_at(&file, vec![0; 64], 0)).unwrap();
            assert_eq!(foreign_block_on(good).0.unwrap(), 64);
        });
    });
}

struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("a bad waker"))
    }
}

/// Neither the others' turn nor their room is lost by it.
#[test]
fn a_waker_that_panics_harms_nobody() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let (queue, barrier) = (Queue::new(2), Barrier::default());
            let count = Arc::new(AtomicUsize::new(0));
            let bad = Waker::from(Arc::new(BadWaker));
            let mut running = queue.try_submit(blocked(&barrier)).unwrap();
            queue.barrier();
            let held = queue.try_submit(counted(&count)).unwrap();
            let mut room = Box::pin(queue.submit(counted(&count)));
            let mut drained = Box::pin(queue.drain());
            {
                let mut cx = Context::from_waker(&bad);
                let poll = std::pin::Pin::new(&mut running);
                assert!(std::future::Future::poll(poll, &mut cx).is_pending());
                assert!(std::future::Future::poll(room.as_mut(), &mut cx).is_pending());
                assert!(std::future::Future::poll(drained.as_mut(), &mut cx).is_pending());
            }
            barrier.let_go(1);
            assert_eq!(foreign_block_on(held).0.unwrap(), 0);
            assert_eq!(foreign_block_on(foreign_block_on(room)).0.unwrap(), 1);
            foreign_block_on(drained);
            assert_eq!(foreign_block_on(running).0.unwrap(), 1);
            drain(&queue);
        });
    });
}

/// A buffer whose `Drop` panics, in an operation that nobody waits for.
#[test]
fn a_drop_that_panics_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                std::panic::resume_unwind(Box::new("a bad drop"));
            }
        }
    }
    within(LIMIT, || {
        in_each_runtime(|| {
            let queue = Queue::new(8).max_threads(1);
            let (count, barrier) = (Arc::new(AtomicUsize::new(0)), Barrier::default());
            let first = queue.try_submit(blocked(&barrier)).unwrap();
            for _ in 0..4 {
                queue.try_submit(counted(&count).with(Bomb)).unwrap().detach();
            }
            barrier.let_go(1);
            assert_eq!(foreign_block_on(first).0.unwrap(), 1);
            drain(&queue);
            assert_eq!(count.load(Ordering::SeqCst), 4);
        });
    });
}

#[test]
fn without_a_single_thread() {
    if !alone(LIMIT) {
        return;
    }
    let scratch = Scratch::new(&[5; 8192]);
    let file = File::from(scratch.open());
    os::become_nobody();
    let limit = os::set_thread_limit(0);
    let threads = os::thread_names().len();
    let queue = Queue::new(64);
    let here = std::thread::current().id();
    for round in 0..20_u64 {
        let call = Op::call(move || {
            assert_eq!(std::thread::current().id(), here);
            Ok(9)
        });
        let call = queue.try_submit(call).unwrap();
        queue.barrier();
        let write = queue.try_submit(Op::write_at(&file, [5; 100], round)).unwrap();
        let sync = queue.try_submit(Op::fdatasync(&file)).unwrap();
        assert_eq!(foreign_block_on(call).0.unwrap(), 9);
        assert_eq!(foreign_block_on(write).0.unwrap(), 100);
        assert_eq!(foreign_block_on(sync).0.unwrap(), 0);
    }
    assert_eq!(os::thread_names().len(), threads);
    os::set_thread_limit(limit);
    // Now there are some.
    let barrier = Barrier::default();
    let waits = queue.try_submit(blocked(&barrier)).unwrap();
    barrier.let_go(1);
    assert_eq!(foreign_block_on(waits).0.unwrap(), 1);
}

/// A runtime is there, and cannot grow.
#[test]
fn without_another_thread() {
    if !alone(LIMIT) {
        return;
    }
    os::become_nobody();
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let _limit = os::set_thread_limit(0);
    runtime.block_on(async {
        let queue = Queue::new(1000);
        let mut all = Vec::new();
        for n in 0..500 {
            let call = Op::call(move || {
                std::thread::sleep(Duration::from_micros(200));
                Ok(n)
            });
            all.push((n, queue.submit(call).await));
            if n % 50 == 0 {
                queue.barrier();
            }
        }
        for (n, one) in all {
            assert_eq!(one.await.0.unwrap(), n);
        }
    });
}

/// What a runtime leaves behind when it ends is run all the same.
#[test]
fn a_runtime_that_ends_under_it() {
    within(LIMIT, || {
        for _ in 0..20 {
            let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
            let queue = Queue::new(200).max_threads(3);
            let count = Arc::new(AtomicUsize::new(0));
            let entered = runtime.enter();
            let all: Vec<_> = (0..200)
                .map(|n| {
                    if n % 20 == 0 {
                        queue.barrier();
                    }
                    queue.try_submit(counted(&count)).unwrap()
                })
                .collect();
            drop(entered);
            drop(runtime);
            all.into_iter().for_each(|one| assert!(foreign_block_on(one).0.is_ok()));
            assert_eq!(count.load(Ordering::SeqCst), 200);
        }
    });
}

/// A future that is polled after its end says so.
#[test]
#[should_panic(expected = "polled again")]
fn polled_after_its_end() {
    let mut nop = Queue::new(1).try_submit(Op::nop()).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        let poll = std::future::Future::poll(std::pin::Pin::new(&mut nop), &mut cx);
        assert!(matches!(poll, Poll::Ready((Ok(0), ()))));
    }
}
