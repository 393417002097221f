//! How long polls take, and how long tasks wait for theirs: for programs that ask for it
//! (`Builder::enable_metrics_poll_time_histogram` and its kin).
//!
//! Nothing of it stands in a task. Each thread counts its own polls. When a task was queued stands in
//! a table of the runtime, by the task's number: a place holds one task at a time, and another that
//! finds it taken is not timed. So of few tasks all are, and of many a sample.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::profile::Counts;

/// What one thread has seen of the tasks that it polls.
#[derive(Debug)]
pub(crate) struct Polls {
    /// How long each took.
    pub(crate) times: Counts,
    /// How long each of those that were timed had waited before.
    pub(crate) waits: Counts,
}

impl Polls {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Polls { times: Counts::new(), waits: Counts::new() })
    }
}

/// How many tasks are timed at once.
const PLACES: usize = 1024;

/// A place holds the low bits of a task's number above the time, in units of 16 ns, which is enough
/// for three days before it begins anew. A place that holds 0 is free.
const TIME_BITS: u32 = 44;
const TIME: u64 = (1 << TIME_BITS) - 1;
const UNIT_LOG: u32 = 4;

/// When tasks were put into a queue.
pub(crate) struct Queued {
    /// Time counts from here.
    born: Instant,
    places: Box<[AtomicU64]>,
}

impl Queued {
    pub(crate) fn new() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Queued { born: Instant::now(), places }
    }

    /// Task `id` goes into a queue.
    pub(crate) fn enters(&self, id: u64) {
        let place = self.place(id);
        if place.load(Ordering::Relaxed) == 0 {
            // Ordering: Relaxed, here and below. The queue orders the two for one task, and what
            // another task does in between is seen by the number.
            let mark = mark(id, self.now());
            let _taken = place.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Task `id` is about to be polled. How long it was queued, if it is one of those that are timed.
    pub(crate) fn leaves(&self, id: u64) -> Option<Duration> {
        let place = self.place(id);
        let seen = place.load(Ordering::Relaxed);
        if seen == 0 || seen >> TIME_BITS != mark(id, 0) >> TIME_BITS {
            return None;
        }
        place.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let waited = self.now().wrapping_sub(seen & TIME) & TIME;
        Some(Duration::from_nanos(waited << UNIT_LOG))
    }

    fn place(&self, id: u64) -> &AtomicU64 {
        &self.places[id as usize % PLACES]
    }

    fn now(&self) -> u64 {
        (self.born.elapsed().as_nanos() as u64) >> UNIT_LOG & TIME
    }
}

/// Never 0: the lowest bit is set, which is 16 ns.
fn mark(id: u64, time: u64) -> u64 {
    (id / PLACES as u64) << TIME_BITS | time | 1
}

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queued").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_timed_from_its_queue_to_its_poll() {
        let queued = Queued::new();
        queued.enters(7);
        std::thread::sleep(Duration::from_millis(5));
        // It is in the queue already.
        queued.enters(7);
        let waited = queued.leaves(7).unwrap();
        assert!((5..1000).contains(&waited.as_millis()), "{waited:?}");
        assert_eq!(queued.leaves(7), None, "once");
    }

    #[test]
    fn a_place_that_is_taken_times_nobody_else() {
        let queued = Queued::new();
        let (one, other) = (3, 3 + PLACES as u64);
        queued.enters(one);
        queued.enters(other);
        assert_eq!(queued.leaves(other), None);
        assert!(queued.leaves(one).is_some());
        queued.enters(other);
        assert!(queued.leaves(other).is_some());
        // Task numbers whose low bits are all ones, or come round.
        for id in [u64::MAX, (1 << 30) - 1, 1 << 30, 0] {
            queued.enters(id);
            assert!(queued.leaves(id).is_some(), "{id}");
        }
    }
}
