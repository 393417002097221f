//! The timers: an ordered map behind a lock, and a hint that keeps the lock away from whoever has
//! nothing due.
//!
//! The map holds the timers that are near, and all of them as long as they are few. Of a crowd, those
//! that are far wait in *bundles*, one for each quarter of a millisecond, in no order: to find its place
//! among a million, in a map, a timer would have to ask a dozen others, which are nowhere near the
//! processor. A bundle is opened, that is moved into the map, when the first of its timers is due. So
//! nothing is rounded to a tick, and nothing has to be swept.
//!
//! A timer is in a bundle if it was put there and its bundle has not been opened since ([`Queue::is_far`]);
//! otherwise it is in the map, or has fired.
//!
//! No waker is cloned, woken or dropped under the lock: any of these may run user code, which may
//! drop a `Sleep`, which takes the lock.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::num::NonZeroU64;
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

use super::Gone;
use crate::primitive::{AtomicU64, Mutex, Ordering};

/// The hint while there is no timer.
const NEVER: u64 = u64::MAX;

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
    nanos: u64,
    /// Tells those of one deadline apart, in the order of their insertion.
    id: NonZeroU64,
    /// Of one that was put into a bundle: where it is told where in that.
    place: Option<Place>,
}

/// An entry of [`Queue::places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

/// What an insertion asks of the caller.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Inserted {
    /// The timer is the earliest: a driver that waits for a later one must be woken.
    First,
    /// The driver waits no longer than for an earlier time.
    Behind,
}

#[derive(Debug)]
struct Queue {
    /// In order.
    near: BTreeMap<(u64, NonZeroU64), Waker>,
    /// By their number, which is greater than `opened`. None is empty.
    bundles: BTreeMap<u64, Bundle>,
    /// Where in its bundle a timer is, while it is in one.
    places: Slab<u32>,
    /// The last bundle that was opened.
    opened: u64,
    last_id: u64,
    shut_down: bool,
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

/// All timers of one driver.
#[derive(Debug)]
pub(super) struct Timers {
    base: Instant,
    /// Not later than the earliest deadline, in nanoseconds since `base`. Written under the lock
    /// only, after the map. A timer that is removed leaves it as it is: most are, long before they
    /// are due, and the next one would then be the earliest again and wake the driver each time. The
    /// price is one look in vain when that time comes.
    next: AtomicU64,
    /// By how much the latest of those that fired came too late, in nanoseconds, since somebody last
    /// asked.
    late: AtomicU64,
    queue: Mutex<Queue>,
}

/// What fires with less than that is in time.
const LATE: u64 = 1_000_000;

impl Timers {
    pub(super) fn new() -> Self {
        let (next, late) = (AtomicU64::new(NEVER), AtomicU64::new(0));
        Self { base: Instant::now(), next, late, queue: Mutex::new(Queue::new()) }
    }

    pub(super) fn insert(
        &self,
        deadline: Instant,
        waker: &Waker,
    ) -> Result<(TimerKey, Inserted), Gone> {
        // A clone, and the drop of one that is refused, are foreign code: not under the lock.
        let waker = waker.clone();
        let nanos = self.nanos(deadline);
        let mut queue = self.queue.lock();
        if queue.shut_down {
            drop(queue);
            drop(waker);
            return Err(Gone);
        }
        let key = queue.insert(nanos, waker);
        let place = self.publish_if_first(nanos);
        Ok((key, place))
    }

    /// Replaces the waker. False if the timer has fired (or was shut down) meanwhile.
    pub(super) fn update(&self, key: &TimerKey, waker: &Waker) -> bool {
        let mut waker = waker.clone();
        let mut queue = self.queue.lock();
        match queue.waker_of(key) {
            Some(slot) => std::mem::swap(slot, &mut waker),
            None => return false,
        }
        // `waker` is the old one now; it was declared first, so the guard goes before it.
        true
    }

    /// Takes the timer out. Its waker is returned so that it is dropped outside the lock; `None`
    /// if it has fired.
    pub(super) fn remove(&self, key: TimerKey) -> Option<Waker> {
        if self.has_fired(&key) {
            return None;
        }
        self.queue.lock().remove(&key)
    }

    /// Moves the timer to another deadline, with its waker. `None` if it has fired.
    ///
    /// Under one lock: a shutdown between the removal and the insertion would find no waker to
    /// wake.
    pub(super) fn reset(&self, key: TimerKey, deadline: Instant) -> Option<(TimerKey, Inserted)> {
        let nanos = self.nanos(deadline);
        let mut queue = self.queue.lock();
        let waker = queue.remove(&key)?;
        let key = queue.insert(nanos, waker);
        let place = self.publish_if_first(nanos);
        Some((key, place))
    }

    /// Moves the wakers of all timers due at `now` into `ready`, the earliest first.
    pub(super) fn expire(&self, now: Instant, ready: &mut Vec<Waker>) {
        let now = self.nanos(now);
        // Ordering: a hint. Who reads an old value sees the new one at its next look; for the
        // driver's wait, where that would be too late, see `parking`.
        if now < self.next.load(Ordering::Relaxed) {
            return;
        }
        loop {
            let mut queue = self.queue.lock();
            // Of a bundle it is the time of none that fires before that. A hint, for people.
            let late = now.saturating_sub(queue.first_near());
            if late >= LATE {
                self.late.fetch_max(late, Ordering::Relaxed);
            }
            let all = queue.take_due(now, ready);
            self.publish(&queue);
            if all {
                return;
            }
        }
    }

    /// By how much the latest of those that fired came too late, if it was a millisecond or more,
    /// since this was last asked.
    pub(super) fn take_late(&self) -> Option<Duration> {
        if self.late.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(Duration::from_nanos(self.late.swap(0, Ordering::Relaxed)))
    }

    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.time(self.queue.lock().earliest())
    }

    /// A time that is not later than the earliest deadline; a hint.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        // Ordering: a hint; the driver's read is D3 of `parking` and has its fence.
        self.time(self.next.load(Ordering::Relaxed))
    }

    /// Refuses timers from now on and hands out the wakers of all there are.
    pub(super) fn shut_down(&self) -> Vec<Waker> {
        let left = {
            let mut queue = self.queue.lock();
            let left = std::mem::replace(&mut *queue, Queue::new());
            queue.shut_down = true;
            self.publish(&queue);
            left
        };
        left.into_wakers()
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn is_shut_down(&self) -> bool {
        self.queue.lock().shut_down
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.lock().len()
    }

    /// Whether the timer is surely not there any more: most are asked for when they have fired, and
    /// need no lock.
    ///
    /// Since it was inserted `next` has not been later than its deadline but when it was gone: each
    /// store to `next` is made under the lock, and what is there then is due at that time or later.
    /// (Ordering: Relaxed. Whoever has the key comes after the insertion, so it reads what that has
    /// left, or something later.)
    fn has_fired(&self, key: &TimerKey) -> bool {
        key.nanos < self.next.load(Ordering::Relaxed)
    }

    /// Under the lock, behind the insertion of a timer.
    fn publish_if_first(&self, nanos: u64) -> Inserted {
        if nanos >= self.next.load(Ordering::Relaxed) {
            return Inserted::Behind;
        }
        // Ordering: T1 of `parking`, as below.
        self.next.store(nanos, Ordering::Relaxed);
        Inserted::First
    }

    fn publish(&self, queue: &Queue) {
        // Ordering: T1 of `parking`; the fence follows in `is_waiting`.
        self.next.store(queue.first_near().min(queue.first_far()), Ordering::Relaxed);
    }

    /// Nanoseconds since `base`; a time before it is 0, and 584 years later is as late as it gets.
    fn nanos(&self, time: Instant) -> u64 {
        let nanos = time.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).unwrap_or(NEVER).min(NEVER - 1)
    }

    fn time(&self, nanos: u64) -> Option<Instant> {
        if nanos == NEVER { None } else { self.base.checked_add(Duration::from_nanos(nanos)) }
    }
}

impl Queue {
    fn new() -> Self {
        Queue {
            near: BTreeMap::new(),
            bundles: BTreeMap::new(),
            places: Slab::new(),
            opened: 0,
            last_id: 0,
            shut_down: false,
        }
    }

    fn insert(&mut self, nanos: u64, waker: Waker) -> TimerKey {
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

    fn waker_of(&mut self, key: &TimerKey) -> Option<&mut Waker> {
        let Some(place) = self.is_far(key) else { return self.near.get_mut(&(key.nanos, key.id)) };
        let bundle = self.bundles.get_mut(&bundle_of(key.nanos)).expect("it is in it");
        Some(&mut bundle.timers[self.places[place.index()] as usize].waker)
    }

    /// The key means nothing any more then.
    fn remove(&mut self, key: &TimerKey) -> Option<Waker> {
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
    fn take_due(&mut self, now: u64, ready: &mut Vec<Waker>) -> bool {
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
    fn first_near(&self) -> u64 {
        self.near.first_key_value().map_or(NEVER, |((nanos, _), _)| *nanos)
    }

    /// Not later than the earliest in a bundle; the same.
    fn first_far(&self) -> u64 {
        self.bundles.first_key_value().map_or(NEVER, |(_, bundle)| bundle.earliest)
    }

    fn earliest(&self) -> u64 {
        let first = self.bundles.first_key_value();
        let far = first.and_then(|(_, bundle)| bundle.timers.iter().map(|timer| timer.nanos).min());
        self.first_near().min(far.unwrap_or(NEVER))
    }

    fn into_wakers(self) -> Vec<Waker> {
        let far = self.bundles.into_values().flat_map(|bundle| bundle.timers);
        self.near.into_values().chain(far.map(|timer| timer.waker)).collect()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::counter;
    use super::*;

    /// The story: a limit that is dropped was forgotten at once, so each next one was the earliest, and
    /// woke the driver.
    #[test]
    fn one_that_is_taken_out_does_not_make_the_next_the_earliest() {
        let (timers, waker) = (Timers::new(), Waker::noop());
        let in_ms = |ms| timers.base + Duration::from_millis(ms);
        let (first, place) = timers.insert(in_ms(10), waker).unwrap();
        assert_eq!(place, Inserted::First);
        drop(timers.remove(first));
        let (next, place) = timers.insert(in_ms(20), waker).unwrap();
        assert_eq!(place, Inserted::Behind, "the driver looks at 10 ms in any case");
        assert_eq!(timers.earliest(), Some(in_ms(20)));

        // That look finds nothing, and knows of the next from then on.
        let mut ready = Vec::new();
        timers.expire(in_ms(10), &mut ready);
        assert!(ready.is_empty());
        assert_eq!(timers.next_deadline(), Some(in_ms(20)));
        let (_, place) = timers.reset(next, in_ms(15)).unwrap();
        assert_eq!(place, Inserted::First);
        timers.expire(in_ms(15), &mut ready);
        assert_eq!(ready.len(), 1);
        assert_eq!(timers.next_deadline(), None);
    }

    /// A crowd of timers, some of which are taken out or moved, fires as an ordered map says.
    #[test]
    fn a_crowd_fires_in_order_each_when_it_is_due() {
        const LONG: u64 = 50_000_000;
        let (timers, mut seed) = (Timers::new(), 1_u64);
        let mut draw = |below: u64| {
            // Marsaglia's xorshift, "Xorshift RNGs", 2003.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let at = |nanos: u64| timers.base + Duration::from_nanos(nanos);
        let (mut keys, mut ready, mut clock) = (BTreeMap::new(), Vec::new(), 0);
        for step in 0..40_000_u64 {
            // Every eighth at the same time as others, which are more than a bundle holds.
            let together = clock / LONG * LONG + LONG + LONG / 2;
            let deadline = if step % 8 == 0 { together } else { clock + draw(20_000_000) };
            let (count, waker) = counter();
            let (key, _) = timers.insert(at(deadline), &waker).expect("not shut down");
            drop(waker);
            keys.insert((deadline, 2 * step), (key, count));
            if step % 4 == 0 {
                let nth = draw(keys.len() as u64) as usize;
                let chosen = *keys.keys().nth(nth).expect("there are so many");
                let (key, count) = keys.remove(&chosen).expect("it is there");
                let (other, waker) = counter();
                assert!(timers.update(&key, &waker));
                assert_eq!(Arc::strong_count(&count), 1, "its first waker is gone");
                if draw(2) == 0 {
                    assert!(timers.remove(key).is_some());
                } else {
                    let deadline = clock + draw(20_000_000);
                    let (key, _) = timers.reset(key, at(deadline)).expect("it is there");
                    keys.insert((deadline, 2 * step + 1), (key, other));
                }
            }
            if step % 16 == 0 {
                clock += draw(100_000);
                timers.expire(at(clock), &mut ready);
                for waker in ready.drain(..) {
                    let ((deadline, _), (key, count)) = keys.pop_first().expect("not too many");
                    assert!(deadline <= clock);
                    waker.wake();
                    assert_eq!(count.get(), 1, "in order");
                    assert!(timers.remove(key).is_none(), "it has fired");
                }
                let first = keys.first_key_value().map(|((deadline, _), _)| *deadline);
                assert!(first.is_none_or(|first| first > clock), "each that is due");
                assert_eq!(timers.earliest(), first.map(at));
                assert!(timers.next_deadline() <= timers.earliest());
            }
            assert_eq!(timers.len(), keys.len());
        }
        assert!(keys.len() > 1_000, "a crowd: {}", keys.len());
        assert_eq!(timers.shut_down().len(), keys.len());
        assert!(keys.into_values().all(|(key, _)| timers.remove(key).is_none()));
    }
}
