//! What the detectors' tools cost here, and how soon an edge comes: the tables of
//! `docs/internals/detectors.md`. Nothing is demanded, so nothing is a test; run it alone,
//! on a machine that has nothing else to do:
//!
//! ```sh
//! cargo test --release -p threadlet --lib -- --ignored --nocapture detect::ring::measure
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::sys::epoll::{Epoll, Event};
use crate::sys::stat::ThreadStat;
use crate::sys::thread::{
    Affinity, allowed_cpus, bring_here, cpu_time_of, pin_to, set_idle_policy, set_slice,
    set_timer_slack, sleeps, tid,
};

#[test]
#[ignore = "measures, and demands nothing"]
fn costs_and_edges() {
    set_timer_slack(1);
    costs();
    round_trips();
    wake_ups();
    edges();
}

/// The median of many runs of `call`, in nanoseconds.
fn median_ns(runs: usize, batch: u32, mut call: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        (0..batch).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(batch)
    };
    let mut times: Vec<f64> = (0..runs).map(run).collect();
    percentile(&mut times, 50)
}

fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn costs() {
    println!("\nthe price of a tool, on the thread that uses it (median)");
    let say = |what: &str, ns: f64| println!("  {what:52} {ns:9.0} ns");
    let ring = Ring::open().expect("perf works here");
    say("open a ring, with its priming block", median_ns(200, 1, || drop(Ring::open())));
    say(
        "disarm and arm",
        median_ns(2000, 10, || {
            ring.disarm().unwrap();
            ring.arm().unwrap();
        }),
    );
    say("look at a ring", median_ns(2000, 100, || _ = black_box(ring.look())));
    // Another thread that computes, as a suspect does.
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let mine = stop.clone();
    let other = std::thread::spawn(move || {
        tell.send((tid(), Affinity::current().unwrap())).unwrap();
        while !mine.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    let (suspect, home) = told.recv().unwrap();
    let stat = ThreadStat::open(suspect).unwrap();
    say(
        "read a thread's state from its open `stat`",
        median_ns(2000, 10, || {
            stat.state().unwrap();
        }),
    );
    say(
        "read another thread's CPU clock",
        median_ns(2000, 10, || {
            cpu_time_of(suspect).unwrap();
        }),
    );
    say("ask how often the own thread has slept", median_ns(2000, 10, || _ = black_box(sleeps())));
    say(
        "give another thread long slices, and short ones",
        median_ns(500, 4, || {
            set_slice(suspect, Some(Duration::from_millis(20)));
            set_slice(suspect, None);
        }),
    );
    stop.store(true, Ordering::Relaxed);
    other.join().unwrap();
    let ns = median_ns(500, 4, || {
        black_box(bring_here(tid(), &home));
        home.restore();
    });
    say("confine a thread to a CPU, and set it free", ns);
}

/// How one of two threads that park and unpark each other treats its ring.
#[derive(Clone, Copy, Debug)]
enum Treatment {
    None,
    Disarmed,
    DisarmedToPark,
    Armed,
}

impl Treatment {
    fn words(self) -> &'static str {
        match self {
            Treatment::None => "without a ring",
            Treatment::Disarmed => "with a ring that is disarmed",
            Treatment::DisarmedToPark => "with one that is disarmed around each park",
            Treatment::Armed => "with one that stays armed",
        }
    }
}

/// Two threads that wake each other on one CPU, with a sentinel on the ring of one.
fn round_trips() {
    const TRIPS: u32 = 5_000;
    println!("\na round trip of two threads that park, on one CPU (median of 9 times {TRIPS})");
    let all = [Treatment::None, Treatment::Disarmed, Treatment::DisarmedToPark, Treatment::Armed];
    let mut times = all.map(|_| Vec::new());
    for _ in 0..9 {
        for (times, how) in times.iter_mut().zip(all) {
            times.push(trips(how, TRIPS).as_nanos() as f64 / f64::from(TRIPS));
        }
    }
    for (times, how) in times.iter_mut().zip(all) {
        println!("  {:52} {:9.0} ns", how.words(), percentile(times, 50));
    }
}

fn trips(how: Treatment, count: u32) -> Duration {
    let cpu = allowed_cpus().unwrap()[0];
    let (tell, told) = mpsc::channel();
    let (go, wait) = mpsc::channel::<std::thread::Thread>();
    let turn = Arc::new(AtomicU64::new(0));
    let theirs = turn.clone();
    let subject = std::thread::spawn(move || {
        pin_to(cpu).unwrap();
        let ring = (!matches!(how, Treatment::None)).then(|| Arc::new(Ring::open().unwrap()));
        if let (Some(ring), Treatment::Disarmed) = (&ring, how) {
            ring.disarm().unwrap();
        }
        tell.send(ring.clone()).unwrap();
        let partner = wait.recv().unwrap();
        for trip in 0..u64::from(count) {
            while theirs.load(Ordering::Acquire) != 2 * trip + 1 {
                match (&ring, how) {
                    (Some(ring), Treatment::DisarmedToPark) => {
                        ring.disarm().unwrap();
                        std::thread::park();
                        ring.arm().unwrap();
                    }
                    _ => std::thread::park(),
                }
            }
            theirs.store(2 * trip + 2, Ordering::Release);
            partner.unpark();
        }
    });
    let ring = told.recv().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let sentinel = ring.map(|ring| watch(ring, as_idle, stop.clone(), |_| {}));
    let home = Affinity::current().unwrap();
    pin_to(cpu).unwrap();
    go.send(std::thread::current()).unwrap();
    let start = Instant::now();
    for trip in 0..u64::from(count) {
        turn.store(2 * trip + 1, Ordering::Release);
        subject.thread().unpark();
        while turn.load(Ordering::Acquire) != 2 * trip + 2 {
            std::thread::park();
        }
    }
    let took = start.elapsed();
    subject.join().unwrap();
    stop.store(true, Ordering::Relaxed);
    sentinel.into_iter().for_each(|sentinel| drop(sentinel.join()));
    home.restore();
    took
}

fn as_idle() {
    set_idle_policy().unwrap();
}

fn as_usual() {}

/// A thread that waits for the edges of `ring` and tells `seen` of each; returns how many came.
fn watch(
    ring: Arc<Ring>,
    settle: impl FnOnce() + Send + 'static,
    stop: Arc<AtomicBool>,
    mut seen: impl FnMut(&Ring) + Send + 'static,
) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        set_timer_slack(1);
        settle();
        let epoll = Epoll::new().unwrap();
        epoll.add(ring.fd(), 1).unwrap();
        let (mut events, mut edges) = ([Event::EMPTY; 4], 0);
        while !stop.load(Ordering::Relaxed) {
            for _ in epoll.wait(&mut events, Some(Duration::from_millis(20))).unwrap() {
                edges += 1;
                seen(&ring);
            }
        }
        epoll.del(ring.fd()).unwrap();
        edges
    })
}

/// Wake-ups per block, with the watermark of two records and of one, where all share a CPU.
fn wake_ups() {
    const BLOCKS: usize = 2_000;
    println!("\nwake-ups of a watcher of normal priority for {BLOCKS} blocks, on one CPU");
    for (what, watermark) in [("two records", WATERMARK), ("one record", WATERMARK / 2)] {
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let cpu = allowed_cpus().unwrap()[0];
        let subject = std::thread::spawn(move || {
            pin_to(cpu).unwrap();
            set_timer_slack(1);
            let ring = Arc::new(Ring::open_with(watermark).unwrap());
            tell.send(ring.clone()).unwrap();
            wait.recv().unwrap();
            let start = Instant::now();
            for _ in 0..BLOCKS {
                thread::nanosleep(Duration::from_micros(20));
                let busy = Instant::now();
                while busy.elapsed() < Duration::from_micros(100) {
                    std::hint::spin_loop();
                }
            }
            start.elapsed()
        });
        let ring = told.recv().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let watcher = watch(ring, move || pin_to(cpu).unwrap(), stop.clone(), |_| {});
        std::thread::sleep(Duration::from_millis(5));
        go.send(()).unwrap();
        let took = subject.join().unwrap();
        stop.store(true, Ordering::Relaxed);
        let edges = watcher.join().unwrap();
        let each = took.as_nanos() as f64 / 1e3 / BLOCKS as f64;
        println!("  watermark of {what:12} {edges:9} wake-ups, {each:.0} us a block");
    }
}

/// From a block to the thread that waits for its edge.
fn edges() {
    println!("\nfrom a block to a thread in `epoll_wait` on its ring, us (p50, p90, p99)");
    for (machine, busy) in [("CPUs idle", false), ("CPUs busy", true)] {
        for (policy, settle) in [("normal priority", as_usual as fn()), ("SCHED_IDLE", as_idle)] {
            let mut times = block_to_edge(settle, busy);
            let [p50, p90, p99] = [50, 90, 99].map(|p| percentile(&mut times, p) / 1000.0);
            println!(
                "  {machine}, {policy:16} {p50:9.1} {p90:9.1} {p99:9.1}   ({} edges)",
                times.len()
            );
        }
    }
}

fn block_to_edge(settle: fn(), busy: bool) -> Vec<f64> {
    const BLOCKS: usize = 1_000;
    let stop = Arc::new(AtomicBool::new(false));
    let cpus = if busy { allowed_cpus().unwrap().len() } else { 0 };
    let hogs: Vec<_> = (0..cpus)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let epoch = Instant::now();
    let begun = Arc::new(AtomicU64::new(0));
    let (tell, told) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let mine = begun.clone();
    let subject = std::thread::spawn(move || {
        set_timer_slack(1);
        let ring = Arc::new(Ring::open().unwrap());
        tell.send(ring.clone()).unwrap();
        wait.recv().unwrap();
        for _ in 0..BLOCKS {
            let busy = Instant::now();
            while busy.elapsed() < Duration::from_micros(200) {
                std::hint::spin_loop();
            }
            mine.store(epoch.elapsed().as_nanos() as u64, Ordering::Release);
            thread::nanosleep(Duration::from_millis(1));
        }
    });
    let ring = told.recv().unwrap();
    let (note, noted) = mpsc::channel();
    let watcher = watch(ring, settle, stop.clone(), move |ring| {
        let now = epoch.elapsed().as_nanos() as u64;
        let since = begun.swap(0, Ordering::AcqRel);
        if since > 0 && ring.look() == Look::Blocked {
            let _ = note.send((now - since) as f64);
        }
    });
    std::thread::sleep(Duration::from_millis(5));
    go.send(()).unwrap();
    subject.join().unwrap();
    stop.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    hogs.into_iter().for_each(|hog| hog.join().unwrap());
    noted.into_iter().collect()
}
