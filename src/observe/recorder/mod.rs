//! The flight recorder: the last that happened in a runtime, in memory of a fixed size.
//!
//! | module | what it knows |
//! |---|---|
//! | `entry` | what a record says, and how that is three words |
//! | `dump` | how it is written out |
//! | this one | who writes: each thread has a [`Pen`] |
//!
//! Who writes where, and what a reader may believe, is `protocol::record`. A record names a place in
//! the source by its row in the table of sites, and so holds nothing but numbers.

mod dump;
mod entry;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(crate) use self::dump::UnderWay;
use self::entry::{Entry, Kind};
pub(crate) use self::entry::{How, Seen};
use crate::observe::backtrace::Backtrace;
use crate::observe::site::Site;
use crate::primitive::Mutex;
use crate::protocol::record::{Chunks, Writer};

/// So many names of functions of the kernel are known at most; the others are one.
const CHANNELS: usize = 1 << 12;

/// So many backtraces are kept, the last.
const BACKTRACES: usize = 64;

/// The memory of a flight recorder.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// When it begins: all times count from here.
    start: Instant,
    chunks: Chunks,
    /// The names of the kernel's functions in which threads were seen to wait, by their numbers.
    channels: Mutex<Vec<String>>,
    /// The last backtraces, with the time of the entry that each belongs to.
    backtraces: Mutex<VecDeque<(u64, Backtrace)>>,
}

impl Recorder {
    /// With so many bytes, less than a page; times count from `start`.
    pub(crate) fn new(bytes: usize, start: Instant) -> Self {
        // The unnamed is the first.
        let channels = Mutex::new(vec![String::new()]);
        let (chunks, backtraces) = (Chunks::new(bytes), Mutex::default());
        Recorder { start, chunks, channels, backtraces }
    }

    /// How many bytes its memory takes.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.bytes()
    }

    /// How many records had no room, because more threads wrote than there are parts of the memory.
    pub(crate) fn lost(&self) -> u64 {
        self.chunks.lost()
    }

    /// For the thread of that number.
    pub(crate) fn pen(&self, tid: i32) -> Pen<'_> {
        Pen { recorder: self, writer: Writer::new(&self.chunks, u64::from(tid.unsigned_abs())) }
    }

    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.start))
    }

    /// The number of a function of the kernel.
    fn channel(&self, name: &str) -> u16 {
        let mut known = self.channels.lock();
        let nth = known.iter().position(|other| other == name).unwrap_or_else(|| {
            if known.len() == CHANNELS {
                return 0;
            }
            known.push(name.to_owned());
            known.len() - 1
        });
        nth as u16
    }

    fn keep(&self, at: u64, backtrace: &Backtrace) {
        let mut kept = self.backtraces.lock();
        if kept.len() == BACKTRACES {
            kept.pop_front();
        }
        kept.push_back((at, backtrace.clone()));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a thread writes with. It belongs to that thread; each of its methods writes one record. A time
/// that is a number is nanoseconds since the recorder's start.
#[derive(Debug)]
pub(crate) struct Pen<'a> {
    recorder: &'a Recorder,
    writer: Writer<'a>,
}

impl Pen<'_> {
    #[inline]
    fn write(&self, entry: Entry) {
        entry.write(&self.writer);
    }

    /// A span of time.
    #[inline]
    fn span(
        &self,
        kind: Kind,
        task: u64,
        (site, more): (u32, u32),
        begin: Instant,
        lasts: Duration,
    ) {
        let (at, value) = (self.recorder.nanos(begin), nanos(lasts));
        self.write(Entry { kind, at, task, site, more, value });
    }

    /// A poll of a task that was spawned at `site`, a row of the table, or of a root future, which is
    /// task 0, from `begin` and for so long; `losses`: how often it has lost a core.
    #[inline]
    pub(crate) fn polled(&self, task: u64, site: u32, losses: u32, (begin, value): (u64, u64)) {
        self.write(Entry { kind: Kind::Poll, at: begin, task, site, more: losses, value });
    }

    /// A call.
    pub(crate) fn called(
        &self,
        task: u64,
        site: &'static Site,
        how: How,
        (begin, lasted): (Instant, Duration),
    ) {
        self.span(Kind::Call, task, (site.id(), how.number()), begin, lasted);
    }

    /// The thread had a core until `end`. `lost`: it was handed over.
    pub(crate) fn had_core(&self, seat: usize, lost: Option<How>, begin: Instant, end: Instant) {
        let how = lost.map_or(0, How::number);
        let lasted = end.saturating_duration_since(begin);
        self.span(Kind::Core, seat as u64, (0, how), begin, lasted);
    }

    /// A call waited at its gate, from `begin` to now.
    pub(crate) fn waited(&self, task: u64, site: &'static Site, begin: Instant) {
        self.span(Kind::Wait, task, (site.id(), 0), begin, begin.elapsed());
    }

    /// The task was woken, or spawned, by what this thread polls: task `by`, 0 if it is none.
    #[inline]
    pub(crate) fn woke(&self, at: u64, task: u64, by: u64) {
        self.write(Entry { kind: Kind::Wake, at, task, site: 0, more: 0, value: by });
    }

    /// A timer fired so much later than it was due.
    pub(crate) fn was_late(&self, late: Duration) {
        let at = self.recorder.nanos(Instant::now());
        let value = nanos(late);
        self.write(Entry { kind: Kind::Late, at, task: 0, site: 0, more: 0, value });
    }

    /// Thread `tid` was seen in a poll of a task that has lasted for `since`, in a call at `site` (or in
    /// none, and then that is where the task was spawned).
    pub(crate) fn saw(&self, kind: Seen<'_>) {
        let Seen { tid, task, site, lasts, doing, channel, stalls, backtrace } = kind;
        let channel = self.recorder.channel(channel);
        let at = self.recorder.nanos(Instant::now());
        let value = entry::pack_seen(lasts, doing, channel);
        if !backtrace.is_empty() {
            self.recorder.keep(at, backtrace);
        }
        let kind = if stalls { Kind::Stall } else { Kind::Seen };
        let (site, more) = (site.map_or(0, Site::id), tid.unsigned_abs());
        self.write(Entry { kind, at, task, site, more, value });
    }
}
