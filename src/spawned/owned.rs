//! All tasks of a runtime that have not ended: so that shutdown can reach those that sleep.

#[cfg(debug_assertions)]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::Waker;

use slab::Slab;

use crate::primitive::{Mutex, Padded};

const SHARDS: usize = 16;

/// How many are woken at once at the end: so few that they are still in the cache when they are
/// dropped.
const AT_ONCE: usize = 128;

/// The wakers of all live tasks, in a few slabs so that spawners seldom meet.
#[derive(Debug)]
pub(crate) struct Owned {
    shards: [Padded<Mutex<Shard>>; SHARDS],
    /// At the end: the next to be woken, by its shard and index.
    next: Mutex<(usize, usize)>,
    /// Spawns between their first step and their last, for the check at shutdown only: a shared
    /// cache line on the way of every spawn.
    #[cfg(debug_assertions)]
    under_way: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    wakers: Slab<Waker>,
    spawned: u64,
    ended: u64,
    closed: bool,
}

/// Where a task stands among the owned ones. Its shard never changes; its index is written under the
/// lock of that.
#[derive(Debug)]
pub(crate) struct Place {
    shard: u8,
    index: AtomicU32,
}

/// The index of a task that is not in the list: not yet, or not any more.
const NOWHERE: u32 = u32::MAX;

impl Place {
    /// `hint` picks the shard: threads with different hints do not meet.
    pub(super) fn new(hint: Option<usize>) -> Self {
        // Those without one take turns; where exactly does not matter.
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let hint = hint.unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed).into());
        Place { shard: (hint % SHARDS) as u8, index: AtomicU32::new(NOWHERE) }
    }

    /// Ordering: Relaxed, here and where it is stored: under the lock of the shard.
    fn index(&self) -> Option<usize> {
        let index = self.index.load(Ordering::Relaxed);
        (index != NOWHERE).then_some(index as usize)
    }
}

impl Owned {
    pub(crate) fn new() -> Self {
        Owned {
            shards: [const { Padded(Mutex::new(Shard::EMPTY)) }; SHARDS],
            next: Mutex::new((0, 0)),
            #[cfg(debug_assertions)]
            under_way: AtomicUsize::new(0),
        }
    }

    fn shard(&self, place: &Place) -> &Mutex<Shard> {
        &self.shards[usize::from(place.shard)]
    }

    /// A task is about to be added.
    pub(crate) fn is_coming(&self) {
        #[cfg(debug_assertions)]
        self.under_way.fetch_add(1, Ordering::SeqCst);
    }

    /// Adds a task that has not been scheduled yet. `false`: the runtime is shutting down, and the
    /// caller drops the task.
    #[must_use]
    pub(crate) fn add(&self, place: &Place, waker: Waker) -> bool {
        let mut shard = self.shard(place).lock();
        if shard.closed {
            return false;
        }
        shard.spawned += 1;
        let index = u32::try_from(shard.wakers.insert(waker)).ok().filter(|nth| *nth != NOWHERE);
        place.index.store(index.expect("2^32 tasks do not fit any memory"), Ordering::Relaxed);
        true
    }

    /// The waker of a task that has not ended.
    pub(super) fn waker(&self, place: &Place) -> Option<Waker> {
        let shard = self.shard(place).lock();
        place.index().map(|index| shard.wakers[index].clone())
    }

    /// The spawn that began with `is_coming` is over: the task is in a queue, or gone.
    pub(crate) fn is_spawned(&self) {
        #[cfg(debug_assertions)]
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }

    /// After `close`, with every thread out: whether a task lives that nobody will ever drop. One
    /// that is being spawned by some other thread is dropped by that.
    #[cfg(debug_assertions)]
    pub(crate) fn anyone_stranded(&self) -> bool {
        // In this order: a spawn that ends in between takes its task along.
        let under_way = self.under_way.load(Ordering::SeqCst);
        self.alive() > under_way
    }

    /// The task has ended and its future is gone.
    pub(super) fn remove(&self, place: &Place) {
        let waker = {
            let mut shard = self.shard(place).lock();
            // It came too late to be added.
            let Some(index) = place.index() else { return };
            place.index.store(NOWHERE, Ordering::Relaxed);
            shard.ended += 1;
            shard.wakers.remove(index)
        };
        // The last reference to a task may go with its waker: not under the lock.
        drop(waker);
    }

    /// No task may be spawned from here on.
    pub(crate) fn close(&self) {
        self.shards.iter().for_each(|shard| shard.lock().closed = true);
    }

    /// After that: calls `wake` with the wakers of some more that live. `false`: all of them have had
    /// their turn, and `wake` has returned for each. No foreign code runs in it.
    pub(crate) fn wake_some(&self, wake: impl FnOnce(Vec<Waker>)) -> bool {
        let mut next = self.next.lock();
        while let Some(shard) = self.shards.get(next.0) {
            let wakers = shard.lock().from(&mut next.1);
            if !wakers.is_empty() {
                wake(wakers);
                return true;
            }
            *next = (next.0 + 1, 0);
        }
        false
    }

    /// How many tasks have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().wakers.len()).sum()
    }

    /// Whether tasks spawned = ended (finished, panicked or cancelled) + alive.
    #[cfg(debug_assertions)]
    pub(crate) fn adds_up(&self) -> bool {
        let adds_up = |shard: &Shard| shard.spawned == shard.ended + shard.wakers.len() as u64;
        self.shards.iter().all(|shard| adds_up(&shard.lock()))
    }
}

impl Shard {
    const EMPTY: Shard = Shard { wakers: Slab::new(), spawned: 0, ended: 0, closed: false };

    /// A few wakers of those from `next` on, which moves behind them; none if there are no more.
    fn from(&self, next: &mut usize) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while wakers.len() < AT_ONCE && *next < self.wakers.capacity() {
            wakers.extend(self.wakers.get(*next).cloned());
            *next += 1;
        }
        wakers
    }
}
