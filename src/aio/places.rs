//! How many operations a queue has room for, and who waits for that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Poll, Waker};

use futures::channel::oneshot;

/// Places, given out first come first served.
#[derive(Debug)]
pub(super) struct Places {
    free: usize,
    /// In the order they came. Nobody waits while a place is free.
    waiting: BTreeMap<u64, Waker>,
    /// They have a place and do not know it yet.
    granted: BTreeSet<u64>,
    next: u64,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Places { free: count, waiting: BTreeMap::new(), granted: BTreeSet::new(), next: 0 }
    }

    pub(super) fn free(&self) -> usize {
        self.free
    }

    #[must_use = "a place that was taken is to be given back"]
    pub(super) fn try_take(&mut self) -> bool {
        let free = self.free > 0;
        self.free -= usize::from(free);
        free
    }

    /// Waits as number `key`, which it has from the first such call. Returns the waker that is not
    /// needed any more, too: dropping it is foreign code, not to be run under a lock.
    pub(super) fn poll(
        &mut self,
        key: &mut Option<u64>,
        waker: Waker,
    ) -> (Poll<()>, Option<Waker>) {
        let taken = match key {
            None => self.try_take(),
            Some(key) => self.granted.remove(key),
        };
        if taken {
            *key = None;
            return (Poll::Ready(()), Some(waker));
        }
        let key = *key.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        (Poll::Pending, self.waiting.insert(key, waker))
    }

    /// Whoever waited as `key` does not any more. Returns its waker, to be dropped, or the one that
    /// is to be woken in its place.
    pub(super) fn forget(&mut self, key: u64) -> Forgotten {
        match self.waiting.remove(&key) {
            None if self.granted.remove(&key) && !cfg!(threadlet_break = "aio-place") => {
                Forgotten::Next(self.give_back())
            }
            own => Forgotten::Own(own),
        }
    }

    /// A place is free. Returns who gets it.
    #[must_use = "it has a place"]
    pub(super) fn give_back(&mut self) -> Option<Waker> {
        let Some((key, waker)) = self.waiting.pop_first() else {
            self.free += 1;
            return None;
        };
        self.granted.insert(key);
        Some(waker)
    }
}

/// What is left of one that waits no more.
#[derive(Debug)]
#[must_use = "somebody may have a place by it"]
pub(super) enum Forgotten {
    /// Its waker.
    Own(Option<Waker>),
    /// The waker of whoever gets its place.
    Next(Option<Waker>),
}

impl Forgotten {
    /// Runs foreign code: not under a lock.
    pub(super) fn settle(self) {
        match self {
            Forgotten::Own(waker) => drop(waker),
            Forgotten::Next(waker) => waker.into_iter().for_each(Waker::wake),
        }
    }
}

/// Operations by age, for those who wait until all before a moment have ended. An age ends with such
/// a moment.
#[derive(Debug)]
pub(super) struct Ages {
    /// The number of the first.
    first: u64,
    /// Never empty; the last is the one that goes on.
    ages: VecDeque<Age>,
}

#[derive(Debug, Default)]
struct Age {
    open: usize,
    /// To be told when this age and all before it are over.
    drains: Vec<oneshot::Sender<()>>,
}

impl Ages {
    pub(super) fn new() -> Self {
        Ages { first: 0, ages: VecDeque::from([Age::default()]) }
    }

    /// An operation begins. Returns its age.
    pub(super) fn begin(&mut self) -> u64 {
        let last = self.ages.len() - 1;
        self.ages[last].open += 1;
        self.first + last as u64
    }

    /// An operation of that age has ended. Returns those to be told.
    #[must_use = "they wait"]
    pub(super) fn ended(&mut self, age: u64) -> Vec<oneshot::Sender<()>> {
        self.ages[(age - self.first) as usize].open -= 1;
        let mut drains = Vec::new();
        while self.ages.len() > 1 && self.is_over() {
            drains.extend(self.ages.pop_front().into_iter().flat_map(|age| age.drains));
            self.first += 1;
        }
        drains
    }

    /// Whether all of the first age have ended.
    fn is_over(&self) -> bool {
        self.ages[0].open == 0 || cfg!(threadlet_break = "aio-drain")
    }

    /// Waits for all that has begun. `None`: all of it has ended.
    pub(super) fn drain(&mut self) -> Option<oneshot::Receiver<()>> {
        let last = self.ages.len() - 1;
        let age = match self.ages[last].open {
            0 if last == 0 => return None,
            0 => last - 1,
            _ => {
                self.ages.push_back(Age::default());
                last
            }
        };
        let (sender, receiver) = oneshot::channel();
        self.ages[age].drains.retain(|drain| !drain.is_canceled());
        self.ages[age].drains.push(sender);
        Some(receiver)
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn places_go_round_in_order() {
        let waker = || Waker::noop().clone();
        let mut places = Places::new(1);
        assert!(places.try_take() && !places.try_take());
        let mut keys = [None, None, None];
        for key in &mut keys {
            assert!(places.poll(key, waker()).0.is_pending());
        }
        assert!(places.give_back().is_some() && !places.try_take());
        assert!(places.poll(&mut keys[1], waker()).0.is_pending(), "not its turn");
        // The first had a place, and goes without having taken it.
        assert!(matches!(places.forget(keys[0].unwrap()), Forgotten::Next(Some(_))));
        assert!(places.poll(&mut keys[1], waker()).0.is_ready());
        assert!(matches!(places.forget(keys[2].unwrap()), Forgotten::Own(Some(_))));
        assert!(places.give_back().is_none() && places.free() == 1);
    }

    #[test]
    fn a_drain_waits_for_what_was_before_it() {
        let mut ages = Ages::new();
        assert!(ages.drain().is_none());
        let a = ages.begin();
        let mut first = ages.drain().unwrap();
        let b = ages.begin();
        let mut second = ages.drain().unwrap();
        let mut third = ages.drain().unwrap();
        let c = ages.begin();
        let told = |drains: Vec<oneshot::Sender<()>>| {
            let count = drains.len();
            drains.into_iter().for_each(|drain| drain.send(()).unwrap());
            count
        };
        assert_eq!(told(ages.ended(b)), 0, "an older one is still open");
        assert_eq!(told(ages.ended(a)), 3);
        for drain in [&mut first, &mut second, &mut third] {
            assert_eq!(drain.try_recv(), Ok(Some(())));
        }
        assert_eq!(told(ages.ended(c)), 0);
        assert!(ages.drain().is_none());
    }
}
