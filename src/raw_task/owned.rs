//! All tasks of a runtime that have not ended: so that shutdown can reach those that sleep.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use slab::Slab;

use crate::primitive::{Mutex, Padded};

const SHARDS: usize = 16;

/// The wakers of all live tasks, in a few slabs so that spawners seldom meet.
#[derive(Debug)]
pub(crate) struct Owned {
    shards: [Padded<Mutex<Shard>>; SHARDS],
    next: AtomicUsize,
    /// For the invariant "spawned = finished + alive", at shutdown.
    pub(crate) refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    wakers: Slab<Option<Waker>>,
    spawned: u64,
    ended: u64,
    closed: bool,
}

/// A task's place among the owned ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    shard: usize,
    key: usize,
}

impl Owned {
    pub(crate) fn new() -> Self {
        Owned {
            shards: [const { Padded(Mutex::new(Shard::EMPTY)) }; SHARDS],
            next: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Reserves a place for a new task, or says that the runtime is shutting down. `hint` picks
    /// the shard: threads with different hints do not meet.
    pub(crate) fn reserve(&self, hint: Option<usize>) -> Option<Place> {
        let hint = hint.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        let mut shard = self.shards[hint % SHARDS].lock();
        if shard.closed {
            drop(shard);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        shard.spawned += 1;
        let key = shard.wakers.insert(None);
        Some(Place { shard: hint % SHARDS, key })
    }

    /// Leaves the task's waker at its place. `false`: shutdown came in between; the caller drops
    /// the task, which gives the place back.
    pub(crate) fn fill(&self, place: Place, waker: Waker) -> bool {
        let mut shard = self.shards[place.shard].lock();
        shard.wakers[place.key] = Some(waker);
        !shard.closed
    }

    /// The task has ended and its future is gone.
    pub(crate) fn remove(&self, place: Place) {
        let waker = {
            let mut shard = self.shards[place.shard].lock();
            shard.ended += 1;
            shard.wakers.remove(place.key)
        };
        // The last reference to a task may go with its waker: not under the lock.
        drop(waker);
    }

    /// No task may be spawned from here on. Returns the wakers of those that live.
    pub(crate) fn close(&self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.closed = true;
            wakers.extend(shard.wakers.iter().filter_map(|(_, waker)| waker.clone()));
        }
        wakers
    }

    /// How many tasks have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().wakers.len()).sum()
    }

    /// Tasks spawned, and tasks ended (finished, panicked or cancelled).
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.shards
            .iter()
            .map(|shard| shard.lock())
            .fold((0, 0), |(spawned, ended), shard| (spawned + shard.spawned, ended + shard.ended))
    }
}

impl Shard {
    const EMPTY: Shard = Shard { wakers: Slab::new(), spawned: 0, ended: 0, closed: false };
}
