//! The timers: an ordered map behind a lock, and a hint that keeps the lock away from whoever has
//! nothing due.
//!
//! A map is enough: an insertion into a million timers is some hundred nanoseconds, removal finds
//! its entry by key, and nothing has to be swept. A wheel would have to be rounded to a tick.
//!
//! No waker is cloned, woken or dropped under the lock: any of these may run user code, which may
//! drop a `Sleep`, which takes the lock.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Gone;
use crate::primitive::{AtomicU64, Mutex, Ordering};

/// The hint while there is no timer.
const NEVER: u64 = u64::MAX;

/// How many timers one hold of the lock may fire.
const BATCH: usize = 512;

/// Names a timer that was inserted. Not `Clone`: who holds it owns the entry.
#[derive(Debug)]
pub(crate) struct TimerKey {
    deadline: Instant,
    id: u64,
}

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
    entries: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
    shut_down: bool,
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
    queue: Mutex<Queue>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            next: AtomicU64::new(NEVER),
            queue: Mutex::new(Queue { entries: BTreeMap::new(), next_id: 0, shut_down: false }),
        }
    }

    pub(super) fn insert(
        &self,
        deadline: Instant,
        waker: &Waker,
    ) -> Result<(TimerKey, Inserted), Gone> {
        // A clone, and the drop of one that is refused, are foreign code: not under the lock.
        let waker = waker.clone();
        let mut queue = self.queue.lock();
        if queue.shut_down {
            drop(queue);
            drop(waker);
            return Err(Gone);
        }
        let key = queue.insert(deadline, waker);
        let place = self.publish_if_first(deadline);
        Ok((key, place))
    }

    /// Replaces the waker. False if the timer has fired (or was shut down) meanwhile.
    pub(super) fn update(&self, key: &TimerKey, waker: &Waker) -> bool {
        let mut waker = waker.clone();
        let mut queue = self.queue.lock();
        match queue.entries.get_mut(&(key.deadline, key.id)) {
            Some(slot) => std::mem::swap(slot, &mut waker),
            None => return false,
        }
        // `waker` is the old one now; it was declared first, so the guard goes before it.
        true
    }

    /// Takes the timer out. Its waker is returned so that it is dropped outside the lock; `None`
    /// if it has fired.
    pub(super) fn remove(&self, key: &TimerKey) -> Option<Waker> {
        self.queue.lock().entries.remove(&(key.deadline, key.id))
    }

    /// Moves the timer to another deadline, with its waker. `None` if it has fired.
    ///
    /// Under one lock: a shutdown between the removal and the insertion would find no waker to
    /// wake.
    pub(super) fn reset(&self, key: &TimerKey, deadline: Instant) -> Option<(TimerKey, Inserted)> {
        let mut queue = self.queue.lock();
        let waker = queue.entries.remove(&(key.deadline, key.id))?;
        let key = queue.insert(deadline, waker);
        let place = self.publish_if_first(deadline);
        Some((key, place))
    }

    /// Moves the wakers of all timers due at `now` into `ready`, the earliest first.
    pub(super) fn expire(&self, now: Instant, ready: &mut Vec<Waker>) {
        // Ordering: a hint. Who reads an old value sees the new one at its next look; for the
        // driver's wait, where that would be too late, see `parking`.
        if self.nanos(now) < self.next.load(Ordering::Relaxed) {
            return;
        }
        loop {
            let mut queue = self.queue.lock();
            let mut room = BATCH;
            while room > 0 && queue.first().is_some_and(|(deadline, _)| deadline <= now) {
                ready.extend(queue.entries.pop_first().map(|(_, waker)| waker));
                room -= 1;
            }
            self.publish(&queue);
            if room > 0 {
                return;
            }
        }
    }

    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.queue.lock().first().map(|(deadline, _)| deadline)
    }

    /// A time that is not later than the earliest deadline; a hint.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        // Ordering: a hint; the driver's read is D3 of `parking` and has its fence.
        match self.next.load(Ordering::Relaxed) {
            NEVER => None,
            nanos => self.base.checked_add(Duration::from_nanos(nanos)),
        }
    }

    /// Refuses timers from now on and hands out the wakers of all there are.
    pub(super) fn shut_down(&self) -> Vec<Waker> {
        let entries = {
            let mut queue = self.queue.lock();
            queue.shut_down = true;
            let entries = std::mem::take(&mut queue.entries);
            self.publish(&queue);
            entries
        };
        entries.into_values().collect()
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn is_shut_down(&self) -> bool {
        self.queue.lock().shut_down
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.lock().entries.len()
    }

    /// Under the lock, behind the insertion of a timer.
    fn publish_if_first(&self, deadline: Instant) -> Inserted {
        let deadline = self.nanos(deadline);
        if deadline >= self.next.load(Ordering::Relaxed) {
            return Inserted::Behind;
        }
        // Ordering: T1 of `parking`, as below.
        self.next.store(deadline, Ordering::Relaxed);
        Inserted::First
    }

    fn publish(&self, queue: &Queue) {
        let next = queue.first().map_or(NEVER, |(deadline, _)| self.nanos(deadline));
        // Ordering: T1 of `parking`; the fence follows in `is_waiting`.
        self.next.store(next, Ordering::Relaxed);
    }

    /// Nanoseconds since `base`; a time before it is 0, and 584 years later is as late as it gets.
    fn nanos(&self, time: Instant) -> u64 {
        let nanos = time.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).unwrap_or(NEVER).min(NEVER - 1)
    }
}

impl Queue {
    fn insert(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        let id = self.next_id;
        self.next_id += 1;
        let before = self.entries.insert((deadline, id), waker);
        debug_assert!(before.is_none(), "timer ids are unique");
        TimerKey { deadline, id }
    }

    fn first(&self) -> Option<(Instant, u64)> {
        self.entries.first_key_value().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The story: a limit that is dropped was forgotten at once, so each next one was the earliest, and
    /// woke the driver.
    #[test]
    fn one_that_is_taken_out_does_not_make_the_next_the_earliest() {
        let (timers, waker) = (Timers::new(), Waker::noop());
        let in_ms = |ms| timers.base + Duration::from_millis(ms);
        let (first, place) = timers.insert(in_ms(10), waker).unwrap();
        assert_eq!(place, Inserted::First);
        drop(timers.remove(&first));
        let (next, place) = timers.insert(in_ms(20), waker).unwrap();
        assert_eq!(place, Inserted::Behind, "the driver looks at 10 ms in any case");
        assert_eq!(timers.earliest(), Some(in_ms(20)));

        // That look finds nothing, and knows of the next from then on.
        let mut ready = Vec::new();
        timers.expire(in_ms(10), &mut ready);
        assert!(ready.is_empty());
        assert_eq!(timers.next_deadline(), Some(in_ms(20)));
        let (_, place) = timers.reset(&next, in_ms(15)).unwrap();
        assert_eq!(place, Inserted::First);
        timers.expire(in_ms(15), &mut ready);
        assert_eq!(ready.len(), 1);
        assert_eq!(timers.next_deadline(), None);
    }
}
