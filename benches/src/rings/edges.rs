//! How many edges blocks make, and how soon each comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Computing, Options, Watcher};
use crate::harness::{Samples, now_ns, ns_each, spin};
use crate::sys::nanosleep;
use crate::sys::perf::{PAIR_BYTES, SwitchEvent};
use crate::sys::thread::{Cpus, set_idle_policy};

pub(super) fn run(options: Options) -> io::Result<()> {
    let count = options.count(2_000);
    println!("\n{count} blocks, and a watcher of normal priority on the same CPU");
    for (what, watermark) in [("two records", PAIR_BYTES), ("one record", PAIR_BYTES / 2)] {
        let (edges, each) = wake_ups(watermark, count)?;
        println!("  watermark of {what:12} {edges:9} wake-ups, {:.0} us a block", each / 1000.0);
    }
    let count = options.count(1_000);
    println!("\nfrom a block to a watcher in `epoll_wait`, us (p50, p90, p99), for {count} blocks");
    let policies: [(&str, Settle); 2] =
        [("normal priority", as_usual), ("SCHED_IDLE", set_idle_policy)];
    for (machine, busy) in [("CPUs idle", false), ("CPUs busy", true)] {
        for (policy, settle) in policies {
            let times = block_to_edge(settle, busy, count)?;
            let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|p| times.percentile(p) / 1000.0);
            let edges = times.len();
            println!("  {machine}, {policy:16} {p50:9.1} {p90:9.1} {p99:9.1}   ({edges} edges)");
        }
    }
    Ok(())
}

/// What a watcher does to itself.
type Settle = fn() -> io::Result<()>;

fn as_usual() -> io::Result<()> {
    Ok(())
}

/// A thread with a ring that blocks again and again; when it is told to, so that somebody watches.
struct Subject<T> {
    event: Arc<SwitchEvent>,
    go: mpsc::Sender<()>,
    thread: JoinHandle<io::Result<T>>,
}

impl<T: Send + 'static> Subject<T> {
    fn start(
        watermark: u32,
        settle: impl FnOnce() -> io::Result<()> + Send + 'static,
        blocks: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Subject<T>> {
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let thread = thread::spawn(move || {
            settle()?;
            let event = Arc::new(SwitchEvent::open(watermark)?);
            let _ = tell.send(event.clone());
            let _ = wait.recv();
            Ok(blocks())
        });
        match told.recv() {
            Ok(event) => Ok(Subject { event, go, thread }),
            Err(_) => Err(thread.join().expect("it does not panic").err().expect("it failed")),
        }
    }

    /// Lets it block, and waits until it has.
    fn run(self) -> io::Result<T> {
        // The watcher is in its wait by then.
        thread::sleep(Duration::from_millis(5));
        let _ = self.go.send(());
        self.thread.join().expect("it does not panic")
    }
}

/// Wake-ups of a watcher, and nanoseconds a block, where both threads share a CPU.
fn wake_ups(watermark: u32, count: usize) -> io::Result<(usize, f64)> {
    let one = Cpus::allowed()?.first();
    let subject = Subject::start(
        watermark,
        move || one.confine(0),
        move || {
            let start = Instant::now();
            for _ in 0..count {
                nanosleep(Duration::from_micros(20));
                spin(Duration::from_micros(100));
            }
            start.elapsed()
        },
    )?;
    let watcher = Watcher::start(subject.event.clone(), move || one.confine(0), |_| {});
    let took = subject.run()?;
    Ok((watcher.stop()?, ns_each(took, count)))
}

/// Nanoseconds from each block to the thread that waits for its edge.
fn block_to_edge(settle: Settle, busy: bool, count: usize) -> io::Result<Samples> {
    let hogs = if busy { Cpus::allowed()?.count() } else { 0 };
    let hogs: Vec<_> = (0..hogs).map(|_| Computing::start()).collect();
    let begun = Arc::new(AtomicU64::new(0));
    let mine = begun.clone();
    let subject = Subject::start(PAIR_BYTES, as_usual, move || {
        for _ in 0..count {
            spin(Duration::from_micros(200));
            // Ordering: the time is all that goes from one thread to the other.
            mine.store(now_ns(), Ordering::Relaxed);
            nanosleep(Duration::from_millis(1));
        }
    })?;
    let (note, noted) = mpsc::channel();
    let watcher = Watcher::start(subject.event.clone(), settle, move |event| {
        // Ordering: see above.
        let since = begun.swap(0, Ordering::Relaxed);
        let now = now_ns();
        if since > 0 && event.sleeps() {
            let _ = note.send((now - since) as f64);
        }
    });
    subject.run()?;
    watcher.stop()?;
    hogs.into_iter().for_each(Computing::stop);
    Ok(noted.into_iter().collect())
}
