//! The memory of the flight recorder: who writes where, and what a reader may believe.
//!
//! The memory is cut into *chunks* of equal size, all of them made at the start. A thread that
//! records has one chunk for itself and fills it from the front; when it is full, the thread gives it
//! back and takes the one that was given back longest ago, as far as the cursor knows, and overwrites
//! it. So what is there is always the last that all threads together have written, however many
//! they are; threads that come and go give their chunks back. Where more threads write than there
//! are chunks, some get none, and what they would write is counted as lost. Nothing grows.
//!
//! # Writers
//!
//! A chunk has one writer at most: the one whose swap has found `owned` false. A record is some words,
//! stored (Relaxed), and then the chunk's length (Release), in words: no lock, no system call, no
//! cache line that others write to. A record stands in one chunk whole; the last words of a chunk, where
//! the next has no room, stay empty. Once in a chunk's time there is a swap of `owned`, and an addition
//! to the cursor that all share.
//!
//! # Readers
//!
//! A reader takes no lock and keeps nobody from writing, so a chunk may be given away while it is
//! read. It is told by the chunk's *epoch*, a seqlock (H.-J. Boehm, "Can seqlocks get along with
//! programming language memory models?", 2012). The writer that begins a chunk (W1) makes the epoch
//! odd, (W2) fences, (W3) sets the length to zero, (W4) makes the epoch even again (Release), and
//! writes (W5) records and lengths. The reader (R1) loads the epoch (Acquire), (R2) the length
//! (Acquire), (R3) the words below it, (R4) fences, and (R5) loads the epoch once more. It drops
//! what it has read unless both epochs are the same even number.
//!
//! * *No record is read that is half another one.* A word that R3 finds of a later epoch was stored
//!   behind that epoch's fence W2; the fence R4 stands behind the load that found it; so R5 sees at
//!   least W1 of that epoch, and the chunk is dropped.
//! * *No record counts as one of a later epoch.* If R1 finds the epoch of W4, R2 finds the length of
//!   W3 or one behind it, and not one of the epoch before.
//! * *A record is whole.* The length of R2 was stored behind the words that it counts, and is the end
//!   of a record.

use std::cell::Cell;

use crate::primitive::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering, fence, full_fence, prefetch, weakened,
};

/// Words in a chunk, which is a page with what it knows of itself. (In a model two are as good.)
#[cfg(not(threadlet_loom))]
pub(crate) const WORDS: usize = 508;
#[cfg(threadlet_loom)]
pub(crate) const WORDS: usize = 2;

/// How far ahead of its writer a chunk is fetched into the cache, in words: a line. The memory is
/// larger than a cache, and the next atomic step of the thread would wait for each line.
const AHEAD: usize = 8;

/// How many chunks are tried for one that nobody writes. Nearly always the first is free; where more
/// threads write than there are chunks, a record more or less is lost.
const TRIES: usize = 16;

/// A part of the memory, which one thread at a time writes.
#[derive(Debug)]
struct Chunk {
    /// Odd while the chunk is being begun; grows with each time.
    epoch: AtomicU64,
    /// Words that are there.
    length: AtomicUsize,
    /// Whose records they are: what the writer calls itself.
    by: AtomicU64,
    /// It has a writer.
    owned: AtomicBool,
    words: [AtomicU64; WORDS],
}

impl Chunk {
    fn new() -> Self {
        Chunk {
            epoch: AtomicU64::new(0),
            length: AtomicUsize::new(0),
            by: AtomicU64::new(0),
            owned: AtomicBool::new(false),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// W1 to W4, by its new writer.
    fn begin(&self, by: u64) {
        // Ordering: Relaxed. The last writer's stores were seen with `owned`.
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.epoch.store(epoch + 1, Ordering::Relaxed);
        // W2, whose partner is R4.
        full_fence!("record-begin");
        self.length.store(0, Ordering::Relaxed);
        self.by.store(by, Ordering::Relaxed);
        // Ordering: Release. Partner: R1.
        self.epoch.store(epoch + 2, Ordering::Release);
    }
}

/// The whole memory.
#[derive(Debug)]
pub(crate) struct Chunks {
    chunks: Box<[Chunk]>,
    /// How often a chunk was asked for: the next to be tried.
    cursor: AtomicUsize,
    /// Records that found no chunk.
    lost: AtomicU64,
}

/// What one chunk held when it was read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Who has written it.
    pub(crate) by: u64,
    /// Its writer may go on with it.
    pub(crate) open: bool,
    /// Whole records, one behind the other.
    pub(crate) words: Vec<u64>,
}

impl Chunks {
    /// As many as have room in so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self::of(bytes / size_of::<Chunk>())
    }

    pub(crate) fn of(count: usize) -> Self {
        Chunks {
            chunks: (0..count).map(|_| Chunk::new()).collect(),
            cursor: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// How many bytes they take: not more than was asked for.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.chunks)
    }

    pub(crate) fn count(&self) -> usize {
        self.chunks.len()
    }

    /// Whether each chunk has been written at least once: something has been overwritten.
    pub(crate) fn is_full(&self) -> bool {
        self.cursor.load(Ordering::Relaxed) > self.chunks.len()
    }

    /// How many records found no chunk.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A chunk that nobody writes, begun anew.
    fn take(&self, by: u64) -> Option<&Chunk> {
        for _ in 0..TRIES.min(self.chunks.len()) {
            // Ordering: Relaxed. The cursor says where to look, and nothing else.
            let nth = self.cursor.fetch_add(1, Ordering::Relaxed) % self.chunks.len();
            let chunk = &self.chunks[nth];
            // Ordering: Acquire. Partner: the Release of `give_back`. The load spares the swap.
            if !chunk.owned.load(Ordering::Relaxed) && !chunk.owned.swap(true, Ordering::Acquire) {
                chunk.begin(by);
                return Some(chunk);
            }
        }
        None
    }

    /// R1 to R5: what a chunk holds. `None`: nothing, or it was begun anew meanwhile.
    pub(crate) fn read(&self, nth: usize) -> Option<Page> {
        let chunk = &self.chunks[nth];
        // Ordering: Acquire. Partner: W4.
        let epoch = chunk.epoch.load(Ordering::Acquire);
        // Ordering: Acquire. Partner: the Release in `Writer::push`.
        let length = chunk.length.load(weakened!("record-length", Ordering::Acquire));
        let words = chunk.words.iter().take(length);
        let words: Vec<u64> = words.map(|word| word.load(Ordering::Relaxed)).collect();
        let by = chunk.by.load(Ordering::Relaxed);
        let open = chunk.owned.load(Ordering::Relaxed);
        // Ordering: R4, whose partner is W2.
        fence(Ordering::Acquire);
        let still = chunk.epoch.load(Ordering::Relaxed);
        let whole = epoch.is_multiple_of(2) && still == epoch;
        (whole && !words.is_empty()).then_some(Page { by, open, words })
    }
}

/// One thread's way into the memory. What it has not filled it gives back when it is dropped.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    chunks: &'a Chunks,
    chunk: Cell<Option<&'a Chunk>>,
    /// Words in it.
    length: Cell<usize>,
    by: u64,
}

impl<'a> Writer<'a> {
    /// For whoever calls itself `by`. It takes a chunk when it has something to write.
    pub(crate) fn new(chunks: &'a Chunks, by: u64) -> Self {
        Writer { chunks, chunk: Cell::new(None), length: Cell::new(WORDS), by }
    }

    /// Writes a record, which is `N` words, one at least.
    #[inline]
    pub(crate) fn push<const N: usize>(&self, record: [u64; N]) {
        if self.length.get() + N > WORDS {
            self.change();
        }
        let Some(chunk) = self.chunk.get() else { return };
        let length = self.length.get();
        for (word, value) in chunk.words[length..length + N].iter().zip(record) {
            // Ordering: Relaxed; W5. The length below publishes it.
            word.store(value, Ordering::Relaxed);
        }
        if let Some(ahead) = chunk.words.get(length + N + AHEAD) {
            prefetch(ahead);
        }
        self.length.set(length + N);
        // Ordering: Release. Partner: R2.
        chunk.length.store(length + N, weakened!("record-publish", Ordering::Release));
    }

    /// Whether it has a chunk.
    #[cfg(test)]
    pub(crate) fn is_writing(&self) -> bool {
        self.chunk.get().is_some()
    }

    /// The chunk is full, or there was none.
    #[cold]
    fn change(&self) {
        self.give_back();
        let chunk = self.chunks.take(self.by);
        match chunk {
            Some(_) => self.length.set(0),
            None => _ = self.chunks.lost.fetch_add(1, Ordering::Relaxed),
        }
        self.chunk.set(chunk);
    }

    fn give_back(&self) {
        if let Some(chunk) = self.chunk.take() {
            // Ordering: Release. Partner: the Acquire in `take`.
            chunk.owned.store(false, Ordering::Release);
        }
        self.length.set(WORDS);
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    const CHUNK: usize = size_of::<Chunk>();

    /// The words of a record here, and how many of them a chunk holds.
    const N: usize = 3;
    const RECORDS: usize = WORDS / N;

    fn all(chunks: &Chunks) -> Vec<u64> {
        let pages = (0..chunks.count()).filter_map(|nth| chunks.read(nth));
        let firsts = |page: Page| page.words.into_iter().step_by(N);
        let mut firsts: Vec<u64> = pages.flat_map(firsts).collect();
        firsts.sort_unstable();
        firsts
    }

    #[test]
    fn the_last_records_are_there_and_the_memory_is_what_was_asked_for() {
        assert_eq!(CHUNK, 4096);
        let chunks = Chunks::new(4 * CHUNK + CHUNK / 2);
        assert_eq!((chunks.count(), chunks.bytes()), (4, 4 * CHUNK));
        let writer = Writer::new(&chunks, 7);
        let written = 10 * RECORDS as u64 + 5;
        (0..written).for_each(|n| writer.push([n; N]));
        // Three chunks before the one that is being written.
        let first = written - 5 - 3 * RECORDS as u64;
        assert_eq!(all(&chunks), (first..written).collect::<Vec<_>>());
        assert!((0..4).filter_map(|nth| chunks.read(nth)).all(|page| page.by == 7));
        assert_eq!((chunks.bytes(), chunks.lost()), (4 * CHUNK, 0));
    }

    #[test]
    fn ten_thousand_threads_come_and_go_and_each_finds_room() {
        let chunks = Chunks::of(8);
        for by in 0..10_000 {
            std::thread::scope(|scope| {
                scope.spawn(|| Writer::new(&chunks, by).push([by; N]));
            });
        }
        assert_eq!(chunks.lost(), 0);
        assert_eq!(all(&chunks), (9992..10_000).collect::<Vec<_>>());
        assert_eq!(chunks.bytes(), 8 * CHUNK, "as at the start");
    }

    #[test]
    fn more_writers_than_chunks_lose_what_has_no_room() {
        let chunks = Chunks::of(2);
        let writers: Vec<_> = (0..3).map(|by| Writer::new(&chunks, by)).collect();
        writers.iter().for_each(|writer| writer.push([writer.by; N]));
        assert_eq!((all(&chunks), chunks.lost()), (vec![0, 1], 1));
        assert!(writers[1].is_writing() && !writers[2].is_writing());
        drop(writers);
        Writer::new(&chunks, 9).push([9; N]);
        assert!(all(&chunks).contains(&9), "what was given back is taken again");
    }

    /// A record has room or it has not, whatever the length of those before it.
    #[test]
    fn a_record_is_never_cut() {
        let chunks = Chunks::of(2);
        let writer = Writer::new(&chunks, 1);
        writer.push([0; 3]);
        (0..WORDS / 4 - 1).for_each(|_| writer.push([4; 4]));
        // One word is left.
        writer.push([5; 4]);
        let words = [0, 1].map(|nth| chunks.read(nth).expect("both are written").words);
        assert_eq!((words[0].len(), &words[1]), (WORDS - 1, &vec![5; 4]));
        (0..WORDS / 4 - 1).for_each(|_| writer.push([6; 4]));
        writer.push([7; 1]);
        let words = chunks.read(0).expect("it is begun anew").words;
        assert_eq!(words, [7], "a full chunk has room for no word more");
    }

    /// Each record is some times the same number; a reader finds no other, whatever writers do.
    #[test]
    fn a_reader_finds_whole_records_only() {
        let chunks = Chunks::of(2);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for by in [1_u64, 2] {
                let (chunks, stop) = (&chunks, &stop);
                scope.spawn(move || {
                    let mut n = by;
                    while !stop.load(Ordering::Relaxed) {
                        let writer = Writer::new(chunks, by);
                        for _ in 0..RECORDS {
                            writer.push([n; N]);
                            n += 2;
                        }
                    }
                });
            }
            let end = std::time::Instant::now() + std::time::Duration::from_millis(300);
            while std::time::Instant::now() < end {
                for page in [0, 1].iter().filter_map(|nth| chunks.read(*nth)) {
                    for record in page.words.chunks(N) {
                        assert_eq!(record, [record[0]; N]);
                        assert_eq!(record[0] % 2, page.by % 2, "it is its writer's");
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
