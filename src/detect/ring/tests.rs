//! Each test first sees its subject blocked, so that none can pass with a ring that tells nothing.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use super::super::probe::perf;
use super::*;
use crate::sys::epoll::{Epoll, Event, EventFd};
use crate::sys::futex;

/// The tests count wake-ups and spin: one at a time, or they measure each other.
///
/// None where this machine denies rings, for a reason the probe can name: then there is nothing to
/// test. With `THREADLET_TEST_PERF=require` in the environment that is a failure, so that a machine
/// that is meant to have them cannot skip by accident.
fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Err(reason) = perf() else { return Some(turn) };
    let required = std::env::var("THREADLET_TEST_PERF").is_ok_and(|value| value == "require");
    assert!(!required, "{reason}");
    eprintln!("skipped: {reason}");
    None
}

/// A watched thread.
struct Subject {
    ring: Arc<Ring>,
    go: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Subject {
    /// Starts a thread that opens a ring and waits to be let go; it has been seen to block.
    fn new(watermark: u32, body: impl FnOnce(&Ring) + Send + 'static) -> Subject {
        let (send, receive) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let ring = Arc::new(Ring::open_with(watermark).unwrap());
            send.send(ring.clone()).unwrap();
            wait.recv().unwrap();
            body(&ring);
        });
        let ring = receive.recv().expect("a ring opens here");
        assert!(becomes(&ring, Look::Blocked), "the wait for the start is a block");
        Subject { ring, go, thread }
    }

    fn go(&self) {
        self.go.send(()).unwrap();
    }
}

/// Looks for up to 5 s until the answer is `wanted`.
fn becomes(ring: &Ring, wanted: Look) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if ring.look() == wanted {
            return true;
        }
        thread::nanosleep(Duration::from_micros(100));
    }
    false
}

/// Lets the body say that it is about to block, then sees it blocked, and stay so.
fn sees_a_block(block: impl FnOnce() + Send + 'static, end: impl FnOnce()) {
    let Some(_turn) = turn() else { return };
    let ready = Arc::new(AtomicBool::new(false));
    let subject = Subject::new(WATERMARK, {
        let ready = ready.clone();
        move |ring| {
            assert_eq!(ring.look(), Look::Running, "it looks at itself");
            assert!(ring.in_phase());
            ready.store(true, Ordering::Release);
            block();
            assert!(ring.in_phase());
        }
    });
    let head = subject.ring.head();
    subject.go();
    // Ordering: Acquire pairs with the Release store of the subject.
    while !ready.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    assert!(becomes(&subject.ring, Look::Blocked));
    assert!(subject.ring.head() > head, "it was away in between");
    thread::nanosleep(Duration::from_millis(5));
    assert_eq!(subject.ring.look(), Look::Blocked);
    end();
    subject.thread.join().unwrap();
}

#[test]
fn a_read_that_finds_nothing_is_a_block() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let block = move || assert_eq!(there.read(&mut [0]).unwrap(), 0);
    sees_a_block(block, || drop(here));
}

#[test]
fn a_futex_wait_is_a_block() {
    let word = Arc::new(AtomicU32::new(0));
    let block = {
        let word = word.clone();
        move || {
            while word.load(Ordering::Acquire) == 0 {
                futex::wait(&word, 0, None);
            }
        }
    };
    sees_a_block(block, || {
        word.store(1, Ordering::Release);
        futex::wake_one(&word);
    });
}

#[test]
fn a_sleep_is_a_block() {
    sees_a_block(|| thread::nanosleep(Duration::from_millis(200)), || ());
}

/// Spins until told to stop, after it has said that it spins.
fn spin(spins: &AtomicBool, stop: &AtomicBool) {
    // Ordering: Release pairs with the Acquire load of the observer.
    spins.store(true, Ordering::Release);
    // Ordering: Relaxed; only the flag itself matters.
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

#[derive(Default)]
struct Flags {
    spins: AtomicBool,
    stop: AtomicBool,
}

impl Flags {
    fn await_spin(&self) {
        // Ordering: Acquire pairs with the Release store in `spin`.
        while !self.spins.load(Ordering::Acquire) {
            thread::nanosleep(Duration::from_micros(100));
        }
    }
}

#[test]
fn a_spinner_runs() {
    let Some(_turn) = turn() else { return };
    let cpus = thread::allowed_cpus().unwrap();
    let (&there, &here) = (cpus.first().unwrap(), cpus.last().unwrap());
    let flags = Arc::new(Flags::default());
    let subject = Subject::new(WATERMARK, {
        let flags = flags.clone();
        move |_| {
            thread::pin_to(there).unwrap();
            spin(&flags.spins, &flags.stop);
        }
    });
    // An observer on the spinner's own CPU has preempted it whenever it looks.
    thread::pin_to(here).unwrap();
    subject.go();
    flags.await_spin();
    let looks: Vec<Look> = (0..200)
        .map(|_| {
            thread::nanosleep(Duration::from_micros(100));
            subject.ring.look()
        })
        .collect();
    flags.stop.store(true, Ordering::Relaxed);
    subject.thread.join().unwrap();
    let expected = if here == there { Look::Preempted } else { Look::Running };
    assert!(looks.contains(&expected), "{looks:?}");
    // Others may take its CPU, so `Preempted` is always fair; it never blocks.
    assert!(!looks.contains(&Look::Blocked), "{looks:?}");
    assert!(!looks.contains(&Look::Silent), "{looks:?}");
}

#[test]
fn two_spinners_on_one_cpu_are_preempted_and_never_blocked() {
    let Some(_turn) = turn() else { return };
    let cpu = thread::allowed_cpus().unwrap()[0];
    let flags = [Arc::new(Flags::default()), Arc::new(Flags::default())];
    let subjects = flags.clone().map(|flags| {
        Subject::new(WATERMARK, move |_| {
            thread::pin_to(cpu).unwrap();
            spin(&flags.spins, &flags.stop);
        })
    });
    subjects.iter().for_each(Subject::go);
    flags.iter().for_each(|flags| flags.await_spin());
    let mut preempted = 0;
    let mut blocked = 0;
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end && preempted < 50 {
        thread::nanosleep(Duration::from_micros(500));
        for subject in &subjects {
            preempted += u32::from(subject.ring.look() == Look::Preempted);
            blocked += u32::from(subject.ring.look() == Look::Blocked);
        }
    }
    flags.iter().for_each(|flags| flags.stop.store(true, Ordering::Relaxed));
    for subject in subjects {
        subject.thread.join().unwrap();
    }
    assert!(preempted > 0, "one of two always waits");
    assert_eq!(blocked, 0, "out of {preempted} looks at a preempted thread");
}

/// What `work` has caused.
#[derive(Debug)]
struct Counts {
    /// Of an epoll on the ring.
    wakeups: u64,
    /// Written into the ring.
    pairs: u64,
    /// For how long the watcher had to wait for a CPU, of all that time.
    waited: Duration,
    took: Duration,
}

/// For how long the calling thread has waited for a CPU so far.
fn has_waited() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').nth(1).unwrap().parse().unwrap())
}

/// Counts what `work` causes. With `cpu` the subject and the watcher share that one CPU.
fn count(watermark: u32, cpu: Option<usize>, work: fn(&Ring)) -> Counts {
    const QUIT: u64 = u64::MAX;
    let pin = move || cpu.map_or(Ok(()), thread::pin_to).unwrap();
    let (send_ends, ends) = mpsc::channel();
    let subject = Subject::new(watermark, move |ring| {
        pin();
        // The wait for the watcher ends here; what is counted starts with a whole pair.
        let before = ring.head();
        work(ring);
        send_ends.send((before, ring.head())).unwrap();
    });
    let (epoll, quit) = (Epoll::new().unwrap(), EventFd::new().unwrap());
    epoll.add(quit.as_fd(), QUIT).unwrap();
    epoll.add(subject.ring.fd(), 1).unwrap();
    let begun = Instant::now();
    let ((wakeups, waited), (before, after)) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            pin();
            let mut events = [Event::EMPTY; 1];
            let mut wakeups = 0;
            let waited = has_waited();
            loop {
                match epoll.wait(&mut events, None).unwrap() {
                    [event] if event.data() == QUIT => return (wakeups, has_waited() - waited),
                    [event] => wakeups += u64::from(!event.is_hang_up()),
                    _ => {}
                }
            }
        });
        thread::nanosleep(Duration::from_millis(5));
        subject.go();
        let ends = ends.recv().unwrap();
        thread::nanosleep(Duration::from_millis(5));
        quit.wake();
        (watcher.join().unwrap(), ends)
    });
    subject.thread.join().unwrap();
    assert_eq!((after - before) % PAIR, 0, "the phase");
    Counts { wakeups, pairs: (after - before) / PAIR, waited, took: begun.elapsed() }
}

/// One wake-up a block: in one of five tries, or a broken phase or watermark would not. A busy machine
/// has its excuse: a preemption makes an edge too, and writes a pair; and to a watcher that waits for
/// a CPU several edges are one.
fn assert_one_wakeup_a_block(cpu: Option<usize>, blocks: u64, work: fn(&Ring)) {
    let most = |count: &Counts| blocks.max(count.pairs) * 11 / 10;
    let all = |count: &Counts| count.wakeups * 100 >= blocks * 95 && count.wakeups <= most(count);
    let tries: Vec<Counts> =
        (0..5).map(|_| count(WATERMARK, cpu, work)).take_while(|c| !all(c)).collect();
    let excused = |count: &Counts| count.waited > count.took / 20 && count.wakeups <= most(count);
    let good = tries.len() < 5 || tries.iter().all(excused);
    assert!(good, "{blocks} blocks: {tries:?}");
}

const BLOCKS: u64 = 2000;

/// Blocks, and computes for a while: what is on a CPU can be pushed off it.
fn block_and_compute(blocks: u64) {
    for _ in 0..blocks {
        thread::nanosleep(Duration::from_micros(50));
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(100) {
            std::hint::spin_loop();
        }
    }
}

fn sleep_often(ring: &Ring) {
    for _ in 0..BLOCKS {
        thread::nanosleep(Duration::from_micros(50));
        assert!(ring.in_phase());
    }
}

#[test]
fn a_block_wakes_the_watcher_once() {
    let Some(_turn) = turn() else { return };
    assert_one_wakeup_a_block(None, BLOCKS, sleep_often);
    assert_one_wakeup_a_block(None, BLOCKS, |_| block_and_compute(BLOCKS));
}

#[test]
fn a_block_wakes_the_watcher_once_on_one_cpu() {
    let Some(_turn) = turn() else { return };
    let cpu = thread::allowed_cpus().unwrap()[0];
    assert_one_wakeup_a_block(Some(cpu), BLOCKS, sleep_often);
    assert_one_wakeup_a_block(Some(cpu), BLOCKS, |_| block_and_compute(BLOCKS));
}

/// The control: with a wake-up on every record the watcher pushes the owner off their CPU, which
/// is a switch, which wakes the watcher. The same count is then far from one a block.
#[test]
fn a_wake_up_on_every_record_is_what_the_watermark_avoids() {
    const FEW: u64 = 200;
    let Some(_turn) = turn() else { return };
    let cpu = thread::allowed_cpus().unwrap()[0];
    let counts = count(1, Some(cpu), |_| block_and_compute(FEW));
    assert!(counts.wakeups > 2 * FEW, "{FEW} blocks: {counts:?}");
}

#[test]
fn parks_leave_no_record_and_the_phase_is_kept() {
    const ROUNDS: u64 = 500;
    fn work(ring: &Ring) {
        for _ in 0..ROUNDS {
            thread::nanosleep(Duration::from_micros(50));
            ring.disarm().unwrap();
            let head = ring.head();
            thread::nanosleep(Duration::from_micros(50));
            assert_eq!(ring.head(), head, "a park writes nothing");
            assert_eq!(ring.look(), Look::Running, "a disarmed ring looks so");
            ring.arm().unwrap();
            assert!(ring.in_phase());
        }
    }
    let Some(_turn) = turn() else { return };
    assert_one_wakeup_a_block(None, ROUNDS, work);
    assert_one_wakeup_a_block(Some(thread::allowed_cpus().unwrap()[0]), ROUNDS, work);
}

#[test]
fn the_ring_wraps_and_goes_on() {
    let Some(_turn) = turn() else { return };
    let subject = Subject::new(WATERMARK, |ring| {
        while ring.head() < 3 * 4096 {
            thread::nanosleep(Duration::from_micros(1));
            assert!(ring.in_phase());
            assert_eq!(ring.look(), Look::Running);
        }
    });
    subject.go();
    subject.thread.join().unwrap();
    assert!(subject.ring.head() >= 3 * 4096);
}

#[test]
fn the_end_of_the_owner_is_a_hang_up() {
    let Some(_turn) = turn() else { return };
    let subject = Subject::new(WATERMARK, |_| ());
    let epoll = Epoll::new().unwrap();
    epoll.add(subject.ring.fd(), 5).unwrap();
    subject.go();
    subject.thread.join().unwrap();
    let mut events = [Event::EMPTY; 1];
    let deadline = Instant::now() + Duration::from_secs(5);
    let hung_up = std::iter::from_fn(|| {
        (Instant::now() < deadline).then(|| {
            epoll.wait(&mut events, Some(Duration::from_secs(1))).unwrap().first().copied()
        })
    })
    .flatten()
    .any(|event| event.is_hang_up());
    assert!(hung_up);
    assert_ne!(subject.ring.look(), Look::Blocked, "who is gone is not blocked");
}

#[test]
fn records_of_other_kinds_are_no_ground_for_a_judgement() {
    let header = |kind, misc, size| RecordHeader { kind, misc, size };
    let out = MISC_SWITCH_OUT;
    assert_eq!(judge(header(RECORD_SWITCH, 0, 8)), Look::Running);
    assert_eq!(judge(header(RECORD_SWITCH, out, 8)), Look::Blocked);
    assert_eq!(judge(header(RECORD_SWITCH, out | MISC_SWITCH_OUT_PREEMPT, 8)), Look::Preempted);
    assert_eq!(judge(header(2, out, 8)), Look::Silent);
    assert_eq!(judge(header(RECORD_SWITCH, out, 24)), Look::Silent);
}
