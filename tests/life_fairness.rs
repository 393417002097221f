//! Who waits for whom: what comes from outside, and wakers that are somebody else's.

mod support;

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::channel::oneshot;
use support::{PATIENCE, wait_until, within};
use threadlet::net::UnixStream;
use threadlet::runtime::Builder;
use threadlet::{task, threadlet, time};

/// The story: two tasks compute for a millisecond in each poll, and yield. The shared queue was
/// asked for one task every 61 polls, so twenty tasks from outside waited for more than a second.
#[test]
fn tasks_from_outside_have_their_turn_beside_long_polls() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).build().unwrap();
    let busy = [(); 2].map(|()| {
        runtime.spawn(async {
            loop {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(1) {}
                task::yield_now().await;
            }
        })
    });
    std::thread::sleep(Duration::from_millis(50));
    let (ran, wait) = mpsc::channel();
    let began = Instant::now();
    for _ in 0..20 {
        let ran = ran.clone();
        runtime.spawn(async move { ran.send(()).unwrap() });
    }
    (0..20).for_each(|_| wait.recv_timeout(PATIENCE).expect("each of them runs"));
    let took = began.elapsed();
    busy.iter().for_each(|task| task.abort());
    assert!(took < Duration::from_millis(400), "{took:?}");
}

/// The story: a task that yields until something has come over a socket was polled up to 61 times
/// for a look at the sockets, with nobody else in line.
#[test]
fn a_socket_has_its_turn_when_a_task_yields_alone() {
    async fn yields() {
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let here = UnixStream::from_std(here).unwrap();
        for turn in 0..200 {
            while here.try_read(&mut [0; 8]).is_ok() {}
            assert!(here.readable().now_or_never().is_none());
            (&there).write_all(b"x").unwrap();
            task::yield_now().await;
            assert!(here.readable().now_or_never().is_some(), "turn {turn}");
        }
    }
    within(PATIENCE, || {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(yields());
        runtime.block_on(async { threadlet::spawn(yields()).await.unwrap() });
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async { threadlet::spawn(yields()).await.unwrap() });
    });
}

/// The story: one of two workers was off its CPU for 4 ms, with twenty tasks in its queue; the other
/// had always something of its own to do, and stole none of them.
#[test]
fn a_busy_seat_takes_the_tasks_of_one_that_is_held_up() {
    within(3 * PATIENCE, || {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).rescue(false).build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        // The seat that does not compute has always these in line.
        for _ in 0..4 {
            let stop = stop.clone();
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_micros(20) {}
                    task::yield_now().await;
                }
            });
        }
        let ran = Arc::new(AtomicUsize::new(0));
        let computes = runtime.spawn(async move {
            for _ in 0..50 {
                let ran = ran.clone();
                threadlet::spawn(async move { ran.fetch_add(1, Ordering::Relaxed) });
            }
            let began = Instant::now();
            // The last of them waits in the slot that belongs to this very poll.
            while ran.load(Ordering::Relaxed) < 49 && began.elapsed() < PATIENCE {}
            ran.load(Ordering::Relaxed)
        });
        let ran = runtime.block_on(computes).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(ran >= 49, "{ran} of 50 ran beside a poll that computes");
    });
}

/// A waker that waits for a lock before it wakes.
struct Slow {
    lock: Arc<Mutex<()>>,
    inner: Waker,
}

impl Wake for Slow {
    fn wake(self: Arc<Self>) {
        drop(self.lock.lock());
        self.inner.wake_by_ref();
    }
}

#[test]
fn a_waker_that_blocks_holds_up_no_other_timer() {
    within(3 * PATIENCE, || {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().unwrap();
        let at = Instant::now() + Duration::from_millis(100);
        let (theirs, mut sleep) = (lock.clone(), Box::pin(time::sleep_until(at.into())));
        let slow = runtime.spawn(poll_fn(move |cx| {
            let waker = Arc::new(Slow { lock: theirs.clone(), inner: cx.waker().clone() });
            sleep.as_mut().poll(&mut Context::from_waker(&Waker::from(waker)))
        }));
        std::thread::sleep(Duration::from_millis(20));
        let others: Vec<_> = (0..10).map(|_| runtime.spawn(time::sleep_until(at.into()))).collect();
        wait_until("the others have fired", || others.iter().all(|task| task.is_finished()));
        assert!(!slow.is_finished());
        drop(held);
        runtime.block_on(slow).unwrap();
    });
}

/// The story: a permit comes back, and the thread that gave it back, a spare already, calls the
/// waker of the one that waits for it. The waker blocks until a task of the only core has run; that
/// core was handed to this very spare.
#[test]
fn a_spare_calls_no_waker_that_blocks() {
    struct Rendezvous(mpsc::SyncSender<()>);
    impl Wake for Rendezvous {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    within(3 * PATIENCE, || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).max_async_threads(3).min_spare_threads(1);
        let runtime = builder.thread_keep_alive(Duration::from_millis(20)).build().unwrap();
        let blocked = [(); 3].map(|()| {
            let (let_go, wait) = mpsc::channel::<()>();
            (let_go, runtime.spawn(async move { threadlet!(will_block; wait.recv().is_ok()) }))
        });
        wait_until("all permits are taken", || runtime.metrics().permits_free == 0);
        let (tell, told) = mpsc::sync_channel(0);
        let executor = runtime.spawn(async move {
            let mut call: Pin<Box<dyn Future<Output = u32> + Send>> =
                Box::pin(async { threadlet!(will_block; 5) });
            let waker = Waker::from(Arc::new(Rendezvous(tell)));
            assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            time::sleep(Duration::from_millis(300)).await;
            while told.try_recv().is_err() {
                time::sleep(Duration::from_millis(1)).await;
            }
            call.as_mut().poll(&mut Context::from_waker(&waker))
        });
        std::thread::sleep(Duration::from_millis(50));
        for (let_go, _) in &blocked {
            let_go.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(100));
        let call = runtime
            .spawn(async { threadlet!(will_block; std::thread::sleep(Duration::from_millis(20))) });
        wait_until("everybody is done", || call.is_finished() && executor.is_finished());
        assert_eq!(runtime.block_on(executor).unwrap(), Poll::Ready(5));
    });
}

/// Unmarked blocks have a part of the permits, but the last core goes on as long as any is free.
#[test]
fn unmarked_blocks_never_stop_the_last_core() {
    within(3 * PATIENCE, || {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).max_async_threads(64).build().unwrap();
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().unwrap();
        let waiting: Vec<_> = (0..40)
            .map(|_| {
                let lock = lock.clone();
                runtime.spawn(async move { drop(lock.lock()) })
            })
            .collect();
        wait_until("one core has gone on and on", || runtime.metrics().async_threads > 30);
        let other = runtime.spawn(async { 7 });
        wait_until("a task behind them has run", || other.is_finished());
        drop(held);
        waiting.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    });
}

/// The story: tests written for tokio spawn some tasks, yield once, and count on all of them. The root
/// was polled again behind the first of them; and the task that was spawned last came first.
#[test]
fn a_root_that_yields_gives_way_to_all_in_line_in_their_order() {
    within(PATIENCE, || {
        let runtime = Builder::new_current_thread().build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |number: usize| order.lock().unwrap().push(number);
        runtime.block_on(async {
            let mut senders = Vec::new();
            for number in 0..40 {
                let (order, (sender, receiver)) = (order.clone(), oneshot::channel::<()>());
                senders.push(sender);
                threadlet::spawn(async move {
                    order.lock().unwrap().push(number);
                    receiver.await.unwrap();
                    order.lock().unwrap().push(100 + number);
                });
            }
            task::yield_now().await;
            note(50);
            senders.into_iter().rev().for_each(|sender| sender.send(()).unwrap());
            task::yield_now().await;
            note(200);
        });
        let expected: Vec<_> = (0..40).chain([50]).chain((100..140).rev()).chain([200]).collect();
        assert_eq!(*order.lock().unwrap(), expected);
    });
}

/// Nor do tasks that are always in line keep the root from its turn.
#[test]
fn a_root_has_its_turn_beside_tasks_that_yield_for_ever() {
    within(PATIENCE, || {
        let runtime = Builder::new_current_thread().build().unwrap();
        let polls = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            for _ in 0..500 {
                let polls = polls.clone();
                threadlet::spawn(async move {
                    loop {
                        polls.fetch_add(1, Ordering::Relaxed);
                        task::yield_now().await;
                    }
                });
            }
            for _ in 0..100 {
                task::yield_now().await;
            }
        });
        let polls = polls.load(Ordering::Relaxed);
        assert!((2_000..10_000).contains(&polls), "{polls}: 61 between two turns of the root");
    });
}
