//! One place in the source that makes in-place calls, and what is known of it.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::primitive::StaticRef;
use crate::sys::whereabouts::Doing;

/// One `threadlet!` in the source: where it stands, and what it says.
///
/// The macro makes one as a `static`; [`run`](crate::run) and
/// [`spawn_blocking`](crate::task::spawn_blocking) use the place they are called from.
///
/// A site learns: one whose calls nearly always block (more than three in four, of those that are
/// watched) has its core handed over *before* the call, which saves the time to notice; one call in
/// 32 runs the ordinary way all the same, so that a site whose calls have ceased to block is found
/// out.
pub struct Site {
    file: &'static str,
    line: u32,
    column: u32,
    text: &'static str,
    /// The text of the group's expression, if it has one.
    group: Option<&'static str>,
    /// The number in the table of sites; 0 until the first call inside a runtime.
    id: AtomicU32,
    /// What the last calls did; see [`Record`].
    record: AtomicU16,
    /// Calls that were done by asking, in whatever executor.
    asked: AtomicU64,
    /// What an unmarked poll slept in; 0 until that is known.
    slept_in: AtomicU32,
    /// It has been said that it was called outside any runtime.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "only `tracing` says so"))]
    pub(crate) spoken_of: AtomicBool,
}

/// The text of the site at which polls count that did not say that they block, or compute: it stands
/// where their task was spawned.
pub(crate) const UNMARKED: &str = "(a poll that did not say so)";

/// Of `Site::slept_in`: a page fault; system calls follow by their numbers.
const FAULT: u32 = 1;
const FIRST_CALL: u32 = 2;

/// Sites beyond this many share one row of counters; nothing else changes for them.
pub(crate) const MAX_SITES: u32 = 4096;

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("file", &self.file)
            .field("line", &self.line)
            .field("column", &self.column)
            .field("text", &self.text)
            .finish()
    }
}

/// As `file:line` and the text.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// A place that calls a function, and the next one in its chain.
struct Caller {
    site: Site,
    next: StaticRef<Caller>,
}

/// The sites of places that call a function, in chains that are only added to. No lock: a child of
/// `fork` might find it held by a thread that it does not have.
static CALLERS: [StaticRef<Caller>; 256] = [const { StaticRef::new() }; 256];

/// Places that a thread has at hand.
const KNOWN_PLACES: usize = 64;

type Known = Cell<Option<(&'static Location<'static>, &'static Site)>>;

thread_local! {
    // Nothing in it needs a drop: it can be read in destructors of other thread-locals, too.
    static KNOWN: [Known; KNOWN_PLACES] = const { [const { Cell::new(None) }; KNOWN_PLACES] };
}

/// The sites by their rows, which are numbered from 1. No lock, for the same reason. The last row
/// is for those that found the table full.
static SITES: [StaticRef<Site>; MAX_SITES as usize - 2] =
    [const { StaticRef::new() }; MAX_SITES as usize - 2];

impl Site {
    /// A site, for the macro to put into a `static`.
    #[doc(hidden)]
    pub const fn new(file: &'static str, line: u32, column: u32, text: &'static str) -> Self {
        let (id, record) = (AtomicU32::new(0), AtomicU16::new(0));
        let asked = AtomicU64::new(0);
        let (group, slept_in, spoken_of) = (None, AtomicU32::new(0), AtomicBool::new(false));
        Site { file, line, column, text, group, id, record, asked, slept_in, spoken_of }
    }

    /// The same, of calls in a group.
    #[doc(hidden)]
    pub const fn in_group(self, group: &'static str) -> Self {
        let Site { file, line, column, text, .. } = self;
        Site { group: Some(group), ..Site::new(file, line, column, text) }
    }

    /// The file it stands in, as the compiler names it.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column, from 1.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// The text of the expression, or the name of the function that was called.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The text of the group's expression, if its calls wait for a place in one.
    pub fn group(&self) -> Option<&'static str> {
        self.group
    }

    /// The site of a function called at `place`, made at its first call and kept for ever.
    ///
    /// Each thread keeps those it met last at hand.
    pub(crate) fn at(place: &'static Location<'static>, text: &'static str) -> &'static Site {
        // Locations are some words long each, and stand side by side.
        let nth = (ptr::from_ref(place).addr() >> 4) % KNOWN_PLACES;
        let known = KNOWN.with(|known| known[nth].get());
        if let Some((other, site)) = known {
            if ptr::eq(other, place) && ptr::eq(site.text, text) {
                return site;
            }
        }
        let site = Site::find(place, text);
        KNOWN.with(|known| known[nth].set(Some((place, site))));
        site
    }

    #[cold]
    fn find(place: &'static Location<'static>, text: &'static str) -> &'static Site {
        let (file, line, column) = (place.file(), place.line(), place.column());
        let mut made = None;
        let mut link = &CALLERS[line as usize % CALLERS.len()];
        loop {
            let caller = link.get().unwrap_or_else(|| {
                // Another thread may come first, with this site or another: then ours is tried at
                // the next link, or left behind.
                link.get_or_set(made.get_or_insert_with(|| {
                    let site = Site::new(file, line, column, text);
                    &*Box::leak(Box::new(Caller { site, next: StaticRef::new() }))
                }))
            });
            let site = &caller.site;
            if (site.line, site.column) == (line, column) && (site.text, site.file) == (text, file)
            {
                return site;
            }
            link = &caller.next;
        }
    }

    /// A call was done by asking: on the calling thread, which is none of ours, without waiting.
    pub(crate) fn note_asked(&'static self) {
        // It is in the list of sites from now on.
        self.id();
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// An unmarked poll sleeps, and in that.
    pub(crate) fn note_sleep(&self, doing: Doing) {
        let mark = match doing {
            Doing::Call(number) => FIRST_CALL + u32::from(number),
            Doing::Fault => FAULT,
            Doing::Running | Doing::Asleep => return,
        };
        self.slept_in.store(mark, Ordering::Relaxed);
    }

    /// What an unmarked poll slept in.
    pub(crate) fn slept_in(&self) -> Option<Doing> {
        match self.slept_in.load(Ordering::Relaxed) {
            0 => None,
            FAULT => Some(Doing::Fault),
            mark => u16::try_from(mark - FIRST_CALL).ok().map(Doing::Call),
        }
    }

    /// The row of this site in every table of counters.
    #[inline]
    pub(crate) fn id(&'static self) -> u32 {
        match self.id.load(Ordering::Relaxed) {
            0 => self.register(),
            id => id,
        }
    }

    #[cold]
    fn register(&'static self) -> u32 {
        // From the first row, so that all who register it find the same.
        let row = SITES.iter().position(|row| ptr::eq(row.get_or_set(self), self));
        let id = row.map_or(MAX_SITES - 1, |row| row as u32 + 1);
        self.id.store(id, Ordering::Relaxed);
        id
    }

    /// All sites that were called inside a runtime, or asked outside, by their row.
    pub(crate) fn all() -> Vec<&'static Site> {
        SITES.iter().map_while(StaticRef::get).collect()
    }

    /// What is known of its calls.
    #[inline]
    pub(crate) fn record(&self) -> Record {
        Record(self.record.load(Ordering::Relaxed))
    }

    /// What its calls are known to do: from nothing on record to a core that is nearly always lost,
    /// so that it is better handed over before the call.
    #[inline]
    pub(crate) fn habit(&self) -> Habit {
        self.record().habit()
    }

    /// A call lost its core, or returned without having blocked.
    pub(crate) fn learn(&self, lost: bool) {
        self.change(|score, warmth| {
            let next = if lost { (score + 1).min(CERTAIN) } else { score.saturating_sub(DISMAY) };
            (next, warmth)
        });
    }

    /// A call computed for so long that it lost its core: two of those are enough.
    pub(crate) fn learn_hog(&self) {
        self.change(|score, warmth| ((score + PREDICTED / 2).min(CERTAIN), warmth));
    }

    /// A call has blocked: a detector should be told of its next blocks by the kernel.
    pub(crate) fn warm(&self) {
        self.change(|score, _| (score, WARMEST));
    }

    /// A call took long, and may have blocked.
    pub(crate) fn suspect(&self) {
        self.change(|score, warmth| (score, warmth.max(1)));
    }

    /// A thread has made another few hundred calls since.
    pub(crate) fn cool(&self) {
        self.change(|score, warmth| (score, warmth.saturating_sub(1)));
    }

    fn change(&self, f: impl FnOnce(u8, u8) -> (u8, u8)) {
        // A hint: an update that another overwrites is made good by the next call.
        let before = self.record();
        let (score, warmth) = f(before.score(), before.warmth());
        let after = u16::from(warmth) << 8 | u16::from(score);
        if after != before.0 {
            self.record.store(after, Ordering::Relaxed);
        }
    }
}

/// What is known of a site's calls, in two small numbers: its *score*, from which [`Habit`] comes,
/// and its *warmth*.
///
/// The site is warm if one of its calls has blocked of late, however few of them do; only then are
/// threads' rings armed for it, and only then is one look of the monitor's enough. Each block makes it as warm as can be; each thread takes one off
/// with every few hundred calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record(u16);

impl Record {
    #[inline]
    fn score(self) -> u8 {
        self.0 as u8
    }

    #[inline]
    fn warmth(self) -> u8 {
        (self.0 >> 8) as u8
    }

    #[inline]
    pub(crate) fn is_warm(self) -> bool {
        self.warmth() > 0
    }

    #[inline]
    pub(crate) fn habit(self) -> Habit {
        match self.score() {
            0 => Habit::Stays,
            score if score < SUSPECT => Habit::Doubtful,
            score if score < PREDICTED => Habit::Suspect,
            _ => Habit::Loses,
        }
    }
}

/// What a site is known to do, as a saturating counter tells it, in the manner of branch predictors
/// (J. E. Smith, "A study of branch prediction strategies", 1981).
///
/// A call that loses its core counts 1 up, to [`CERTAIN`]; one that does not counts [`DISMAY`]
/// down. So the counter rises only at a site of which more than three calls in four lose their
/// core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Habit {
    /// Nothing is on record: the common case, in which a call that keeps its core writes nothing.
    Stays,
    /// A call or two took long: they may have blocked, or have been kept from the CPU.
    Doubtful,
    /// Several did: whether the thread slept is asked of the kernel, which is a system call.
    Suspect,
    /// It nearly always loses its core.
    Loses,
}

const SUSPECT: u8 = 3;
const PREDICTED: u8 = 6;
const CERTAIN: u8 = 8;
const DISMAY: u8 = 3;

/// With one off for each 256 calls of a thread, a site of which one call in ten thousand blocks
/// stays warm.
const WARMEST: u8 = 64;

const CHUNK: usize = 64;

/// One thread's calls per site: written by the thread alone, summed by whoever asks.
#[derive(Debug)]
pub(crate) struct CallCounts {
    chunks: [OnceLock<Box<[AtomicU64; CHUNK]>>; MAX_SITES as usize / CHUNK],
}

impl CallCounts {
    pub(crate) fn new() -> Self {
        CallCounts { chunks: [const { OnceLock::new() }; MAX_SITES as usize / CHUNK] }
    }

    /// One more call; returns how many this thread made before.
    #[inline]
    pub(crate) fn add(&self, id: u32) -> u64 {
        let id = id as usize;
        let chunk = match self.chunks[id / CHUNK].get() {
            Some(chunk) => chunk,
            None => self.chunks[id / CHUNK]
                .get_or_init(|| Box::new([const { AtomicU64::new(0) }; CHUNK])),
        };
        let count = chunk[id % CHUNK].load(Ordering::Relaxed);
        // A plain load and store: nobody else writes.
        chunk[id % CHUNK].store(count + 1, Ordering::Relaxed);
        count
    }

    pub(crate) fn get(&self, id: u32) -> u64 {
        let id = id as usize;
        self.chunks[id / CHUNK].get().map_or(0, |chunk| chunk[id % CHUNK].load(Ordering::Relaxed))
    }

    pub(crate) fn total(&self) -> u64 {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        chunks.flat_map(|chunk| chunk.iter()).map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_site_with_one_row_whoever_comes_first() {
        for round in 0..100 {
            let all = std::sync::Barrier::new(4);
            let text: &'static str = format!("a call of round {round}").leak();
            let find = || {
                all.wait();
                let site = Site::at(Location::caller(), text);
                (ptr::from_ref(site).addr(), site.id())
            };
            let found = std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| scope.spawn(find));
                threads.map(|thread| thread.join().unwrap())
            });
            assert_eq!(found, [found[0]; 4]);
            assert!(Site::all().iter().any(|site| ptr::from_ref(*site).addr() == found[0].0));
        }
    }

    #[test]
    fn two_calls_of_one_place_are_two_sites_if_they_differ_in_text() {
        let place = Location::caller();
        let [run, spawn] = ["run", "spawn"].map(|text| Site::at(place, text));
        assert!(!ptr::eq(run, spawn));
        assert!(ptr::eq(Site::at(place, "run"), run), "though they share a place at hand");
    }
}
