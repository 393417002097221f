//! The five workloads by which the scheduler of C-forall is measured (T. Delisle, "The C-forall
//! Scheduler", 2022), with one worker and with two.
//!
//! | workload | what its tasks do |
//! |---|---|
//! | cycle | five in a ring: each wakes the next and waits; many rings at once |
//! | yield | yield |
//! | churn | each leaves itself at a random place, wakes whom it finds there, and waits |
//! | locality | the same, and each works on an array of its own before |
//! | transfer | one leads until all have seen that it does, and then names the next at random |

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

use super::compare;
use super::countdown::Countdown;
use super::wait::all_yield;
use crate::harness::Plan;
use crate::peer::Peer;
use crate::report::Row;

/// Tasks for each worker.
const TASKS: usize = 100;

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    vec![
        compare!(plan, 1, "cycle, 1 worker", cycle::<1, _>, 2_000, 21),
        compare!(plan, 2, "cycle, 2 workers", cycle::<2, _>, 2_000, 21),
        compare!(plan, 1, "yield, 1 worker", yields::<1, _>, 500, 21),
        compare!(plan, 2, "yield, 2 workers", yields::<2, _>, 500, 21),
        compare!(plan, 1, "churn, 1 worker", churn::<1, 0, _>, 500, 21),
        compare!(plan, 2, "churn, 2 workers", churn::<2, 0, _>, 500, 21),
        compare!(plan, 1, "locality, 1 worker", churn::<1, 64, _>, 500, 21),
        compare!(plan, 2, "locality, 2 workers", churn::<2, 64, _>, 500, 21),
        compare!(plan, 1, "transfer, 1 worker", transfer::<1, _>, 100, 21),
        compare!(plan, 2, "transfer, 2 workers", transfer::<2, _>, 100, 21),
    ]
}

/// A task's own place to wait at. A wake-up that comes first is kept.
#[derive(Debug, Default)]
struct Spot {
    woken: AtomicBool,
    waker: AtomicWaker,
}

impl Spot {
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.waker.wake();
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            if self.woken.swap(false, Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.waker.register(cx.waker());
            if self.woken.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

fn spots(count: usize) -> Arc<[Spot]> {
    (0..count).map(|_| Spot::default()).collect()
}

/// Marsaglia's xorshift.
struct Random(u32);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % limit
    }
}

fn cycle<const WORKERS: usize, P: Peer>(runtime: &P, hops: usize) -> Duration {
    const RING: usize = 5;
    let rings = WORKERS * TASKS / RING;
    let (countdown, done) = Countdown::new(rings);
    runtime.run(async move {
        let begin = Instant::now();
        for _ in 0..rings {
            let spots = spots(RING);
            for nth in 0..RING {
                let (spots, countdown) = (spots.clone(), countdown.clone());
                drop(P::spawn(async move {
                    for _ in 0..hops / RING {
                        spots[nth].wait().await;
                        spots[(nth + 1) % RING].wake();
                    }
                    if nth == RING - 1 {
                        countdown.one_less();
                    }
                }));
            }
            spots[0].wake();
        }
        done.await.expect("the last ring sends");
        begin.elapsed()
    })
}

fn yields<const WORKERS: usize, P: Peer>(runtime: &P, yields: usize) -> Duration {
    all_yield(runtime, WORKERS * TASKS, yields)
}

/// With arrays of so many words.
fn churn<const WORKERS: usize, const WORDS: usize, P: Peer>(runtime: &P, turns: usize) -> Duration {
    const NOBODY: usize = usize::MAX;
    let tasks = WORKERS * TASKS;
    let total = tasks * turns;
    let (countdown, done) = Countdown::new(1);
    runtime.run(async move {
        let begin = Instant::now();
        let places: Arc<[AtomicUsize]> = (0..tasks / 2).map(|_| AtomicUsize::new(NOBODY)).collect();
        let (spots, made) = (spots(tasks), Arc::new(AtomicUsize::new(0)));
        for me in 0..tasks {
            let (places, spots) = (places.clone(), spots.clone());
            let (made, countdown) = (made.clone(), countdown.clone());
            drop(P::spawn(async move {
                let mut random = Random(me as u32 * 7919 + 1);
                let mut array = vec![0_usize; WORDS];
                loop {
                    for _ in 0..WORDS {
                        array[random.below(WORDS)] += 1;
                    }
                    match made.fetch_add(1, Ordering::Relaxed) + 1 {
                        made if made == total => countdown.one_less(),
                        made if made > total => return spots.iter().for_each(Spot::wake),
                        _ => {}
                    }
                    let place = &places[random.below(places.len())];
                    let other = place.swap(me, Ordering::AcqRel);
                    if other != NOBODY {
                        spots[other].wake();
                    }
                    spots[me].wait().await;
                }
            }));
        }
        done.await.expect("the one that makes the last turn sends");
        begin.elapsed()
    })
}

fn transfer<const WORKERS: usize, P: Peer>(runtime: &P, leaders: usize) -> Duration {
    /// What the tasks share.
    struct Crew {
        leader: AtomicUsize,
        term: AtomicUsize,
        seen: Box<[AtomicUsize]>,
        spots: Arc<[Spot]>,
    }
    let tasks = WORKERS * TASKS;
    let (countdown, done) = Countdown::new(tasks);
    runtime.run(async move {
        let begin = Instant::now();
        let crew = Arc::new(Crew {
            leader: AtomicUsize::new(0),
            term: AtomicUsize::new(0),
            seen: (0..tasks).map(|_| AtomicUsize::new(0)).collect(),
            spots: spots(tasks),
        });
        for me in 0..tasks {
            let (crew, countdown) = (crew.clone(), countdown.clone());
            drop(P::spawn(async move {
                let mut random = Random(me as u32 * 7919 + 1);
                loop {
                    if crew.leader.load(Ordering::Acquire) == me {
                        let term = crew.term.fetch_add(1, Ordering::AcqRel) + 1;
                        crew.seen[me].store(term, Ordering::Release);
                        let rest = crew.spots.iter().enumerate().filter(|(nth, _)| *nth != me);
                        rest.for_each(|(_, spot)| spot.wake());
                        for seen in &crew.seen {
                            while seen.load(Ordering::Acquire) < term {
                                P::yield_now().await;
                            }
                        }
                        if term > leaders {
                            break;
                        }
                        crew.leader.store(random.below(tasks), Ordering::Release);
                        let next = crew.leader.load(Ordering::Acquire);
                        crew.spots[next].wake();
                    } else {
                        let term = crew.term.load(Ordering::Acquire);
                        crew.seen[me].store(term, Ordering::Release);
                        if term > leaders {
                            break;
                        }
                        crew.spots[me].wait().await;
                    }
                }
                countdown.one_less();
            }));
        }
        done.await.expect("the last task sends");
        begin.elapsed()
    })
}
