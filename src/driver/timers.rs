//! The timers: in a few parts, so that the seats seldom meet, each an ordered map behind a lock; and
//! hints that keep the locks away from whoever has nothing due.
//!
//! A part's map holds the timers that are near, and all of them as long as they are few. Of a crowd,
//! those that are far wait in *bundles*, one for each quarter of a millisecond, in no order: to find its
//! place among a million, in a map, a timer would have to ask a dozen others, which are nowhere near the
//! processor. A bundle is opened, that is moved into the map, when the first of its timers is due. So
//! nothing is rounded to a tick, and nothing has to be swept.
//!
//! A timer is in a bundle if it was put there and its bundle has not been opened since
//! (`Queue::is_far`); otherwise it is in the map, or has fired.
//!
//! # Two hints
//!
//! Each part has one, [`Part::next`], and all of them together one, [`Timers::next`], which whoever
//! drives waits for and every worker looks at. Neither is later than the earliest deadline that it is
//! for. A part's is written under the part's lock. That of all is written under a lock of its own,
//! [`Timers::sweep`], which nobody takes within a part's:
//!
//! * Whoever inserts a timer that is the first of its part has said so in the part's hint, and lowers
//!   that of all *then*, under `sweep`.
//! * Whoever finds that something is due takes `sweep`, fires what is due in each part, and writes the
//!   least of the parts' hints as it has seen them.
//!
//! So the latter misses no insertion. The one that has lowered the hint of all before it took the lock
//! had written that of its part before that, so that it is seen. The one that has not comes after it, and
//! lowers what it finds. That is why the lock must be taken even if the hint of all is earlier than the
//! timer: it is about to be raised.
//!
//! No waker is cloned, woken or dropped under a lock: any of these may run user code, which may drop a
//! `Sleep`, which takes one.

mod queue;

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

pub(crate) use self::queue::TimerKey;
use self::queue::{NEVER, Queue};
use super::{Gone, Handle, any_was_stopped};
use crate::primitive::{AtomicU64, Mutex, Ordering, Padded};

/// More parts than these are not made: whoever sweeps looks at all of them.
const PARTS_MAX: usize = 16;

/// What fires with less than that is in time.
const LATE: u64 = 1_000_000;

/// What an insertion asks of the caller.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Inserted {
    /// The timer is the earliest: a driver that waits for a later one must be woken.
    First,
    /// The driver waits no longer than for an earlier time.
    Behind,
}

/// All timers of one driver.
#[derive(Debug)]
pub(super) struct Timers {
    base: Instant,
    /// Not later than any [`Part::next`], but for a moment within [`insert`](Self::insert). In
    /// nanoseconds since `base`.
    next: AtomicU64,
    /// For `next` to be written.
    sweep: Mutex<()>,
    /// By how much the latest of those that fired came too late, in nanoseconds, since somebody last
    /// asked.
    late: AtomicU64,
    parts: Box<[Padded<Part>]>,
}

#[derive(Debug)]
struct Part {
    /// Not later than the earliest deadline here, in nanoseconds since the base. Written under the lock
    /// only, after the map. A timer that is removed leaves it as it is: most are, long before they are
    /// due, and the next one would then be the earliest again and wake the driver each time. The price
    /// is one look in vain when that time comes.
    next: AtomicU64,
    queue: Mutex<Queue>,
}

/// Timers of one part, and their driver: for those that wait. (Each has one, and they are counted by
/// part, so that those of different parts do not meet in the count of who uses the driver.)
#[derive(Clone, Debug)]
pub(crate) struct TimersOf(Arc<Here>);

#[derive(Debug)]
struct Here {
    driver: Handle,
    part: usize,
}

impl TimersOf {
    /// Those of each part.
    pub(crate) fn all(driver: &Handle) -> Box<[TimersOf]> {
        let parts = 0..driver.shared.timers.parts.len();
        parts.map(|part| TimersOf(Arc::new(Here { driver: driver.clone(), part }))).collect()
    }

    /// Those of one.
    pub(crate) fn first(driver: &Handle) -> TimersOf {
        TimersOf(Arc::new(Here { driver: driver.clone(), part: 0 }))
    }

    pub(crate) fn driver(&self) -> &Handle {
        &self.0.driver
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> Instant {
        self.driver().now()
    }

    /// Whether a timer of that deadline is due. At the end of their time, which only a clock comes to that
    /// jumps, all are: none fires later.
    #[inline]
    pub(crate) fn is_due(&self, deadline: Instant) -> bool {
        let now = self.now();
        now >= deadline || (any_was_stopped() && self.timers().nanos(now) == NEVER - 1)
    }

    fn timers(&self) -> &Timers {
        &self.driver().shared.timers
    }

    /// Registers a timer: the waker is handed out once `deadline` has passed.
    pub(crate) fn insert(&self, deadline: Instant, waker: &Waker) -> Result<TimerKey, Gone> {
        let (key, place) = self.timers().insert(self.0.part, deadline, waker)?;
        self.shorten_wait(&place);
        Ok(key)
    }

    /// Replaces a timer's waker. False if the timer has fired meanwhile.
    #[must_use]
    pub(crate) fn update(&self, key: &TimerKey, waker: &Waker) -> bool {
        self.timers().update(self.0.part, key, waker)
    }

    /// Moves a timer, with the waker it has. `None` if it has fired meanwhile, or does so now: the
    /// task of one that is due is woken here, as it would be some polls later.
    #[must_use]
    pub(crate) fn reset(&self, key: TimerKey, deadline: Instant) -> Option<TimerKey> {
        if self.is_due(deadline) {
            if let Some(waker) = self.timers().remove(self.0.part, key) {
                waker.wake();
            }
            return None;
        }
        let (key, place) = self.timers().reset(self.0.part, key, deadline)?;
        self.shorten_wait(&place);
        Some(key)
    }

    /// Takes a timer out, fired or not.
    pub(crate) fn remove(&self, key: TimerKey) {
        drop(self.timers().remove(self.0.part, key));
    }

    /// T2 and T3 of `parking`.
    fn shorten_wait(&self, place: &Inserted) {
        if *place == Inserted::First && self.driver().shared.parking.is_waiting() {
            self.driver().unpark();
        }
    }
}

impl Timers {
    /// For so many seats.
    pub(super) fn new(seats: usize) -> Self {
        let parts = (0..seats.clamp(1, PARTS_MAX)).map(|_| Padded(Part::new())).collect();
        let (next, late) = (AtomicU64::new(NEVER), AtomicU64::new(0));
        Self { base: Instant::now(), next, sweep: Mutex::new(()), late, parts }
    }

    fn insert(
        &self,
        part: usize,
        deadline: Instant,
        waker: &Waker,
    ) -> Result<(TimerKey, Inserted), Gone> {
        // A clone, and the drop of one that is refused, are foreign code: not under the lock.
        let waker = waker.clone();
        let nanos = self.nanos(deadline);
        let mut queue = self.parts[part].queue.lock();
        if queue.shut_down {
            drop(queue);
            drop(waker);
            return Err(Gone);
        }
        let key = queue.insert(nanos, waker);
        let is_first = self.parts[part].publish_if_first(nanos);
        drop(queue);
        Ok((key, self.publish_if_first(nanos, is_first)))
    }

    /// Replaces the waker. False if the timer has fired (or was shut down) meanwhile.
    fn update(&self, part: usize, key: &TimerKey, waker: &Waker) -> bool {
        let mut waker = waker.clone();
        let mut queue = self.parts[part].queue.lock();
        match queue.waker_of(key) {
            Some(slot) => std::mem::swap(slot, &mut waker),
            None => return false,
        }
        // `waker` is the old one now; it was declared first, so the guard goes before it.
        true
    }

    /// Takes the timer out. Its waker is returned so that it is dropped outside the lock; `None`
    /// if it has fired.
    fn remove(&self, part: usize, key: TimerKey) -> Option<Waker> {
        if self.parts[part].has_fired(&key) {
            return None;
        }
        self.parts[part].queue.lock().remove(&key)
    }

    /// Moves the timer to another deadline, with its waker. `None` if it has fired.
    ///
    /// Under one lock: a shutdown between the removal and the insertion would find no waker to
    /// wake.
    fn reset(&self, part: usize, key: TimerKey, deadline: Instant) -> Option<(TimerKey, Inserted)> {
        let nanos = self.nanos(deadline);
        let mut queue = self.parts[part].queue.lock();
        let waker = queue.remove(&key)?;
        let key = queue.insert(nanos, waker);
        let is_first = self.parts[part].publish_if_first(nanos);
        drop(queue);
        Some((key, self.publish_if_first(nanos, is_first)))
    }

    /// Moves the wakers of all timers due at `now` into `ready`, of each part the earliest first.
    pub(super) fn expire(&self, now: Instant, ready: &mut Vec<Waker>) {
        let now = self.nanos(now);
        // Ordering: a hint. Who reads an old value sees the new one at its next look; for the
        // driver's wait, where that would be too late, see `parking`.
        if now < self.next.load(Ordering::Relaxed) {
            return;
        }
        let _sweep = self.sweep.lock();
        let next = self.parts.iter().map(|part| part.expire(now, &self.late, ready)).min();
        // Ordering: T1 of `parking`; the fence follows in `is_waiting`.
        self.next.store(next.unwrap_or(NEVER), Ordering::Relaxed);
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
        self.time(self.parts.iter().map(|part| part.queue.lock().earliest()).min()?)
    }

    /// A time that is not later than the earliest deadline; a hint.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        // Ordering: a hint; the driver's read is D3 of `parking` and has its fence.
        self.time(self.next.load(Ordering::Relaxed))
    }

    /// Refuses timers from now on and hands out the wakers of all there are.
    pub(super) fn shut_down(&self) -> Vec<Waker> {
        let left: Vec<_> = self.parts.iter().map(|part| part.shut_down()).collect();
        let _sweep = self.sweep.lock();
        // Ordering: T1 of `parking`, as above.
        self.next.store(NEVER, Ordering::Relaxed);
        left.into_iter().flat_map(Queue::into_wakers).collect()
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn is_shut_down(&self) -> bool {
        self.parts.iter().all(|part| part.queue.lock().shut_down)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.queue.lock().len()).sum()
    }

    /// Behind the insertion of a timer, outside its part's lock.
    fn publish_if_first(&self, nanos: u64, is_first_of_part: bool) -> Inserted {
        if !is_first_of_part {
            return Inserted::Behind;
        }
        let _sweep = self.sweep.lock();
        // Ordering: Relaxed, here and in the store: it is written under this lock alone.
        if nanos >= self.next.load(Ordering::Relaxed) {
            return Inserted::Behind;
        }
        // Ordering: T1 of `parking`, as above.
        self.next.store(nanos, Ordering::Relaxed);
        Inserted::First
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

impl Part {
    fn new() -> Self {
        Part { next: AtomicU64::new(NEVER), queue: Mutex::new(Queue::new()) }
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

    /// Under the lock, behind the insertion of a timer. Whether it is the first here.
    fn publish_if_first(&self, nanos: u64) -> bool {
        // Ordering: Relaxed, here and below: whoever is misled by an old value looks again, or comes
        // before the insertion, which lowers the hint of all behind this.
        let is_first = nanos < self.next.load(Ordering::Relaxed);
        if is_first {
            self.next.store(nanos, Ordering::Relaxed);
        }
        is_first
    }

    /// Under `sweep`: moves the wakers of those due at `now`, and says how late they are. Returns the
    /// hint as it is then.
    fn expire(&self, now: u64, latest: &AtomicU64, ready: &mut Vec<Waker>) -> u64 {
        let mut next = self.next.load(Ordering::Relaxed);
        let mut all = now < next;
        while !all {
            let mut queue = self.queue.lock();
            // Of a bundle it is the time of none that fires before that. A hint, for people.
            let late = now.saturating_sub(queue.first_near());
            if late >= LATE {
                latest.fetch_max(late, Ordering::Relaxed);
            }
            all = queue.take_due(now, ready);
            next = queue.next();
            self.next.store(next, Ordering::Relaxed);
        }
        next
    }

    fn shut_down(&self) -> Queue {
        let mut queue = self.queue.lock();
        let left = std::mem::replace(&mut *queue, Queue::new());
        queue.shut_down = true;
        self.next.store(NEVER, Ordering::Relaxed);
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::counter;
    use super::*;

    /// The story: a limit that is dropped was forgotten at once, so each next one was the earliest, and
    /// woke the driver.
    #[test]
    fn one_that_is_taken_out_does_not_make_the_next_the_earliest() {
        let (timers, waker) = (Timers::new(1), Waker::noop());
        let in_ms = |ms| timers.base + Duration::from_millis(ms);
        let (first, place) = timers.insert(0, in_ms(10), waker).unwrap();
        assert_eq!(place, Inserted::First);
        drop(timers.remove(0, first));
        let (next, place) = timers.insert(0, in_ms(20), waker).unwrap();
        assert_eq!(place, Inserted::Behind, "the driver looks at 10 ms in any case");
        assert_eq!(timers.earliest(), Some(in_ms(20)));

        // That look finds nothing, and knows of the next from then on.
        let mut ready = Vec::new();
        timers.expire(in_ms(10), &mut ready);
        assert!(ready.is_empty());
        assert_eq!(timers.next_deadline(), Some(in_ms(20)));
        let (_, place) = timers.reset(0, next, in_ms(15)).unwrap();
        assert_eq!(place, Inserted::First);
        timers.expire(in_ms(15), &mut ready);
        assert_eq!(ready.len(), 1);
        assert_eq!(timers.next_deadline(), None);
    }

    /// A crowd of timers, some of which are taken out or moved, fires as an ordered map says.
    #[test]
    fn a_crowd_fires_in_order_each_when_it_is_due() {
        const LONG: u64 = 50_000_000;
        let (timers, mut seed) = (Timers::new(1), 1_u64);
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
            let (key, _) = timers.insert(0, at(deadline), &waker).expect("not shut down");
            drop(waker);
            keys.insert((deadline, 2 * step), (key, count));
            if step % 4 == 0 {
                let nth = draw(keys.len() as u64) as usize;
                let chosen = *keys.keys().nth(nth).expect("there are so many");
                let (key, count) = keys.remove(&chosen).expect("it is there");
                let (other, waker) = counter();
                assert!(timers.update(0, &key, &waker));
                assert_eq!(Arc::strong_count(&count), 1, "its first waker is gone");
                if draw(2) == 0 {
                    assert!(timers.remove(0, key).is_some());
                } else {
                    let deadline = clock + draw(20_000_000);
                    let (key, _) = timers.reset(0, key, at(deadline)).expect("it is there");
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
                    assert!(timers.remove(0, key).is_none(), "it has fired");
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
        assert!(keys.into_values().all(|(key, _)| timers.remove(0, key).is_none()));
    }

    /// Each part has a hint of its own, and the one of all is that of the earliest.
    #[test]
    fn the_hint_is_that_of_the_earliest_part() {
        let (timers, waker) = (Timers::new(3), Waker::noop());
        let in_ms = |ms| timers.base + Duration::from_millis(ms);
        let (_late, place) = timers.insert(0, in_ms(30), waker).unwrap();
        assert_eq!(place, Inserted::First);
        let (_first, place) = timers.insert(1, in_ms(10), waker).unwrap();
        assert_eq!(place, Inserted::First);
        let (moved, place) = timers.insert(2, in_ms(20), waker).unwrap();
        assert_eq!(place, Inserted::Behind, "the first of its part, and not of all");
        let (_second, place) = timers.insert(0, in_ms(25), waker).unwrap();
        assert_eq!(place, Inserted::Behind);
        let mut ready = Vec::new();
        timers.expire(in_ms(15), &mut ready);
        assert_eq!((ready.len(), timers.next_deadline()), (1, Some(in_ms(20))));
        let (_moved, place) = timers.reset(2, moved, in_ms(17)).unwrap();
        assert_eq!((place, timers.next_deadline()), (Inserted::First, Some(in_ms(17))));
        timers.expire(in_ms(40), &mut ready);
        assert_eq!((ready.len(), timers.next_deadline(), timers.len()), (4, None, 0));
        assert!(timers.shut_down().is_empty());
        assert!((0..3).all(|part| timers.insert(part, in_ms(50), waker).is_err()));
    }

    /// One inserts when another has looked at its part, and has not said yet what it found: at rest the
    /// hint is not too late.
    #[test]
    fn no_insertion_is_lost_between_two_hints() {
        let timers = Timers::new(2);
        let at = |nanos: u64| timers.base + Duration::from_nanos(nanos);
        let (_due, _) = timers.insert(1, at(10), Waker::noop()).unwrap();
        std::thread::scope(|scope| {
            // As in `expire`.
            let sweep = timers.sweep.lock();
            let mut ready = Vec::new();
            let expire = |part: &Padded<Part>| part.expire(10, &timers.late, &mut ready);
            let next = timers.parts.iter().map(expire).min().unwrap();
            let inserts = scope.spawn(|| timers.insert(0, at(20), Waker::noop()).unwrap().1);
            while timers.parts[0].next.load(Ordering::Relaxed) != 20 {
                std::thread::yield_now();
            }
            // It waits for the sweep now, or would find the hint that is about to be raised.
            std::thread::sleep(Duration::from_millis(20));
            timers.next.store(next, Ordering::Relaxed);
            drop(sweep);
            assert_eq!(inserts.join().unwrap(), Inserted::First);
        });
        assert_eq!(timers.next_deadline(), Some(at(20)));
    }
}
