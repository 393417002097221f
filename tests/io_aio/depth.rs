//! How many may be under way, and how many may run.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use threadlet::aio::{File, Mode, Op, Queue, lio_listio};

use crate::support::{Barrier, foreign_block_on, wait_until, within};
use crate::{LIMIT, Scratch, blocked, counted, drain, errno, in_each_runtime, poll_now};

#[test]
fn room_for_no_more_than_the_depth() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let (queue, barrier) = (Queue::new(3), Barrier::default());
            let mut three: Vec<_> =
                (0..3).map(|_| queue.try_submit(blocked(&barrier)).unwrap()).collect();
            assert_eq!((queue.depth(), queue.in_flight()), (3, 3));
            let full = queue.try_submit(Op::nop().with(vec![7])).unwrap_err();
            assert!(full.to_string().contains("full"), "{full} {full:?}");
            assert_eq!(full.into_op().into_buffer(), [7], "nothing is lost");
            let error = std::io::Error::from(queue.try_submit(Op::nop()).unwrap_err());
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);

            // They get room in the order in which they came; one goes away.
            let count = Arc::new(AtomicUsize::new(0));
            let mut waiting: Vec<_> =
                (0..3).map(|_| Box::pin(queue.submit(counted(&count)))).collect();
            assert!(waiting.iter_mut().all(|submit| poll_now(submit).is_pending()));
            drop(waiting.remove(1));
            wait_until("three run", || barrier.came() == 3);
            barrier.let_go(1);
            let first = foreign_block_on(waiting.remove(0));
            assert_eq!(foreign_block_on(first).0.unwrap(), 0);
            let third = foreign_block_on(waiting.remove(0));
            assert_eq!(foreign_block_on(third).0.unwrap(), 1, "the second was never submitted");
            barrier.let_go(2);
            for completion in &mut three {
                assert_eq!(foreign_block_on(completion).0.unwrap(), 1);
            }
            assert_eq!(queue.in_flight(), 0);
        });
    });
}

/// One that was given room and goes without having used it hands it on.
#[test]
fn room_that_is_not_used_is_handed_on() {
    within(LIMIT, || {
        let (queue, barrier) = (Queue::new(1), Barrier::default());
        let running = queue.try_submit(blocked(&barrier)).unwrap();
        let mut two: Vec<_> = (0..2).map(|_| Box::pin(queue.submit(Op::nop()))).collect();
        assert!(two.iter_mut().all(|submit| poll_now(submit).is_pending()));
        barrier.let_go(1);
        foreign_block_on(running).0.unwrap();
        assert!(poll_now(&mut two[1]).is_pending(), "not its turn");
        drop(two.remove(0));
        foreign_block_on(foreign_block_on(two.remove(0))).0.unwrap();
        assert_eq!(queue.in_flight(), 0);
    });
}

#[test]
fn no_more_run_than_threads_are_allowed() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let (queue, barrier) = (Queue::new(10).max_threads(2), Barrier::default());
            let all: Vec<_> =
                (0..10).map(|_| queue.try_submit(blocked(&barrier)).unwrap()).collect();
            for round in 1..=5 {
                wait_until("two run", || barrier.came() == 2 * round);
                std::thread::sleep(std::time::Duration::from_millis(2));
                assert_eq!(barrier.came(), 2 * round);
                barrier.let_go(2);
            }
            all.into_iter().for_each(|one| assert_eq!(foreign_block_on(one).0.unwrap(), 1));
        });
    });
}

#[test]
fn ten_thousand_at_once() {
    const COUNT: usize = 10_000;
    within(LIMIT, || {
        let scratch = Scratch::new(&[3; 8192]);
        in_each_runtime(|| {
            static RUNNING: AtomicUsize = AtomicUsize::new(0);
            static MOST: AtomicUsize = AtomicUsize::new(0);
            let file = File::from(scratch.open());
            let queue = Queue::new(COUNT);
            let list = (0..COUNT).map(|n| match n % 4 {
                0 => Op::read_at(&file, vec![0; 16], n as u64 % 8000),
                1 => Op::write_at(&file, vec![3; 16], n as u64 % 8000),
                2 => Op::nop().with(vec![3; 16]),
                _ => Op::call(|| {
                    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    RUNNING.fetch_sub(1, Ordering::SeqCst);
                    Ok(16)
                })
                .with(vec![3; 16]),
            });
            let completions = foreign_block_on(lio_listio(&queue, Mode::NoWait, list));
            assert_eq!(completions.len(), COUNT);
            for (n, completion) in completions.into_iter().enumerate() {
                let (result, data) = foreign_block_on(completion);
                assert_eq!(result.unwrap(), if n % 4 == 2 { 0 } else { 16 });
                assert_eq!(data, [3; 16]);
            }
            assert_eq!(queue.in_flight(), 0);
            assert!(MOST.load(Ordering::SeqCst) <= 64);
        });
    });
}

/// Behind a barrier too, and all of them given up.
#[test]
fn ten_thousand_held_back() {
    within(LIMIT, || {
        let (queue, barrier) = (Queue::new(10_001), Barrier::default());
        let count = Arc::new(AtomicUsize::new(0));
        let first = queue.try_submit(blocked(&barrier)).unwrap();
        let mut held = Vec::new();
        for _ in 0..10_000 {
            queue.barrier();
            held.push(queue.try_submit(counted(&count)).unwrap());
        }
        let last = held.pop();
        drop(held);
        assert_eq!(queue.in_flight(), 2);
        barrier.let_go(1);
        foreign_block_on(first).0.unwrap();
        assert_eq!(foreign_block_on(last.unwrap()).0.unwrap(), 0, "no other has run");
    });
}

#[test]
fn each_element_of_a_list_has_its_own_error() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let scratch = Scratch::new(b"0123456789");
            let read_only = File::from(std::fs::File::open(&scratch.0).unwrap());
            let directory = File::from(std::fs::File::open("/").unwrap());
            let (reader, _writer) = crate::support::os::pipe();
            let list = || {
                vec![
                    Op::read_at(&read_only, vec![0; 4], 3),
                    Op::write_at(&read_only, vec![0; 4], 0),
                    Op::read_at(&directory, vec![0; 4], 0),
                    Op::read_at(&File::from(reader.try_clone().unwrap()), vec![0; 4], 0),
                    Op::nop().with(vec![1]),
                    Op::read_at(&read_only, vec![0; 4], 8),
                    Op::read_at(&read_only, vec![0; 4], u64::MAX),
                    Op::fsync(&read_only).with(vec![2]),
                ]
            };
            let check = |results: Vec<(std::io::Result<usize>, Vec<u8>)>| {
                let mut results = results.into_iter();
                let mut next = || results.next().unwrap();
                let (result, data) = next();
                assert_eq!((result.unwrap(), &data[..]), (4, &b"3456"[..]));
                for error in [libc::EBADF, libc::EISDIR, libc::ESPIPE] {
                    let (result, data) = next();
                    assert_eq!((errno(result), data.len()), (Some(error), 4));
                }
                assert_eq!(next().1, [1]);
                let (result, data) = next();
                assert_eq!((result.unwrap(), &data[..2]), (2, &b"89"[..]));
                assert_eq!(errno(next().0), Some(libc::EINVAL));
                assert_eq!((next().0.unwrap(), results.len()), (0, 0));
            };
            let queue = Queue::new(2);
            let ended = foreign_block_on(lio_listio(&queue, Mode::Wait, list()));
            assert!(ended.iter().all(|completion| completion.is_ended()));
            check(ended.into_iter().map(foreign_block_on).collect());
            let queue = Queue::new(8);
            let submitted = foreign_block_on(lio_listio(&queue, Mode::NoWait, list()));
            check(submitted.into_iter().map(foreign_block_on).collect());
            let none = lio_listio(&queue, Mode::Wait, Vec::<Op<()>>::new());
            assert!(foreign_block_on(none).is_empty());
        });
    });
}

/// What there is no room for is an error of that element, and what there is room for is run.
#[test]
fn a_list_that_does_not_wait_takes_what_there_is_room_for() {
    within(LIMIT, || {
        let (queue, barrier) = (Queue::new(2), Barrier::default());
        let list = (0..3).map(|n| blocked(&barrier).with(n));
        let mut list = pin!(lio_listio(&queue, Mode::NoWait, list));
        let std::task::Poll::Ready(mut completions) = poll_now(&mut list) else {
            panic!("it does not wait")
        };
        let (result, third) = foreign_block_on(completions.pop().unwrap());
        assert_eq!((errno(result), third), (Some(libc::EAGAIN), 2));
        assert!(completions.iter().all(|completion| !completion.is_ended()));
        barrier.let_go(2);
        drain(&queue);
        for (number, completion) in completions.into_iter().enumerate() {
            let (result, carried) = foreign_block_on(completion);
            assert_eq!((result.unwrap(), carried), (1, number));
        }
    });
}
