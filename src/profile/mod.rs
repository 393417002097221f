//! What is known of each site beside the number of its calls: the rare things, kept under a lock.

mod block_times;

use std::time::Duration;

pub use block_times::BlockTimes;

use crate::scheduler::pool::Cause;

/// What happened at a site that is rare enough to be kept under a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteEvents {
    /// Hand-offs, by [`Cause`].
    pub(crate) handoffs: [u64; 4],
    /// Calls that blocked on a thread that had no core to lose.
    pub(crate) coreless: u64,
    /// For how long calls blocked.
    pub(crate) blocks: BlockTimes,
    /// The longest time from the hand-off of a hog to its return.
    pub(crate) longest_hog: Duration,
    /// Waits for a permit, or for a place in a group.
    pub(crate) waits: Waits,
    /// The sum of all calls of the site when it last blocked, plus one; 0 if it never did.
    pub(crate) calls_at_block: u64,
}

impl SiteEvents {
    /// A call whose core was handed over has returned, after `lasted`; the site had made `calls`
    /// before it.
    pub(crate) fn handed_over(&mut self, cause: Cause, lasted: Duration, calls: u64) {
        self.handoffs[cause as usize] += 1;
        if cause == Cause::Hog {
            self.longest_hog = self.longest_hog.max(lasted);
            return;
        }
        self.blocks.note(lasted);
        self.calls_at_block = calls + 1;
    }

    /// A call blocked for `lasted` on a thread without a core.
    pub(crate) fn blocked_coreless(&mut self, lasted: Duration, calls: u64) {
        self.coreless += 1;
        self.blocks.note(lasted);
        self.calls_at_block = calls + 1;
    }
}

/// Waits in front of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    pub(crate) count: u64,
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Waits {
    pub(crate) fn note(&mut self, wait: Duration) {
        self.count += 1;
        self.total = self.total.saturating_add(wait);
        self.longest = self.longest.max(wait);
    }
}
