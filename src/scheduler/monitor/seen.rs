//! What the last look at a seat saw.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::protocol::core::{SlotId, Word};
use crate::shared::slot::Slot;
use crate::sys::thread::cpu_time_of;

/// What the last look at a seat saw.
#[derive(Default)]
pub(super) struct LookedAt {
    pub(super) word: Option<Word>,
    pub(super) in_region: bool,
    pub(super) since: Option<Instant>,
    /// Claimed already and now on the stalled list: nothing more to be done here.
    pub(super) claimed: bool,
    /// An unmarked poll was found asleep, and keeps its core to show whether it sleeps on.
    pub(super) asked: bool,
    /// The poll, and the call in it. A poll that spawns, or makes many calls, changes the word all
    /// the time, and may be a long one all the same.
    pub(super) poll: Span<(SlotId, u32)>,
    pub(super) call: Span<Call>,
    /// The poll whose core was taken because it computes for long.
    pub(super) long: Option<(SlotId, u32)>,
    /// Not before this is such a poll claimed again: there was no permit, or no spare.
    pub(super) long_again: Option<Instant>,
}

/// A call that is under way: the thread, the site, and how many calls of it the thread had made.
pub(super) type Call = (SlotId, u32, u64);

pub(super) fn call_of(id: SlotId, slot: &Slot) -> Option<Call> {
    slot.site.get().map(|site| (id, site.id(), slot.counts.get(site.id())))
}

/// Something that goes on from look to look.
pub(super) struct Span<K> {
    pub(super) key: Option<K>,
    since: Instant,
    /// The CPU time of its thread when it came under suspicion.
    cpu: Option<Duration>,
}

impl<K> Default for Span<K> {
    fn default() -> Self {
        Span { key: None, since: Instant::now(), cpu: None }
    }
}

impl<K: PartialEq> Span<K> {
    /// Seen at `now`; whether it was there at the last look.
    pub(super) fn see(&mut self, key: Option<K>, now: Instant) -> bool {
        let again = key.is_some() && self.key == key;
        if !again {
            *self = Span { key, since: now, cpu: None };
        }
        again
    }

    /// Whether it has lasted for `patience`, and its thread has used its CPU for the better part of
    /// that. A thread that others keep from its CPU is no hog: what it waits for, a spare would
    /// have to wait for as well.
    pub(super) fn computes(&mut self, slot: &Slot, now: Instant, patience: Duration) -> bool {
        let Some(cpu) = cpu_time_of(slot.tid.load(Ordering::Relaxed)) else {
            return now.saturating_duration_since(self.since) >= patience;
        };
        let used = cpu.saturating_sub(*self.cpu.get_or_insert(cpu));
        now.saturating_duration_since(self.since) >= patience && used >= patience / 2
    }
}
