//! A histogram of times.
//!
//! Four buckets to each power of two, as in the histograms that log and divide ("HDR" ones, G.
//! Tene): the error of a quantile is an eighth of its value at most, and a histogram is one small
//! array.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Times below this share the first bucket, which no detector can see into.
const FIRST: u64 = 1 << FIRST_LOG;
const FIRST_LOG: u32 = 10;

/// Buckets to a power of two.
const PARTS: usize = 4;
const PARTS_LOG: u32 = PARTS.ilog2();

/// Up to 2^45 ns, nearly ten hours; longer times share the last bucket.
const OCTAVES: usize = 35;
const BUCKETS: usize = 1 + OCTAVES * PARTS;

/// A histogram of times: of blocks ([`SiteStats::block_times`](crate::runtime::SiteStats)), polls
/// ([`Metrics::poll_times`](crate::runtime::Metrics::poll_times)) and waits in queues
/// ([`Metrics::schedule_latencies`](crate::runtime::Metrics::schedule_latencies)).
///
/// It has four buckets to each power of two from a microsecond to ten hours, so that a time is known
/// to within an eighth.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::Histogram;
///
/// fn print(times: &Histogram) {
///     println!("{} times, {:?} at the median", times.count(), times.quantile(0.5));
///     for (below, count) in times.buckets() {
///         println!("{count} below {below:?}");
///     }
/// }
/// # print(&Histogram::default());
/// ```
#[derive(Clone)]
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    total: Duration,
    longest: Duration,
}

impl Histogram {
    /// How many times are in it.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The longest of them; zero if there is none.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The buckets that are not empty: the time that all in it are shorter than, longer than all of
    /// the bucket before, and how many there are. The last bucket of all, of what took ten hours or
    /// longer, says [`Duration::MAX`].
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let filled = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(nth, count)| (end(nth), *count))
    }

    /// The time that a share `q` of them did not exceed (`0.5` is the median), to within an
    /// eighth; zero if there is none. `q` beyond 0 to 1 counts as the nearer of the two.
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = (q.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (nth, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank {
                return middle(nth).min(self.longest);
            }
        }
        self.longest
    }

    pub(crate) fn note(&mut self, time: Duration) {
        self.buckets[bucket(time)] += 1;
        self.total = self.total.saturating_add(time);
        self.longest = self.longest.max(time);
    }

    pub(crate) fn add(&mut self, other: &Histogram) {
        for (mine, others) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *mine += others;
        }
        self.total = self.total.saturating_add(other.total);
        self.longest = self.longest.max(other.longest);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            buckets: Box::new([0; BUCKETS]),
            total: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("longest", &self.longest)
            .finish()
    }
}

/// A histogram that one thread writes, and whoever asks reads.
#[derive(Debug)]
pub(crate) struct Counts {
    buckets: [AtomicU64; BUCKETS],
    /// In nanoseconds.
    total: AtomicU64,
    /// In nanoseconds.
    longest: AtomicU64,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Counts { buckets: [const { AtomicU64::new(0) }; BUCKETS], total: zero(), longest: zero() }
    }

    /// By the one thread that writes: plain loads and stores.
    pub(crate) fn note(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let count = &self.buckets[bucket(time)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let total = self.total.load(Ordering::Relaxed).saturating_add(nanos);
        self.total.store(total, Ordering::Relaxed);
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.store(nanos, Ordering::Relaxed);
        }
    }

    /// Adds what is known to `sum`.
    pub(crate) fn add_to(&self, sum: &mut Histogram) {
        for (sum, count) in sum.buckets.iter_mut().zip(&self.buckets) {
            *sum += count.load(Ordering::Relaxed);
        }
        let total = Duration::from_nanos(self.total.load(Ordering::Relaxed));
        sum.total = sum.total.saturating_add(total);
        sum.longest = sum.longest.max(Duration::from_nanos(self.longest.load(Ordering::Relaxed)));
    }
}

fn bucket(time: Duration) -> usize {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if nanos < FIRST {
        return 0;
    }
    let log = nanos.ilog2();
    let part = (nanos >> (log - PARTS_LOG)) as usize % PARTS;
    (1 + (log - FIRST_LOG) as usize * PARTS + part).min(BUCKETS - 1)
}

/// Where a bucket begins, and how wide it is; in nanoseconds.
fn range(bucket: usize) -> (u64, u64) {
    let Some(nth) = bucket.checked_sub(1) else { return (0, FIRST) };
    let log = FIRST_LOG + (nth / PARTS) as u32;
    let width = 1 << (log - PARTS_LOG);
    ((1 << log) + (nth % PARTS) as u64 * width, width)
}

/// The middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let (low, width) = range(bucket);
    Duration::from_nanos(low + width / 2)
}

/// What all times in a bucket are shorter than.
fn end(bucket: usize) -> Duration {
    let (low, width) = range(bucket);
    if bucket == BUCKETS - 1 { Duration::MAX } else { Duration::from_nanos(low + width) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_in_its_bucket() {
        for exponent in 0..64 {
            for nanos in [1u64 << exponent, (1 << exponent) + (1 << exponent) / 3] {
                let time = Duration::from_nanos(nanos);
                let found = middle(bucket(time));
                if (1024..1 << 45).contains(&nanos) {
                    let error = found.abs_diff(time).as_nanos() as f64 / nanos as f64;
                    assert!(error <= 0.125, "{time:?} counts as {found:?}");
                }
            }
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert_eq!(bucket(Duration::ZERO), 0);
    }

    #[test]
    fn quantiles_are_those_of_what_was_noted() {
        let mut times = Histogram::default();
        assert_eq!((times.quantile(0.5), times.longest()), (Duration::ZERO, Duration::ZERO));
        (1..=1000).for_each(|ms| times.note(Duration::from_millis(ms)));
        for (q, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.001, 1.0)] {
            let found = times.quantile(q).as_secs_f64() * 1e3;
            assert!((found / expected - 1.0).abs() <= 0.13, "{q}: {found} ms, not {expected}");
        }
        assert_eq!(times.quantile(2.0), times.longest());
        assert_eq!((times.count(), times.longest()), (1000, Duration::from_secs(1)));
        let mut both = times.clone();
        both.add(&times);
        assert_eq!((both.count(), both.quantile(0.5)), (2000, times.quantile(0.5)));
    }

    #[test]
    fn each_time_is_shorter_than_the_end_of_its_bucket_and_not_than_that_of_the_one_before() {
        for exponent in 0..46 {
            for nanos in [1u64 << exponent, (1 << exponent) - 1, (1 << exponent) + 1] {
                let time = Duration::from_nanos(nanos);
                let mut times = Histogram::default();
                times.note(time);
                let found: Vec<_> = times.buckets().collect();
                let nth = bucket(time);
                assert!(time < end(nth) && found == [(end(nth), 1)], "{time:?}: {found:?}");
                assert!(nth == 0 || end(nth - 1) <= time, "{time:?}");
            }
        }
    }

    #[test]
    fn counts_are_the_same_histogram() {
        let (counts, mut noted) = (Counts::new(), Histogram::default());
        for nanos in [0, 5, 2_000, 2_000, 1 << 30, 1 << 50] {
            counts.note(Duration::from_nanos(nanos));
            noted.note(Duration::from_nanos(nanos));
        }
        let mut read = Histogram::default();
        counts.add_to(&mut read);
        assert!(read.buckets().eq(noted.buckets()));
        assert_eq!((read.total(), read.longest()), (noted.total(), noted.longest()));
        assert_eq!(
            (read.count(), read.total()),
            (6, Duration::from_nanos((1 << 30) + (1 << 50) + 4_005))
        );
    }
}
