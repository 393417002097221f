//! What all figures share: rounds, medians, percentiles, the clock they note times with.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, Serializer};
use threadlet::runtime::{Builder, Detector, Runtime};

use crate::peer::Smol;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Only as much as shows that everything runs.
    pub(crate) quick: bool,
    /// Rounds asked for; otherwise each figure has its own number.
    pub(crate) rounds: Option<usize>,
    /// Workers on all sides.
    pub(crate) workers: usize,
    /// How our runtime finds blocked threads this time.
    pub(crate) detector: Detector,
}

impl Plan {
    /// How many rounds a figure has that is usually measured in `usual`.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { usual })
    }

    /// One of two sizes.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Our runtime, with the defaults but for what the comparison needs.
    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime_of(self.workers)
    }

    /// The same with a flight recorder, of a size that people would give it.
    pub(crate) fn recorded(&self) -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(self.workers)
            .detector(self.detector)
            .flight_recorder(16 << 20)
            .build()
            .expect("our runtime")
    }

    /// The same with so many workers.
    pub(crate) fn runtime_of(&self, workers: usize) -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(workers)
            .detector(self.detector)
            .build()
            .expect("our runtime")
    }

    /// Ours as a program of tokio's gets it. It has no word for the detector; the environment has.
    pub(crate) fn facade(&self) -> facade::runtime::Runtime {
        facade::runtime::Builder::new_multi_thread()
            .worker_threads(self.workers)
            .enable_all()
            .build()
            .expect("our runtime")
    }

    /// tokio's runtime, with its defaults and as many workers.
    pub(crate) fn tokio(&self) -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.workers)
            .enable_all()
            .build()
            .expect("tokio's runtime")
    }

    /// smol's parts, with as many threads.
    pub(crate) fn smol(&self) -> Smol {
        Smol::start(self.workers)
    }
}

/// Measurements of one kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Samples(Vec<f64>);

/// Five digits of each number: more than any clock here knows.
impl Serialize for Samples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rounded = |sample: &f64| format!("{sample:.4e}").parse::<f64>().expect("a number");
        serializer.collect_seq(self.0.iter().map(rounded))
    }
}

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        assert!(sample.is_finite(), "a measurement is a number");
        self.0.push(sample);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = sorted[sorted.len() / 2];
        if sorted.len() % 2 == 1 { upper } else { (sorted[sorted.len() / 2 - 1] + upper) / 2.0 }
    }

    /// The smallest sample that is not exceeded by `percent` of them ("nearest rank").
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    /// Between what the median of all that could be measured lies, with a chance of 95 %, whatever
    /// their distribution: as many of so many samples are below it as heads are among so many coins.
    /// `None`: they are too few to say.
    pub(crate) fn median_within(&self) -> Option<(f64, f64)> {
        if self.len() < 6 {
            return None;
        }
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (half, off) = (sorted.len() as f64 / 2.0, 0.98 * (sorted.len() as f64).sqrt());
        let below = (half - off).floor().max(1.0) as usize - 1;
        Some((sorted[below], sorted[sorted.len() - 1 - below]))
    }

    pub(crate) fn max(&self) -> f64 {
        self.percentile(100.0)
    }

    /// What `combine` makes of each of ours and what was measured in turn with it. `None` if they
    /// were not.
    pub(crate) fn by_pairs(
        &self,
        others: &Samples,
        combine: impl Fn(f64, f64) -> f64,
    ) -> Option<Samples> {
        let pairs = self.0.iter().zip(&others.0);
        (self.len() == others.len())
            .then(|| pairs.map(|(one, other)| combine(*one, *other)).collect())
    }

    /// The medians of `count` parts (or as many as there are), in the order of measuring.
    pub(crate) fn folded(&self, count: usize) -> Samples {
        let size = self.len().div_ceil(count).max(1);
        self.0.chunks(size).map(|part| Samples(part.to_vec()).median()).collect()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        let mut all = Samples::default();
        samples.into_iter().for_each(|sample| all.push(sample));
        all
    }
}

/// Measures both sides in turn: ours, peer, ours, peer...
pub(crate) fn interleave(
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut peer: impl FnMut() -> f64,
) -> (Samples, Samples) {
    let (mut of_ours, mut of_peer) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        of_ours.push(ours());
        of_peer.push(peer());
    }
    (of_ours, of_peer)
}

/// The same with any number of sides.
pub(crate) fn in_turns<const N: usize>(
    rounds: usize,
    mut sides: [&mut dyn FnMut() -> f64; N],
) -> [Samples; N] {
    let mut all = [const { Samples(Vec::new()) }; N];
    for _ in 0..rounds {
        for (samples, side) in all.iter_mut().zip(&mut sides) {
            samples.push(side());
        }
    }
    all
}

/// Measures both sides in turn, each as often first as second: what one leaves behind for the next
/// (a warm cache, a clock that is higher) is left to both.
pub(crate) fn pairs(rounds: usize, mut one: impl FnMut(), mut other: impl FnMut()) {
    for nth in 0..rounds {
        if nth.is_multiple_of(2) {
            one();
            other();
        } else {
            other();
            one();
        }
    }
}

/// Nanoseconds since the first call: an `Instant` that fits an atomic. Never 0.
pub(crate) fn now_ns() -> u64 {
    static BASE: OnceLock<Instant> = OnceLock::new();
    BASE.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

/// Nanoseconds that one of `count` took.
pub(crate) fn ns_each(total: Duration, count: usize) -> f64 {
    total.as_nanos() as f64 / count as f64
}

/// Computes for so long, without a system call.
pub(crate) fn spin(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(Samples::from_iter([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Samples::from_iter([4.0, 1.0, 3.0, 2.0]).median(), 2.5);
        assert_eq!(Samples::from_iter([7.0]).median(), 7.0);
    }

    #[test]
    fn a_percentile_is_a_sample() {
        let hundred: Samples = (1..=100).map(f64::from).collect();
        assert_eq!(hundred.percentile(99.0), 99.0);
        assert_eq!(hundred.percentile(50.0), 50.0);
        assert_eq!(hundred.percentile(0.0), 1.0);
        assert_eq!(hundred.max(), 100.0);
        assert_eq!(Samples::from_iter([5.0, 1.0]).percentile(99.0), 5.0);
    }

    #[test]
    fn the_true_median_lies_within_what_is_said_of_it() {
        let hundred: Samples = (1..=100).map(f64::from).collect();
        // Of a hundred coins, 40 to 60 are heads in 96.5 of 100 cases.
        assert_eq!(hundred.median_within(), Some((40.0, 61.0)));
        let six: Samples = (1..=6).map(f64::from).collect();
        assert_eq!((six.median_within(), six.folded(5).median_within()), (Some((1.0, 6.0)), None));
    }

    #[test]
    fn each_of_a_pair_is_first_as_often() {
        let order = std::cell::RefCell::new(String::new());
        pairs(4, || order.borrow_mut().push('a'), || order.borrow_mut().push('b'));
        assert_eq!(order.into_inner(), "abbaabba");
    }

    #[test]
    fn samples_are_folded_in_their_order() {
        let ten: Samples = (1..=10).map(f64::from).collect();
        assert_eq!(ten.folded(2), Samples::from_iter([3.0, 8.0]));
        assert_eq!(ten.folded(20), ten);
    }

    #[test]
    fn pairs_are_of_what_was_measured_in_turn() {
        let (one, other) = (Samples::from_iter([6.0, 8.0]), Samples::from_iter([2.0, 4.0]));
        let quotients = one.by_pairs(&other, |over, under| over / under);
        assert_eq!(quotients, Some(Samples::from_iter([3.0, 2.0])));
        assert_eq!(one.by_pairs(&Samples::from_iter([1.0]), |over, _| over), None);
    }

    #[test]
    fn five_digits_are_kept() {
        let samples = Samples::from_iter([123_456.7, 0.000_123_456]);
        assert_eq!(serde_json::to_string(&samples).unwrap(), "[123460.0,0.00012346]");
    }

    #[test]
    fn rounds_take_turns() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            order.borrow_mut().push(name);
            1.0
        };
        let (ours, peer) = interleave(3, || side('o'), || side('p'));
        assert_eq!(order.into_inner(), "opopop");
        assert_eq!((ours.len(), peer.len()), (3, 3));
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            order.borrow_mut().push(name);
            1.0
        };
        let [_, _, third] = in_turns(2, [&mut || side('a'), &mut || side('b'), &mut || side('c')]);
        assert_eq!((order.into_inner().as_str(), third.len()), ("abcabc", 2));
    }

    #[test]
    fn the_clock_of_the_figures_moves_on_and_is_never_zero() {
        let before = now_ns();
        spin(Duration::from_micros(10));
        assert!(before > 0 && now_ns() >= before + 10_000);
    }

    #[test]
    fn a_plan_keeps_to_what_was_asked() {
        let plan = Plan { quick: true, rounds: None, workers: 2, detector: Detector::Off };
        assert_eq!((plan.rounds(9), plan.size(10, 1)), (2, 1));
        assert_eq!(Plan { rounds: Some(5), ..plan }.rounds(9), 5);
        assert_eq!(Plan { quick: false, ..plan }.rounds(9), 9);
    }
}
