//! One part of the timers: an ordered map, and bundles of those that are far.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::num::NonZeroU64;
use std::task::Waker;

use slab::Slab;

/// Later than any timer.
pub(super) const NEVER: u64 = u64::MAX;

/// How many timers one hold of the lock may fire.
const BATCH: usize = 512;

/// With fewer timers in the map than this none goes into a bundle.
const FEW: usize = 128;

/// How many timers a bundle holds; what comes then goes into the map. It bounds how long the lock is
/// held to open one.
const FULL: usize = 1024;

/// The time that one bundle is for: 2 to the power of this, in nanoseconds.
const BUNDLE_BITS: u32 = 18;

/// Which bundle a time belongs to.
fn bundle_of(nanos: u64) -> u64 {
    nanos >> BUNDLE_BITS
}

/// Names a timer that was inserted. Not `Clone`: who holds it owns the entry.
#[derive(Debug)]
pub(crate) struct TimerKey {
    /// The deadline, in nanoseconds since the base of its timers.
    pub(super) nanos: u64,
    /// Tells those of one deadline apart, in the order of their insertion.
    id: NonZeroU64,
    /// Of one that was put into a bundle: where it is told where in that.
    place: Option<Place>,
}

/// An entry of [`Queue::places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

#[derive(Debug)]
pub(super) struct Queue {
    /// In order.
    near: BTreeMap<(u64, NonZeroU64), Waker>,
    /// By their number, which is greater than `opened`. None is empty.
    bundles: BTreeMap<u64, Bundle>,
    /// Where in its bundle a timer is, while it is in one.
    places: Slab<u32>,
    /// The last bundle that was opened.
    opened: u64,
    last_id: u64,
    pub(super) shut_down: bool,
}

/// Timers of about the same time, in no order.
#[derive(Debug)]
struct Bundle {
    /// Not later than the earliest deadline; that may have been taken out.
    earliest: u64,
    timers: Vec<Bundled>,
}

#[derive(Debug)]
struct Bundled {
    nanos: u64,
    id: NonZeroU64,
    place: Place,
    waker: Waker,
}

impl Queue {
    pub(super) fn new() -> Self {
        Queue {
            near: BTreeMap::new(),
            bundles: BTreeMap::new(),
            places: Slab::new(),
            opened: 0,
            last_id: 0,
            shut_down: false,
        }
    }

    pub(super) fn insert(&mut self, nanos: u64, waker: Waker) -> TimerKey {
        self.last_id += 1;
        let id = NonZeroU64::new(self.last_id).expect("2^64 timers are not reached");
        let crowded = self.near.len() >= FEW && bundle_of(nanos) > self.opened;
        let bundle = crowded.then(|| self.bundles.entry(bundle_of(nanos)).or_default());
        let place = match bundle.filter(|bundle| bundle.timers.len() < FULL) {
            Some(bundle) => {
                let place = Place(self.places.insert(bundle.timers.len() as u32) as u32);
                bundle.earliest = bundle.earliest.min(nanos);
                bundle.timers.push(Bundled { nanos, id, place, waker });
                Some(place)
            }
            None => {
                let before = self.near.insert((nanos, id), waker);
                debug_assert!(before.is_none(), "timer ids are unique");
                None
            }
        };
        TimerKey { nanos, id, place }
    }

    /// Where the timer waits, if it is in a bundle.
    fn is_far(&self, key: &TimerKey) -> Option<Place> {
        key.place.filter(|_| bundle_of(key.nanos) > self.opened && !self.shut_down)
    }

    pub(super) fn waker_of(&mut self, key: &TimerKey) -> Option<&mut Waker> {
        let Some(place) = self.is_far(key) else { return self.near.get_mut(&(key.nanos, key.id)) };
        let bundle = self.bundles.get_mut(&bundle_of(key.nanos)).expect("it is in it");
        Some(&mut bundle.timers[self.places[place.index()] as usize].waker)
    }

    /// The key means nothing any more then.
    pub(super) fn remove(&mut self, key: &TimerKey) -> Option<Waker> {
        let Some(place) = self.is_far(key) else { return self.near.remove(&(key.nanos, key.id)) };
        let at = self.places.remove(place.index());
        let Entry::Occupied(mut bundle) = self.bundles.entry(bundle_of(key.nanos)) else {
            unreachable!("a timer that is far is in its bundle");
        };
        let timers = &mut bundle.get_mut().timers;
        let gone = timers.swap_remove(at as usize);
        debug_assert_eq!((gone.id, gone.place), (key.id, place), "whose place it is");
        match timers.get(at as usize) {
            Some(moved) => self.places[moved.place.index()] = at,
            None if timers.is_empty() => _ = bundle.remove(),
            None => {}
        }
        Some(gone.waker)
    }

    /// Moves the wakers of timers due at `now`, the earliest first, but not too many at once. Whether
    /// these were all.
    pub(super) fn take_due(&mut self, now: u64, ready: &mut Vec<Waker>) -> bool {
        for _ in 0..BATCH {
            while self.first_far() <= now.min(self.first_near()) {
                self.open_first();
            }
            if self.first_near() > now {
                return true;
            }
            ready.extend(self.near.pop_first().map(|(_, waker)| waker));
        }
        false
    }

    /// Opens the first bundle.
    fn open_first(&mut self) {
        let Some((number, bundle)) = self.bundles.pop_first() else { return };
        self.opened = number;
        for timer in bundle.timers {
            self.places.remove(timer.place.index());
            self.near.insert((timer.nanos, timer.id), timer.waker);
        }
    }

    /// The earliest deadline in the map; `NEVER` if there is none.
    pub(super) fn first_near(&self) -> u64 {
        self.near.first_key_value().map_or(NEVER, |((nanos, _), _)| *nanos)
    }

    /// Not later than the earliest in a bundle; the same.
    fn first_far(&self) -> u64 {
        self.bundles.first_key_value().map_or(NEVER, |(_, bundle)| bundle.earliest)
    }

    /// Not later than the earliest of all; `NEVER` if there is none.
    pub(super) fn next(&self) -> u64 {
        self.first_near().min(self.first_far())
    }

    pub(super) fn earliest(&self) -> u64 {
        let first = self.bundles.first_key_value();
        let far = first.and_then(|(_, bundle)| bundle.timers.iter().map(|timer| timer.nanos).min());
        self.first_near().min(far.unwrap_or(NEVER))
    }

    pub(super) fn into_wakers(self) -> Vec<Waker> {
        let far = self.bundles.into_values().flat_map(|bundle| bundle.timers);
        self.near.into_values().chain(far.map(|timer| timer.waker)).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.near.len() + self.bundles.values().map(|bundle| bundle.timers.len()).sum::<usize>()
    }
}

impl Default for Bundle {
    fn default() -> Self {
        Bundle { earliest: NEVER, timers: Vec::new() }
    }
}

impl Place {
    fn index(self) -> usize {
        self.0 as usize
    }
}
