//! A histogram of times.
//!
//! Four buckets to each power of two, as in the histograms that log and divide ("HDR" ones, G.
//! Tene): the error of a quantile is an eighth of its value at most, and a histogram is one small
//! array.

use std::fmt;
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

/// For how long the calls of a site blocked: a histogram.
///
/// A time counts from the hand-off to the return of the call: what the detector needed to notice is
/// not in it. (That of a call handed over first is the whole call, whether or not it blocks; so is
/// that of one on a thread without a core.) Calls that keep their core are in none of it, those
/// that blocked too briefly to be noticed included.
#[derive(Clone)]
pub struct BlockTimes {
    buckets: Box<[u32; BUCKETS]>,
    count: u64,
    longest: Duration,
}

impl BlockTimes {
    /// How many calls are in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest of them; zero if there is none.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The time that a share `q` of the calls did not exceed (`0.5` is the median), to within an
    /// eighth; zero if there is none. `q` beyond 0 to 1 counts as the nearer of the two.
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (nth, count) in self.buckets.iter().enumerate() {
            below += u64::from(*count);
            if below >= rank {
                return middle(nth).min(self.longest);
            }
        }
        self.longest
    }

    pub(crate) fn note(&mut self, time: Duration) {
        let count = &mut self.buckets[bucket(time)];
        *count = count.saturating_add(1);
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    pub(crate) fn add(&mut self, other: &BlockTimes) {
        for (mine, others) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *mine = mine.saturating_add(*others);
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }
}

impl Default for BlockTimes {
    fn default() -> Self {
        BlockTimes { buckets: Box::new([0; BUCKETS]), count: 0, longest: Duration::ZERO }
    }
}

impl fmt::Debug for BlockTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockTimes")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("longest", &self.longest)
            .finish()
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

/// The middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let Some(nth) = bucket.checked_sub(1) else { return Duration::from_nanos(FIRST / 2) };
    let log = FIRST_LOG + (nth / PARTS) as u32;
    let width = 1 << (log - PARTS_LOG);
    let low = (1 << log) + (nth % PARTS) as u64 * width;
    Duration::from_nanos(low + width / 2)
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
        let mut times = BlockTimes::default();
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
}
