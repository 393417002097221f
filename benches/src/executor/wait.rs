//! Tasks that yield, wait for each other, and wait for a time that does not come.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use futures::channel::{mpsc, oneshot};
use futures::lock::Mutex;
use futures::{SinkExt, StreamExt};

use super::compare;
use super::countdown::Countdown;
use crate::harness::Plan;
use crate::peer::Peer;
use crate::report::Row;

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let workers = plan.workers;
    vec![
        compare!(plan, workers, "200 tasks yield 200 times", yield_many, 200, 41),
        compare!(plan, workers, "1,000 pairs ask and answer", ping_pong, 1_000, 41),
        compare!(plan, workers, "a channel, 1 to 1, 20,000 messages", channel::<1, _>, 20_000, 21),
        compare!(plan, workers, "a channel, 4 to 1, 20,000 messages", channel::<4, _>, 20_000, 21),
        compare!(plan, workers, "a contended async mutex, 4 tasks", mutex, 20_000, 21),
        compare!(plan, workers, "10,000 timeouts made and dropped", timeouts, 10_000, 41),
    ]
}

/// Some hundred tasks that yield many times.
fn yield_many<P: Peer>(runtime: &P, yields: usize) -> Duration {
    all_yield(runtime, 200, yields)
}

pub(super) fn all_yield<P: Peer>(runtime: &P, tasks: usize, yields: usize) -> Duration {
    let (countdown, done) = Countdown::new(tasks);
    runtime.run(async move {
        let begin = Instant::now();
        for _ in 0..tasks {
            let countdown = countdown.clone();
            drop(P::spawn(async move {
                for _ in 0..yields {
                    P::yield_now().await;
                }
                countdown.one_less();
            }));
        }
        done.await.expect("the last task sends");
        begin.elapsed()
    })
}

/// Many pairs of tasks, one of which asks and the other answers.
fn ping_pong<P: Peer>(runtime: &P, pairs: usize) -> Duration {
    let (countdown, done) = Countdown::new(pairs);
    runtime.run(async move {
        let begin = Instant::now();
        for _ in 0..pairs {
            let countdown = countdown.clone();
            drop(P::spawn(async move {
                let (ask, asked) = oneshot::channel();
                let (answer, answered) = oneshot::channel();
                drop(P::spawn(async move {
                    let question: u32 = asked.await.expect("the other asks");
                    answer.send(question + 1).expect("the other waits");
                }));
                ask.send(1).expect("the other waits");
                assert_eq!(answered.await, Ok(2));
                countdown.one_less();
            }));
        }
        done.await.expect("the last pair sends");
        begin.elapsed()
    })
}

/// Tasks that send through one channel, and one that receives.
fn channel<const SENDERS: usize, P: Peer>(runtime: &P, messages: usize) -> Duration {
    runtime.run(async move {
        let begin = Instant::now();
        let (sender, mut receiver) = mpsc::channel::<usize>(64);
        for _ in 0..SENDERS {
            let mut sender = sender.clone();
            drop(P::spawn(async move {
                for nth in 0..messages / SENDERS {
                    sender.send(nth).await.expect("somebody receives");
                }
            }));
        }
        drop(sender);
        let mut received = 0;
        while receiver.next().await.is_some() {
            received += 1;
        }
        assert_eq!(received, messages);
        begin.elapsed()
    })
}

/// Four tasks that take one lock, and yield while they have it.
fn mutex<P: Peer>(runtime: &P, turns: usize) -> Duration {
    const TASKS: usize = 4;
    let (countdown, done) = Countdown::new(TASKS);
    runtime.run(async move {
        let begin = Instant::now();
        let lock = Arc::new(Mutex::new(0));
        for _ in 0..TASKS {
            let (countdown, lock) = (countdown.clone(), lock.clone());
            drop(P::spawn(async move {
                for _ in 0..turns / TASKS {
                    let mut count = lock.lock().await;
                    P::yield_now().await;
                    *count += 1;
                }
                countdown.one_less();
            }));
        }
        done.await.expect("the last task sends");
        assert_eq!(*lock.lock().await, turns);
        begin.elapsed()
    })
}

/// One task that waits for many times, and for none of them long.
fn timeouts<P: Peer>(runtime: &P, count: usize) -> Duration {
    runtime.run(async move {
        let begin = Instant::now();
        for _ in 0..count {
            let sleep = pin!(P::sleep(Duration::from_secs(60)));
            let mut sleep = Some(sleep);
            std::future::poll_fn(|cx: &mut Context<'_>| {
                let sleep = sleep.as_mut().expect("polled once");
                assert!(sleep.as_mut().poll(cx).is_pending(), "it takes a minute");
                std::task::Poll::Ready(())
            })
            .await;
        }
        begin.elapsed()
    })
}
