//! The work, the same for all: clients that ask a server, and a ticker beside them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::channel::mpsc::{self, Receiver, Sender};
use futures::future::join_all;
use futures::{SinkExt, StreamExt};

use super::device::{Device, HOT, Store, right_sum};
use super::ways::Way;
use crate::harness::{Plan, Samples};
use crate::peer::Peer;
use crate::sys;

/// What is done, on each side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: u64,
    /// How many look-ups of a hundred touch a page that is not in memory.
    pub(crate) cold_percent: u64,
    pub(crate) run: Duration,
    /// How long there is nothing but the ticker, before.
    pub(crate) alone: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) lookups_per_second: f64,
    /// How late each tick was, in microseconds.
    pub(crate) late: Samples,
    /// The same before the first client came.
    pub(crate) late_alone: Samples,
    /// Microseconds of processor time for a look-up, the device's left out.
    pub(crate) cpu_each: f64,
    /// The most threads seen, without those that were there before the runtime.
    pub(crate) threads: usize,
}

const TICK: Duration = Duration::from_millis(1);

/// What one run brings forth on its runtime.
struct Done {
    lookups: u64,
    took: Duration,
    cpu: Duration,
    late: Samples,
    late_alone: Samples,
}

/// Runs it one way.
pub(crate) fn measure<W: Way>(plan: &Plan, load: Load) -> io::Result<Outcome> {
    let device = Device::start()?;
    let count = ThreadCount::start();
    let runtime = W::build(plan);
    let done = runtime.run(serve_clients::<W>(device.store.clone(), load));
    drop(runtime);
    let threads = count.stop();
    let cpu = done.cpu.saturating_sub(device.stop()?);
    Ok(Outcome {
        lookups_per_second: done.lookups as f64 / done.took.as_secs_f64(),
        late: done.late,
        late_alone: done.late_alone,
        cpu_each: cpu.as_secs_f64() * 1e6 / done.lookups as f64,
        threads,
    })
}

/// The task that starts all others.
async fn serve_clients<W: Way>(store: Arc<Store>, load: Load) -> Done {
    let late_alone = tick::<W::Peer>(load.alone).await;
    let (begun, cpu) = (Instant::now(), sys::process_cpu_time());
    let ticker = W::Peer::spawn(tick::<W::Peer>(load.run));
    let mut clients = Vec::new();
    for client in 0..load.clients {
        // A connection: one request and one answer under way at most.
        let (asks, requests) = mpsc::channel(1);
        let (answers, answered) = mpsc::channel(1);
        let served = W::Peer::spawn(serve::<W>(store.clone(), requests, answers));
        let asked = W::Peer::spawn(ask(store.clone(), load, client, begun, asks, answered));
        clients.push(async { (served.await, asked.await).1 });
    }
    let lookups = join_all(clients).await.into_iter().sum();
    let (took, cpu) = (begun.elapsed(), sys::process_cpu_time() - cpu);
    Done { lookups, took, cpu, late: ticker.await, late_alone }
}

/// The server's side of a connection.
async fn serve<W: Way>(store: Arc<Store>, mut requests: Receiver<u32>, mut answers: Sender<u64>) {
    while let Some(page) = requests.next().await {
        let answer = W::look_up(&store, page).await;
        answers.send(answer).await.expect("the client waits for it");
    }
}

/// A client: asks, waits for the answer, checks it, and asks again; says how often.
async fn ask(
    store: Arc<Store>,
    load: Load,
    client: u64,
    begun: Instant,
    mut asks: Sender<u32>,
    mut answers: Receiver<u64>,
) -> u64 {
    let mut random = client;
    let mut count = 0;
    while begun.elapsed() < load.run {
        let (chance, which) = (mixed(&mut random) % 100, mixed(&mut random) % u64::from(HOT));
        let page = if chance < load.cold_percent { store.cold_page() } else { which as u32 };
        asks.send(page).await.expect("the server is there");
        let answer = answers.next().await.expect("the server answers");
        assert_eq!(answer, right_sum(page), "page {page}");
        count += 1;
    }
    count
}

/// The next number of a sequence without a pattern (`splitmix64`).
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Ticks every millisecond, and notes how late. A tick that falls into a standstill counts too,
/// with what was left of it: otherwise a second without a tick would be one late tick among many.
async fn tick<P: Peer>(run: Duration) -> Samples {
    let begun = Instant::now();
    let mut late = Samples::default();
    let mut due = TICK;
    while due < run {
        // Already past, it does not sleep, and notes what it has missed.
        if let Some(left) = due.checked_sub(begun.elapsed()) {
            P::sleep(left).await;
        }
        late.push((begun.elapsed().saturating_sub(due)).as_nanos() as f64 / 1000.0);
        due += TICK;
    }
    late
}

/// A thread that counts the threads of this process.
struct ThreadCount {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

impl ThreadCount {
    fn start() -> ThreadCount {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        // It and those that were there before.
        let others = sys::threads() + 1;
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            // Ordering: a hint; the thread is joined.
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(sys::threads());
                std::thread::sleep(Duration::from_millis(20));
            }
            most.saturating_sub(others)
        });
        ThreadCount { stop, thread }
    }

    fn stop(self) -> usize {
        // Ordering: see above.
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("counting does not panic")
    }
}
