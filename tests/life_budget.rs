//! What is always ready lets others have their turn: the cooperative budget.

mod support;

use std::future::{Future, pending, poll_fn};
use std::io::{Cursor, SeekFrom};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{Either, FutureExt, join_all, select};
use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use support::{PATIENCE, foreign_block_on, wait_until, within};
use threadlet::net::{TcpListener, TcpStream, UnixStream};
use threadlet::runtime::{Builder, Runtime};
use threadlet::task::coop;
use threadlet::{Unblock, aio, fs, task, threadlet, time};

/// How many units a poll has.
const UNITS: usize = 128;

/// How often each case finds something ready.
const MANY: usize = 1000;

/// What is always ready, `MANY` times.
type Case = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Nobody else looks after a task that goes on and on.
fn runtime(current_thread: bool) -> Runtime {
    let mut builder = match current_thread {
        true => Builder::new_current_thread(),
        false => Builder::new_multi_thread(),
    };
    if !current_thread {
        builder.worker_threads(1);
    }
    builder.rescue(false).build().unwrap()
}

/// A stream at its end: a read is always ready.
async fn at_its_end() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    drop(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    let mut stream = listener.accept().await.unwrap().0;
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    stream
}

async fn streams() -> Vec<(&'static str, Case)> {
    let (mut reads, peeks) = (at_its_end().await, at_its_end().await);
    // Not TCP: on a busy machine the kernel passes a segment on a little later, and whoever waits
    // for it in a poll, where nobody else looks after the sockets, waits for ever.
    let (mut writes, mut takes) = UnixStream::pair().unwrap();
    vec![
        (
            "reads",
            Box::pin(async move {
                for _ in 0..MANY {
                    assert_eq!(reads.read(&mut [0; 8]).await.unwrap(), 0);
                }
            }),
        ),
        (
            "peeks",
            Box::pin(async move {
                for _ in 0..MANY {
                    assert_eq!(peeks.peek(&mut [0; 8]).await.unwrap(), 0);
                }
            }),
        ),
        (
            "writes and reads of what is there",
            Box::pin(async move {
                for _ in 0..MANY / 2 {
                    writes.write_all(b"x").await.unwrap();
                    takes.read_exact(&mut [0]).await.unwrap();
                }
            }),
        ),
    ]
}

async fn timers() -> Vec<(&'static str, Case)> {
    let ago = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
    vec![
        (
            "sleeps that are over",
            Box::pin(async {
                for _ in 0..MANY {
                    time::sleep(Duration::ZERO).await;
                }
            }),
        ),
        (
            "one sleep that is over",
            Box::pin(async {
                let mut sleep = pin!(time::sleep(Duration::ZERO));
                for _ in 0..MANY {
                    sleep.as_mut().await;
                }
            }),
        ),
        (
            "ticks that are due",
            Box::pin(async move {
                let mut interval = time::interval_at(ago.into(), Duration::from_millis(1));
                for _ in 0..MANY {
                    interval.tick().await;
                }
            }),
        ),
        (
            "limits that are over",
            Box::pin(async {
                for _ in 0..MANY {
                    time::timeout(Duration::ZERO, pending::<()>()).await.unwrap_err();
                }
            }),
        ),
    ]
}

async fn files() -> Vec<(&'static str, Case)> {
    let mut seeks = fs::File::open("/etc/passwd").await.unwrap();
    let mut flushes = fs::File::open("/etc/passwd").await.unwrap();
    let mut entries = fs::read_dir("/etc").await.unwrap();
    let file = aio::File::from(std::fs::File::open("/etc/passwd").unwrap());
    let queue = aio::Queue::new(8);
    vec![
        (
            "seeks",
            Box::pin(async move {
                for _ in 0..MANY {
                    seeks.seek(SeekFrom::Current(0)).await.unwrap();
                }
            }),
        ),
        (
            "flushes",
            Box::pin(async move {
                for _ in 0..MANY {
                    flushes.flush().await.unwrap();
                }
            }),
        ),
        (
            "entries behind the last",
            Box::pin(async move {
                while entries.next_entry().await.unwrap().is_some() {}
                for _ in 0..MANY {
                    assert!(entries.next_entry().await.unwrap().is_none());
                }
            }),
        ),
        (
            "reads of what is in memory",
            Box::pin(async move {
                // It is in memory only if somebody has read it of late; what is not is read by another
                // task, for which there may be no core.
                std::fs::read("/etc/passwd").unwrap();
                for _ in 0..MANY {
                    let read = queue.submit(aio::Op::read_at(&file, vec![0; 8], 0)).await;
                    read.await.0.unwrap();
                }
            }),
        ),
    ]
}

async fn others() -> Vec<(&'static str, Case)> {
    let ended: Vec<_> = (0..MANY).map(|_| task::spawn(async {})).collect();
    while !ended.iter().all(|task| task.is_finished()) {
        time::sleep(Duration::from_millis(1)).await;
    }
    let mut bytes = Unblock::new(Cursor::new(vec![0; 2 * MANY]));
    bytes.read_exact(&mut [0]).await.unwrap();
    let mut items = Unblock::with_capacity(2 * MANY, 0..2 * MANY);
    items.next().await.unwrap();
    // The items come one by one.
    time::sleep(Duration::from_millis(100)).await;
    vec![
        (
            "the ends of tasks",
            Box::pin(async move {
                for task in ended {
                    task.await.unwrap();
                }
            }),
        ),
        (
            "bytes that were read ahead",
            Box::pin(async move {
                for _ in 0..MANY {
                    bytes.read_exact(&mut [0]).await.unwrap();
                }
            }),
        ),
        (
            "items that were taken ahead",
            Box::pin(async move {
                for _ in 0..MANY {
                    items.next().await.unwrap();
                }
            }),
        ),
        (
            "calls",
            Box::pin(async {
                for nth in 0..MANY {
                    assert_eq!(threadlet!(nth + 1), nth + 1);
                }
            }),
        ),
        (
            "units",
            Box::pin(async {
                for _ in 0..MANY {
                    coop::consume_budget().await;
                }
            }),
        ),
        (
            "what is wrapped",
            Box::pin(async {
                for _ in 0..MANY {
                    coop::cooperative(async {}).await;
                }
            }),
        ),
    ]
}

async fn cases() -> Vec<(&'static str, Case)> {
    let mut all = streams().await;
    all.extend(timers().await);
    // Where nothing is asked, a file is never ready at once.
    if !support::skip("asked") {
        all.extend(files().await);
    }
    all.extend(others().await);
    all
}

/// Polls `future` to its end, and returns how many polls that took.
async fn polls(future: impl Future) -> usize {
    let (mut future, mut polls) = (pin!(future), 0);
    poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx).map(drop)
    })
    .await;
    polls
}

#[track_caller]
fn assert_polls(what: &str, polls: usize) {
    assert!(polls > MANY / UNITS, "{what}: {polls} polls for {MANY}");
    assert!(polls < MANY / 10, "{what}: {polls} polls for {MANY}");
}

#[test]
fn what_is_always_ready_yields_in_a_task_and_in_a_root() {
    for current_thread in [false, true] {
        within(3 * PATIENCE, move || {
            let runtime = runtime(current_thread);
            runtime.block_on(async {
                for (what, case) in cases().await {
                    assert_polls(what, polls(case).await);
                }
            });
            let task = runtime.spawn(async {
                for (what, case) in cases().await {
                    assert_polls(what, task::spawn(polls(case)).await.unwrap());
                }
            });
            runtime.block_on(task).unwrap();
        });
    }
}

/// A stranger's executor, whose thread knows the runtime: no more than one poll, for there is
/// nobody whose turn it could be.
#[test]
fn outside_of_our_polls_nothing_is_refused() {
    within(3 * PATIENCE, || {
        let runtime = runtime(false);
        let _entered = runtime.enter();
        for (what, mut case) in foreign_block_on(cases()) {
            // (The two that another thread has a hand in are left out.)
            if !["entries behind the last", "reads of what is in memory"].contains(&what) {
                let poll = case.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(poll.is_ready(), "{what}");
            }
        }
    });
}

/// The story: in tokio, `futures::executor::block_on` in a task is refused for ever once the task
/// has spent its budget, as the task's poll cannot end.
#[test]
fn a_stranger_s_executor_within_a_task_comes_to_its_end() {
    within(3 * PATIENCE, || {
        let runtime = runtime(false);
        let task = runtime.spawn(async {
            for (_, case) in cases().await {
                foreign_block_on(case);
            }
            for (_, case) in cases().await {
                threadlet::run(|| foreign_block_on(case));
            }
        });
        runtime.block_on(task).unwrap();
        runtime.block_on(async {
            for (_, case) in cases().await {
                foreign_block_on(case);
            }
        });
    });
}

/// A runtime within a task of another: its root has a budget of its own, and the task has its own
/// again behind it.
#[test]
fn a_block_on_within_a_poll_has_a_budget_of_its_own() {
    within(PATIENCE, || {
        let outer = runtime(false);
        let task = outer.spawn(polls(async {
            for current_thread in [false, true] {
                let inner = runtime(current_thread);
                let took = inner.block_on(polls(units(MANY)));
                assert_polls("units of the inner", took);
            }
            units(MANY).await;
        }));
        assert_polls("units of the outer", outer.block_on(task).unwrap());
    });
}

async fn units(count: usize) {
    for _ in 0..count {
        coop::consume_budget().await;
    }
}

/// Never ends, and is never pending for anything but the budget.
async fn for_ever() {
    let mut stream = at_its_end().await;
    loop {
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

#[test]
fn a_loop_on_a_ready_socket_ends_with_its_limit() {
    for current_thread in [false, true] {
        within(PATIENCE, move || {
            let runtime = runtime(current_thread);
            let limit = Duration::from_millis(20);
            runtime.block_on(time::timeout(limit, for_ever())).unwrap_err();
            let task = runtime.spawn(time::timeout(limit, for_ever()));
            runtime.block_on(task).unwrap().unwrap_err();
        });
    }
}

/// One that is always polled behind the loop, with nothing left of the budget.
#[test]
fn a_timer_beside_a_loop_on_a_ready_socket_fires() {
    for current_thread in [false, true] {
        within(PATIENCE, move || {
            let runtime = runtime(current_thread);
            for wait in [Duration::ZERO, Duration::from_millis(20)] {
                let first = runtime.block_on(async {
                    select(pin!(for_ever()), pin!(time::sleep(wait)))
                        .map(|first| match first {
                            Either::Left(_) => "the loop",
                            Either::Right(_) => "the timer",
                        })
                        .await
                });
                assert_eq!(first, "the timer");
            }
        });
    }
}

#[test]
fn a_loop_on_a_ready_socket_is_aborted_and_shut_down() {
    for current_thread in [false, true] {
        within(PATIENCE, move || {
            let runtime = runtime(current_thread);
            runtime.block_on(async {
                let task = task::spawn(for_ever());
                time::sleep(Duration::from_millis(20)).await;
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
                drop(task::spawn(for_ever()));
                time::sleep(Duration::from_millis(20)).await;
            });
            drop(runtime);
        });
    }
}

#[test]
fn calls_in_a_root_end_with_their_limit() {
    for current_thread in [false, true] {
        within(PATIENCE, move || {
            let calls = async {
                loop {
                    threadlet!(());
                }
            };
            let limit = Duration::from_millis(20);
            runtime(current_thread).block_on(time::timeout(limit, calls)).unwrap_err();
        });
    }
}

/// In the very poll in which the others have used up the budget.
#[test]
fn a_limit_looks_at_the_clock_though_the_budget_is_spent() {
    let took = runtime(false).block_on(polls(async {
        time::timeout(Duration::ZERO, units(usize::MAX)).await.unwrap_err();
    }));
    assert_eq!(took, 1);
}

/// Each of many has its part of a poll that goes on though it is refused.
#[test]
fn a_join_of_very_many_ends_its_polls() {
    within(PATIENCE, || {
        let all = async {
            join_all((0..MANY).map(|_| units(MANY))).await;
        };
        let took = runtime(false).block_on(polls(all));
        assert!(took >= MANY / UNITS, "{took}");
    });
}

fn take(cx: &mut Context<'_>) -> bool {
    match coop::poll_proceed(cx) {
        Poll::Ready(unit) => {
            unit.made_progress();
            true
        }
        Poll::Pending => false,
    }
}

#[test]
fn units_are_counted_given_back_and_taken_anew() {
    runtime(false).block_on(async {
        task::yield_now().await;
        poll_fn(|cx| {
            for _ in 0..MANY {
                assert!(coop::poll_proceed(cx).is_ready(), "dropped, it gives its unit back");
            }
            for nth in 0..UNITS {
                assert!(coop::has_budget_remaining() && take(cx), "{nth}");
            }
            assert!(!coop::has_budget_remaining() && !take(cx));
            let mut free = pin!(coop::unconstrained(poll_fn(|cx| {
                assert!(coop::has_budget_remaining());
                Poll::Ready((0..MANY).all(|_| take(cx)))
            })));
            assert_eq!(free.as_mut().poll(cx), Poll::Ready(true));
            assert!(!coop::has_budget_remaining());
            Poll::Ready(())
        })
        .await;
        task::yield_now().await;
        assert!(coop::has_budget_remaining(), "it was pending");
        assert_eq!(polls(coop::unconstrained(units(MANY))).await, 1);
    });
    assert!(coop::has_budget_remaining(), "nothing is counted here");
}

/// What another did is not given back with a unit that was in vain.
#[test]
fn a_unit_that_is_given_back_is_one() {
    runtime(false).block_on(async {
        task::yield_now().await;
        poll_fn(|cx| {
            let Poll::Ready(unit) = coop::poll_proceed(cx) else { panic!("the poll has begun") };
            assert!((0..UNITS - 1).all(|_| take(cx)) && !coop::has_budget_remaining());
            drop(unit);
            assert!(take(cx) && !take(cx));
            Poll::Ready(())
        })
        .await;
    });
}

/// Others in line have their turn in between.
#[test]
fn a_loop_on_a_ready_socket_holds_up_no_other_task() {
    within(PATIENCE, || {
        let runtime = runtime(false);
        let greedy = runtime.spawn(for_ever());
        std::thread::sleep(Duration::from_millis(20));
        let others: Vec<_> = (0..100).map(|_| runtime.spawn(task::yield_now())).collect();
        wait_until("the others have ended", || others.iter().all(|task| task.is_finished()));
        greedy.abort();
    });
}
