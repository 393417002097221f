//! What is known of each site beside the number of its calls: the rare things, kept under a lock.

mod histogram;

use std::collections::HashMap;
use std::time::{Duration, Instant};

pub(crate) use histogram::Counts;
pub use histogram::Histogram;

use crate::primitive::Mutex;
use crate::protocol::Cause;

/// What happened at a site that is rare enough to be kept under a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteEvents {
    /// Hand-offs, by [`Cause`].
    pub(crate) handoffs: [u64; 4],
    /// For how long calls blocked that lost a core by it.
    pub(crate) blocks: Histogram,
    /// Of the hand-offs that are rescues, those of polls that computed.
    pub(crate) computed: u64,
    /// From the hand-off of a hog, or of a poll that computed, to its return.
    pub(crate) hogs: Times,
    /// When the first of the calls that blocked lost its core, and when the last returned.
    pub(crate) blocked_within: Option<(Instant, Instant)>,
    /// Waits for a permit, or for a place in a group.
    pub(crate) waits: Times,
    last_block: LastBlock,
}

/// When a site blocked last, by the number of its calls.
#[derive(Clone, Copy, Debug, Default)]
enum LastBlock {
    #[default]
    Never,
    /// Nobody has asked since.
    Unasked,
    /// When somebody asked first, the site had made so many calls.
    AskedAt(u64),
}

impl SiteEvents {
    /// A call whose core was handed over has returned, after `lasted`.
    pub(crate) fn handed_over(&mut self, cause: Cause, lasted: Duration) {
        self.handoffs[cause as usize] += 1;
        if cause == Cause::Hog {
            return self.hogs.note(lasted);
        }
        self.blocks.note(lasted);
        let now = Instant::now();
        let first = self.blocked_within.map_or(now - lasted, |(first, _)| first.min(now - lasted));
        self.blocked_within = Some((first, now));
        self.last_block = LastBlock::Unasked;
    }

    /// An unmarked poll whose core was handed over because it computed has returned, after `lasted`.
    pub(crate) fn computed(&mut self, lasted: Duration) {
        self.handoffs[Cause::Rescued as usize] += 1;
        self.computed += 1;
        self.hogs.note(lasted);
    }

    /// Whether the site has blocked within its last calls: `recent` of them, from the first on for
    /// which this was asked behind a block. `calls` says how many it has made, and is asked here
    /// and not at each block: it looks at every thread.
    pub(crate) fn blocked_within(&mut self, recent: u64, calls: impl FnOnce() -> u64) -> bool {
        match self.last_block {
            LastBlock::Never => false,
            LastBlock::Unasked => {
                self.last_block = LastBlock::AskedAt(calls());
                true
            }
            LastBlock::AskedAt(then) => calls().saturating_sub(then) <= recent,
        }
    }
}

/// For how long calls blocked on one thread while it had no core to lose. Under a load that blocks
/// often these are nearly all, so each thread keeps its own.
#[derive(Debug)]
pub(crate) struct Coreless(Mutex<Vec<(u32, Blocks)>>);

/// For how long calls of a site blocked, and when the last of them returned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) times: Histogram,
    pub(crate) last: Option<Instant>,
}

impl Blocks {
    fn note(&mut self, lasted: Duration) {
        self.times.note(lasted);
        self.last = Some(Instant::now());
    }
}

impl Coreless {
    pub(crate) const fn new() -> Self {
        Coreless(Mutex::new(Vec::new()))
    }

    /// By the thread: a call of the site in row `id` blocked.
    pub(crate) fn note(&self, id: u32, lasted: Duration) {
        let mut sites = self.0.lock();
        // A thread in this state makes calls of a few sites at most.
        match sites.iter_mut().find(|(other, _)| *other == id) {
            Some((_, blocks)) => blocks.note(lasted),
            None => {
                let mut blocks = Blocks::default();
                blocks.note(lasted);
                sites.push((id, blocks));
            }
        }
    }

    /// Adds what is known to `sum`, by site.
    pub(crate) fn add_to(&self, sum: &mut HashMap<u32, Blocks>) {
        for (id, blocks) in self.0.lock().iter() {
            let sum = sum.entry(*id).or_default();
            sum.times.add(&blocks.times);
            sum.last = sum.last.max(blocks.last);
        }
    }
}

/// A few figures of some times: of waits in front of a call, or of calls that compute.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) count: u64,
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Times {
    pub(crate) fn note(&mut self, time: Duration) {
        self.count += 1;
        self.total = self.total.saturating_add(time);
        self.longest = self.longest.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_blocked_within_its_calls_since_somebody_asked() {
        let mut events = SiteEvents::default();
        assert!(!events.blocked_within(64, || unreachable!("it never blocked")));
        events.handed_over(Cause::Hog, Duration::from_secs(1));
        assert!(!events.blocked_within(64, || unreachable!("a hog does not block")));
        events.handed_over(Cause::Blocked, Duration::from_secs(1));
        assert!(events.blocked_within(64, || 1_000), "it is counted from here");
        assert!(events.blocked_within(64, || 1_064));
        assert!(!events.blocked_within(64, || 1_065));
        events.handed_over(Cause::Predicted, Duration::from_secs(1));
        assert!(events.blocked_within(64, || 2_000), "and anew");
    }
}
