//! What barriers and fences promise, against simple sequential models.
//!
//! The seed is printed; `THREADLET_SEED` repeats a run (its decisions, not the scheduler's).

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use threadlet::aio::{Completion, File, Op, Queue};

use crate::support::{Barrier, foreign_block_on, wait_until, within};
use crate::{LIMIT, Scratch, blocked, drain, in_each_runtime, poll_now};

/// Sebastiano Vigna's SplitMix64.
struct Random(u64);

impl Random {
    fn from_environment() -> Random {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = std::env::var("THREADLET_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(clock.as_nanos() as u64);
        eprintln!("THREADLET_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// When each operation was seen to start, and to be still at it: (number, whether it starts).
type Log = Arc<Mutex<Vec<(usize, bool)>>>;

/// Says that it runs, and takes its time.
#[derive(Clone)]
struct Probe {
    number: usize,
    log: Log,
    takes: Duration,
    /// The thread that submits, which is not to be held up.
    submitter: ThreadId,
    bytes: [u8; 8],
}

impl Probe {
    fn run(&self) {
        self.log.lock().unwrap().push((self.number, true));
        if thread::current().id() != self.submitter {
            thread::sleep(self.takes);
        }
        self.log.lock().unwrap().push((self.number, false));
    }
}

impl AsMut<[u8]> for Probe {
    fn as_mut(&mut self) -> &mut [u8] {
        self.run();
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Probe {
    fn as_ref(&self) -> &[u8] {
        self.run();
        &self.bytes
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read,
    Write,
    Call,
    Barrier,
    Fence,
}

/// The model: what runs is before or after each marker.
fn check(steps: &[Step], log: &[(usize, bool)]) {
    let first = |number| log.iter().position(|event| *event == (number, true));
    let last = |number| log.iter().rposition(|event| *event == (number, false));
    for (at, marker) in steps.iter().enumerate() {
        let waits_for = |step: &Step| match marker {
            Step::Barrier => true,
            Step::Fence => *step != Step::Read,
            _ => false,
        };
        let before = (0..at).filter(|n| waits_for(&steps[*n])).filter_map(last).max();
        let after = (at + 1..steps.len()).filter_map(first).min();
        if let (Some(before), Some(after)) = (before, after) {
            let (old, new) = (log[before].0, log[after].0);
            assert!(
                before < after,
                "the {marker:?} at {at}: {new} ({:?}) starts while {old} ({:?}) runs",
                steps[new],
                steps[old]
            );
        }
    }
}

/// One run of random steps, with as many of this marker.
fn random_run(random: &mut Random, marker: Step, length: usize) {
    let scratch = Scratch::new(&[0; 64]);
    // Some reads are done within `submit`, some are not: directories and the like cannot be asked,
    // and neither can `/proc`.
    let files =
        [File::from(scratch.open()), File::from(std::fs::File::open("/proc/stat").unwrap())];
    let queue = Queue::new(length).max_threads(1 + random.below(12) as usize);
    let log = Log::default();
    let mut steps = Vec::new();
    let mut completions: Vec<(usize, Completion<Probe>)> = Vec::new();
    let mut dropped = 0;
    for number in 0..length {
        let takes = Duration::from_micros(random.below(400));
        let submitter = thread::current().id();
        let probe = Probe { number, log: log.clone(), takes, submitter, bytes: [0; 8] };
        let (step, op) = match random.below(10) {
            0..4 => (Step::Read, Op::read_at(&files[random.below(2) as usize], probe, 0)),
            4..6 => (Step::Write, Op::write_at(&files[0], probe, 8)),
            6..8 => {
                let mine = probe.clone();
                let call = move || {
                    mine.run();
                    Ok(0)
                };
                (Step::Call, Op::call(call).with(probe))
            }
            other => {
                let marker = if other == 8 { marker } else { Step::Fence };
                if marker == Step::Barrier {
                    queue.barrier()
                } else {
                    queue.fence()
                }
                steps.push(marker);
                continue;
            }
        };
        steps.push(step);
        let mut completion = queue.try_submit(op).unwrap();
        match random.below(16) {
            0 => drop(completion),
            1 => dropped += usize::from(completion.cancel()),
            _ => completions.push((number, completion)),
        }
        if random.below(20) == 0 {
            thread::sleep(Duration::from_micros(random.below(1000)));
        }
    }
    for (number, completion) in completions {
        let (result, probe) = foreign_block_on(completion);
        assert_eq!(probe.number, number, "each has its own buffer back");
        result.unwrap();
    }
    drain(&queue);
    assert_eq!(queue.in_flight(), 0);
    check(&steps, &log.lock().unwrap());
    eprintln!("{length} steps, {dropped} cancelled before they began");
}

#[test]
fn barriers_hold() {
    within(LIMIT, || {
        let random = std::cell::RefCell::new(Random::from_environment());
        in_each_runtime(|| {
            for _ in 0..8 {
                random_run(&mut random.borrow_mut(), Step::Barrier, 150);
            }
        });
    });
}

#[test]
fn fences_hold() {
    within(LIMIT, || {
        let random = std::cell::RefCell::new(Random::from_environment());
        in_each_runtime(|| {
            for _ in 0..8 {
                random_run(&mut random.borrow_mut(), Step::Fence, 150);
            }
        });
    });
}

const SIZE: u64 = 64 * 1024;

/// Operations whose order counts, with only as many markers as that takes: what is read, and what
/// is in the file at the end, is what one after the other would have given.
struct Replay {
    file: Vec<u8>,
    /// Since the last barrier.
    reads: Vec<Range<u64>>,
    /// Since the last barrier or fence.
    writes: Vec<Range<u64>>,
}

impl Replay {
    fn order(&mut self, queue: &Queue, range: &Range<u64>, write: bool) {
        let meets = |other: &Range<u64>| other.start < range.end && range.start < other.end;
        if write && self.reads.iter().any(meets) {
            queue.barrier();
            self.reads.clear();
            self.writes.clear();
        } else if self.writes.iter().any(meets) {
            queue.fence();
            self.writes.clear();
        }
    }
}

fn random_replay(random: &mut Random) {
    let scratch = Scratch::new(&[0; SIZE as usize]);
    let file = File::from(scratch.open());
    let queue = Queue::new(24);
    let mut replay = Replay { file: vec![0; SIZE as usize], reads: Vec::new(), writes: Vec::new() };
    let (mut reads, mut others) = (Vec::new(), Vec::new());
    for number in 0..400_u64 {
        let start = random.below(SIZE - 4096);
        let range = start..start + 1 + random.below(4096);
        let place = range.start as usize..range.end as usize;
        match random.below(8) {
            0..4 => {
                replay.order(&queue, &range, false);
                let op = Op::read_at(&file, vec![0; place.len()], range.start);
                let read = foreign_block_on(queue.submit(op));
                reads.push((read, replay.file[place].to_vec()));
                replay.reads.push(range);
            }
            4..7 => {
                replay.order(&queue, &range, true);
                let data = vec![(number as u8).wrapping_add(1); place.len()];
                replay.file[place].copy_from_slice(&data);
                let op = Op::write_at(&file, data, range.start);
                others.push(foreign_block_on(queue.submit(op)));
                replay.writes.push(range);
            }
            _ => {
                let op = Op::fdatasync(&file).with(Vec::new());
                others.push(foreign_block_on(queue.submit(op)));
            }
        }
    }
    drain(&queue);
    for (number, (read, expected)) in reads.into_iter().enumerate() {
        let (result, data) = foreign_block_on(read);
        assert_eq!(result.unwrap(), expected.len());
        assert!(data == expected, "read {number}");
    }
    for other in others {
        assert!(other.is_ended(), "it was drained");
        let (result, data) = foreign_block_on(other);
        assert_eq!(result.unwrap(), data.len());
    }
    assert!(std::fs::read(&scratch.0).unwrap() == replay.file);
}

#[test]
fn as_if_one_after_the_other() {
    within(LIMIT, || {
        let random = std::cell::RefCell::new(Random::from_environment());
        in_each_runtime(|| {
            for _ in 0..3 {
                random_replay(&mut random.borrow_mut());
            }
        });
    });
}

/// The difference, told step by step.
#[test]
fn a_fence_lets_reads_go_on() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let queue = Queue::new(8);
            let (writes, after) = (Barrier::default(), Barrier::default());
            let file = File::from(std::fs::File::open("/proc/stat").unwrap());
            let entered = Barrier::default();
            let read =
                queue.try_submit(Op::read_at(&file, Slow(entered.clone(), [0; 1]), 0)).unwrap();
            let write = queue.try_submit(blocked(&writes)).unwrap();
            wait_until("both run", || entered.came() == 1 && writes.came() == 1);
            queue.fence();
            let follows = queue.try_submit(blocked(&after)).unwrap();
            thread::sleep(Duration::from_millis(5));
            assert_eq!(after.came(), 0);
            writes.let_go(1);
            wait_until("the write has ended", || after.came() == 1);
            assert!(write.is_ended() && !read.is_ended());
            queue.barrier();
            let mut last = queue.try_submit(Op::nop()).unwrap();
            after.let_go(1);
            assert_eq!(foreign_block_on(follows).0.unwrap(), 1);
            thread::sleep(Duration::from_millis(5));
            assert!(!last.is_ended(), "the read is before the barrier");
            entered.let_go(1);
            assert_eq!(foreign_block_on(&mut last).0.unwrap(), 0);
            assert!(read.is_ended());
        });
    });
}

/// Its bytes are there when it is let go; not on the thread of the test.
struct Slow(Barrier, [u8; 1]);

impl AsMut<[u8]> for Slow {
    fn as_mut(&mut self) -> &mut [u8] {
        if thread::current().name().is_some_and(|name| name.starts_with("threadlet")) {
            self.0.block();
        }
        &mut self.1
    }
}

/// Nothing is held back by it.
#[test]
fn a_drain_waits_for_what_was_before() {
    within(LIMIT, || {
        in_each_runtime(|| {
            let queue = Queue::new(8);
            drain(&queue);
            let (early, late) = (Barrier::default(), Barrier::default());
            let first = queue.try_submit(blocked(&early)).unwrap();
            let mut drained = Box::pin(queue.drain());
            assert!(poll_now(&mut drained).is_pending());
            let second = queue.try_submit(blocked(&late)).unwrap();
            wait_until("the second runs", || late.came() == 1);
            early.let_go(1);
            foreign_block_on(drained);
            assert!(first.is_ended() && !second.is_ended());
            late.let_go(1);
            drain(&queue);
            assert!(second.is_ended());
        });
    });
}
