//! Who is the sentinel: one thread at most.
//!
//! A thread begins its watch (W1), looks at others, each of which it marks as suspected meanwhile, and
//! ends its watch (W2) with all those marks taken back; only then does it come on the list of spares.
//! A thief that has chosen a spare from that list, or has taken a core for itself as the sentinel, asks
//! whom to wake (W3).
//!
//! *Two sentinels share one mark, and neither looks without it.* W1 is a swap, so the watch of one is
//! over when that of the other begins; and what the former did comes before W2, whose value W1 acquires.
//! *No spare that was chosen is left asleep.* It came on the list after its W2, under the list's lock,
//! under which it was chosen: W3 does not see it as the sentinel it was. Should it be that again by then,
//! it has had the core in between, and is awake.

use super::core::{NO_SLOT, SlotId};
use crate::primitive::{AtomicU32, Ordering};

/// The watch over the rings of all threads.
#[derive(Debug)]
pub(crate) struct SentinelWatch(AtomicU32);

impl SentinelWatch {
    /// That nobody keeps.
    pub(crate) fn new() -> Self {
        SentinelWatch(AtomicU32::new(NO_SLOT))
    }

    /// Whether nobody keeps it; a hint.
    pub(crate) fn is_vacant(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NO_SLOT
    }

    /// W1. `false`: another thread is the sentinel.
    #[must_use]
    pub(crate) fn begin(&self, slot: SlotId) -> bool {
        // Ordering: Acquire. Partner: the Release in `end`, of the sentinel before.
        let before = self.0.compare_exchange(NO_SLOT, slot, Ordering::Acquire, Ordering::Relaxed);
        before.is_ok()
    }

    /// W2, by the sentinel.
    pub(crate) fn end(&self) {
        // Ordering: Release. Partner: the Acquire in `begin`, of the sentinel after.
        self.0.store(NO_SLOT, Ordering::Release);
    }

    /// W3: whether a core that was retaken for `slot` was taken by the sentinel for itself, which is
    /// awake.
    pub(crate) fn is_kept_by(&self, slot: SlotId) -> bool {
        // Ordering: Relaxed; the lock of the list of spares orders it, see above.
        self.0.load(Ordering::Relaxed) == slot
    }
}
