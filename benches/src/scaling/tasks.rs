//! What a task costs where there are few and where there are many: to spawn it and poll it once, to
//! wake it and see it end, and to drop it with its runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::channel::oneshot::{self, Receiver};

use super::many;
use crate::executor::side::Side;
use crate::harness::{Plan, Samples, ns_each};
use crate::peer::Peer;
use crate::report::{self, Bar, Row, Unit};

/// How many there are.
pub(crate) const COUNTS: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// What is measured; the words with which a row ends.
pub(crate) const STEPS: [&str; 3] = ["spawned and polled", "woken and ended", "dropped at the end"];

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let counts = &COUNTS[..plan.size(COUNTS.len(), 4)];
    counts.iter().flat_map(|count| rows(plan, *count)).collect()
}

type Ours = threadlet::runtime::Runtime;
type Tokio = tokio::runtime::Runtime;

/// Nanoseconds for each task, ours beside tokio's, for each step.
fn rows(plan: &Plan, count: usize) -> Vec<Row> {
    let [mut ours, mut peer]: [[Samples; 3]; 2] = Default::default();
    for _ in 0..plan.rounds(3) {
        note(&mut ours, times::<Ours>(plan, count));
        note(&mut peer, times::<Tokio>(plan, count));
    }
    let row = |(nth, step): (usize, &&str)| {
        let side = |name, of: &[Samples; 3]| report::Side::new(name, Unit::Ns, &of[nth]);
        let what = format!("{} tasks, {step}: a task, ours / tokio", many(count));
        Row::quotient(what, Bar::Open, side(Ours::NAME, &ours), side(Tokio::NAME, &peer))
    };
    STEPS.iter().enumerate().map(row).collect()
}

fn note(samples: &mut [Samples; 3], times: [f64; 3]) {
    samples.iter_mut().zip(times).for_each(|(samples, time)| samples.push(time));
}

fn times<S: Side>(plan: &Plan, count: usize) -> [f64; 3] {
    let runtime = S::start(plan, plan.workers);
    // Few take no time that a clock could tell.
    let waves = (plan.size(20_000, 100) / count).max(1);
    let [spawned, woken] = runtime.run(async move {
        let mut times = [Duration::ZERO; 2];
        for _ in 0..waves {
            wave::<S>(count, &mut times).await;
        }
        times
    });
    let _tellers = runtime.run(async move { waiting::<S>(count, &Arc::default()).await });
    let begin = Instant::now();
    drop(runtime);
    let each = |time| ns_each(time, count * waves);
    [each(spawned), each(woken), ns_each(begin.elapsed(), count)]
}

type Teller = oneshot::Sender<()>;

/// Spawns so many, each of which counts that it was polled, waits to be told, and counts that.
async fn waiting<P: Peer>(count: usize, reached: &Arc<AtomicUsize>) -> Vec<Teller> {
    let (tellers, listeners): (Vec<Teller>, Vec<Receiver<()>>) =
        (0..count).map(|_| oneshot::channel()).unzip();
    spawn::<P>(listeners, reached);
    until::<P>(reached, count).await;
    tellers
}

fn spawn<P: Peer>(listeners: Vec<Receiver<()>>, reached: &Arc<AtomicUsize>) {
    for told in listeners {
        let reached = reached.clone();
        drop(P::spawn(async move {
            reached.fetch_add(1, Ordering::Relaxed);
            let _ = told.await;
            reached.fetch_add(1, Ordering::Release);
        }));
    }
}

async fn until<P: Peer>(reached: &AtomicUsize, count: usize) {
    while reached.load(Ordering::Acquire) < count {
        P::yield_now().await;
    }
}

async fn wave<P: Peer>(count: usize, [spawned, woken]: &mut [Duration; 2]) {
    let reached = Arc::new(AtomicUsize::new(0));
    let (tellers, listeners): (Vec<Teller>, Vec<Receiver<()>>) =
        (0..count).map(|_| oneshot::channel()).unzip();
    let begin = Instant::now();
    spawn::<P>(listeners, &reached);
    until::<P>(&reached, count).await;
    *spawned += begin.elapsed();
    let begin = Instant::now();
    tellers.into_iter().for_each(|teller| teller.send(()).expect("it is listened to"));
    until::<P>(&reached, 2 * count).await;
    *woken += begin.elapsed();
}
