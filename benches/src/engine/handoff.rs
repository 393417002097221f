//! From a block to another task running on the same core.
//!
//! One worker. A task makes another task runnable, enters a region and blocks there; measured is
//! from the clock read in the region immediately before the blocking call to the first thing the
//! other task does. The blocking call reads from an empty socket, so the sleep begins at once; the
//! other task ends it by writing there. So nothing but the hand-off can let the other task run, and
//! the time has no upper end that a time-out would set. Between two blocks the core works for
//! 300 us (a task that yields), as in a server under load.
//!
//! *Under perf* the block is preceded by several short regions, so that the ring is armed, and it
//! is compared with the least that a perf event can do: a thread that blocks in the same way, and a
//! plain thread in `epoll_wait` on its event that notes the time. Bare and ours take turns.
//!
//! *After a quiet time* the same is measured once per round, after a second without a block: with
//! nothing to do at all, and with a core that worked all the time (which the monitor looks at ever
//! more seldom). Here no short regions go before the block. The worst round counts.
//!
//! Now and then the core is handed over before the block (the thread was preempted, or was opening
//! its ring): then the other task does not wait for the block, the time says nothing, and the block
//! is made again. Such blocks are counted, and must be few.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use threadlet::runtime::{Detector, Metrics};
use threadlet::threadlet;

use crate::harness::{Plan, Samples, now_ns, spin};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::sys::epoll::Epoll;
use crate::sys::perf::{PAIR_BYTES, SwitchEvent};

/// Between two blocks.
const APART: Duration = Duration::from_micros(300);

/// Short regions before the one that blocks.
const WARM_UP: usize = 8;

/// An edge that does not come in this time is one that was lost.
const LOST_AFTER: Duration = Duration::from_millis(100);

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let mut rows = vec![under_load(plan)];
    let rounds = plan.rounds(3);
    let quiet = plan.size(Duration::from_secs(1), Duration::from_millis(200));
    let after = |work: bool| -> Samples {
        (0..rounds).map(|_| after_quiet(plan, quiet, work) / 1e6).collect()
    };
    rows.push(quiet_row("the same after 1 s of sleep, the worst", &after(false)));
    rows.push(quiet_row("the same after 1 s of work without a block, the worst", &after(true)));
    rows
}

fn quiet_row(what: &'static str, ms: &Samples) -> Row {
    Row::worst(what, Bar::AtMost(25.0), Side::new("ours", Unit::Ms, ms))
}

fn under_load(plan: &Plan) -> Row {
    let count = plan.size(300, 40);
    let perf = plan.detector == Detector::Perf;
    let (mut medians, mut tails, mut bare) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut how = String::new();
    for _ in 0..plan.rounds(9) {
        let runtime = plan.runtime_of(1);
        let times = runtime.run(blocks(count)).into_iter().collect::<Samples>();
        medians.push(times.median() / 1000.0);
        tails.push(times.percentile(99.0) / 1000.0);
        how = describe(&runtime.metrics(), count);
        drop(runtime);
        if perf {
            let times = bare_edges(count).expect("perf works for our runtime, so also bare");
            bare.push(times.median() / 1000.0);
        }
    }
    let ours = Side::new("ours", Unit::Us, &medians);
    let row = if perf {
        let (what, bar) =
            ("one core, from a block to another task: ours / bare perf to epoll", Bar::AtMost(1.5));
        Row::quotient(what, bar, ours, Side::new("bare", Unit::Us, &bare))
    } else {
        Row::median(
            "one core, from a block to another task, every 300 us",
            Bar::AtMost(200.0),
            ours,
        )
    };
    row.beside(Side::new("ours, p99", Unit::Us, &tails)).note(format!("the last round: {how}"))
}

/// Every measured block must have been a hand-off; how they came about is for information.
fn describe(metrics: &Metrics, count: usize) -> String {
    let handed = metrics.handoffs_blocked + metrics.handoffs_hog + metrics.handoffs_rescued;
    assert!(handed >= count as u64, "{handed} hand-offs for {count} blocks");
    format!(
        "{count} blocks, hand-offs {} blocked, {} hog, {} rescued, {} wake-ups of the sentinel",
        metrics.handoffs_blocked,
        metrics.handoffs_hog,
        metrics.handoffs_rescued,
        metrics.sentinel_wakeups
    )
}

/// Blocks until `count` times are known, each after some work; nanoseconds from each block to the
/// other task.
async fn blocks(count: usize) -> Vec<f64> {
    let mut times = Vec::with_capacity(count);
    let mut left = 2 * count;
    while times.len() < count {
        assert!(left > 0, "the core is handed over before the block again and again");
        left -= 1;
        work(APART).await;
        times.extend(one_block(WARM_UP).await);
    }
    times
}

/// Keeps the core busy without blocking; at least one yield, so that the next region begins in a
/// poll that has its core.
async fn work(duration: Duration) {
    let begin = Instant::now();
    loop {
        threadlet::task::yield_now().await;
        if begin.elapsed() >= duration {
            return;
        }
    }
}

/// What the other task does: it notes when it runs, and ends the block.
async fn write(mut waker: UnixStream) -> u64 {
    let now = now_ns();
    waker.write_all(&[1]).expect("the other end is open");
    now
}

/// Blocks once, after so many short regions, with another task waiting for the core. `None`: the
/// core was handed over before the block.
async fn one_block(short_regions: usize) -> Option<f64> {
    let (mut blocked, waker) = UnixStream::pair().expect("a pair of sockets");
    let (mut waker, mut other, mut begun) = (Some(waker), None, 0);
    // One site for the short regions and the one that blocks: a site that only ever blocked would
    // hand its core over before the call, and there would be nothing to find out.
    for left in (0..=short_regions).rev() {
        if left == 0 {
            other = waker.take().map(|waker| threadlet::spawn(write(waker)));
        }
        begun = threadlet!({
            let now = now_ns();
            if left == 0 {
                blocked.read_exact(&mut [0]).expect("the other end writes one byte");
            }
            now
        });
    }
    let ran = other.expect("the last round made it").await.expect("the task ends well");
    (ran > begun).then(|| (ran - begun) as f64)
}

/// One block after a time in which none happened; nanoseconds. Some blocks go before, so that
/// nothing is done for the first time.
fn after_quiet(plan: &Plan, quiet: Duration, busy: bool) -> f64 {
    let runtime = plan.runtime_of(1);
    runtime.run(blocks(8));
    for _ in 0..TRIALS {
        if !busy {
            thread::sleep(quiet);
        }
        let time = runtime.run(async move {
            work(if busy { quiet } else { Duration::ZERO }).await;
            one_block(0).await
        });
        if let Some(time) = time {
            return time;
        }
    }
    panic!("the core is handed over before the block again and again");
}

/// How often a block after a quiet time is tried.
const TRIALS: usize = 5;

/// What the thread that blocks and the one that watches it share.
#[derive(Default)]
struct Bare {
    /// When the block began; 0: none is to be noted.
    begun: AtomicU64,
    over: AtomicBool,
}

/// The same blocks on a bare thread with a perf event, noted by a plain thread in `epoll_wait`;
/// nanoseconds from each block to the note.
fn bare_edges(count: usize) -> io::Result<Samples> {
    let bare = Arc::new(Bare::default());
    let (mut blocked, mut waker) = UnixStream::pair()?;
    let (ready, event) = mpsc::channel();
    let blocker = thread::spawn({
        let bare = bare.clone();
        move || -> io::Result<()> {
            // Not closed before the watcher has ended: the descriptor is in its epoll.
            let event = SwitchEvent::open(PAIR_BYTES)?;
            let (started, go) = mpsc::channel::<()>();
            let _ = ready.send((event.raw_fd(), started));
            let _ = go.recv();
            for _ in 0..count {
                spin(APART);
                block_once(&bare, &mut blocked)?;
            }
            bare.over.store(true, Ordering::Release);
            let _ = go.recv();
            Ok(())
        }
    });
    let mut times = Samples::default();
    if let Ok((fd, started)) = event.recv() {
        let epoll = Epoll::watching(fd)?;
        let _ = started.send(());
        while !bare.over.load(Ordering::Acquire) {
            let edge = epoll.wait(LOST_AFTER);
            let now = now_ns();
            let begun = if edge { bare.begun.swap(0, Ordering::AcqRel) } else { 0 };
            if begun > 0 {
                times.push((now - begun) as f64);
                waker.write_all(&[1])?;
            }
        }
    }
    blocker.join().expect("the thread ends well")?;
    assert!(times.len() * 10 >= count * 9, "{} edges for {count} blocks", times.len());
    Ok(times)
}

fn block_once(bare: &Bare, blocked: &mut UnixStream) -> io::Result<()> {
    blocked.set_read_timeout(Some(LOST_AFTER))?;
    bare.begun.store(now_ns(), Ordering::Release);
    match blocked.read_exact(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            if bare.begun.swap(0, Ordering::AcqRel) == 0 {
                // It was noted after all: the byte is on its way.
                blocked.read_exact(&mut [0])?;
            }
            Ok(())
        }
        read => read,
    }
}
