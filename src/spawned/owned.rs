//! All tasks of a runtime that have not ended: so that shutdown can reach those that sleep.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use slab::Slab;

use crate::primitive::{Mutex, Padded};

const SHARDS: usize = 16;

/// The wakers of all live tasks, in a few slabs so that spawners seldom meet.
#[derive(Debug)]
pub(crate) struct Owned {
    shards: [Padded<Mutex<Shard>>; SHARDS],
    next: AtomicUsize,
    /// Spawns between their first step and their last, for the check at shutdown only: a shared
    /// cache line on the way of every spawn.
    #[cfg(debug_assertions)]
    under_way: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    wakers: Slab<Option<Waker>>,
    spawned: u64,
    ended: u64,
    closed: bool,
}

/// By which a task is found among the owned ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnedKey {
    shard: usize,
    index: usize,
}

impl Owned {
    pub(crate) fn new() -> Self {
        Owned {
            shards: [const { Padded(Mutex::new(Shard::EMPTY)) }; SHARDS],
            next: AtomicUsize::new(0),
            #[cfg(debug_assertions)]
            under_way: AtomicUsize::new(0),
        }
    }

    /// Reserves a place for a new task, or says that the runtime is shutting down. `hint` picks
    /// the shard: threads with different hints do not meet.
    pub(crate) fn reserve(&self, hint: Option<usize>) -> Option<OwnedKey> {
        let hint = hint.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        #[cfg(debug_assertions)]
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let mut shard = self.shards[hint % SHARDS].lock();
        if shard.closed {
            return None;
        }
        shard.spawned += 1;
        let index = shard.wakers.insert(None);
        Some(OwnedKey { shard: hint % SHARDS, index })
    }

    /// Leaves the task's waker. `false`: shutdown came in between; the caller drops
    /// the task, which gives the place back.
    pub(crate) fn fill(&self, key: OwnedKey, waker: Waker) -> bool {
        let mut shard = self.shards[key.shard].lock();
        shard.wakers[key.index] = Some(waker);
        !shard.closed
    }

    /// The spawn that began with `reserve` is over: the task is in a queue, or gone.
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
    pub(crate) fn remove(&self, key: OwnedKey) {
        let waker = {
            let mut shard = self.shards[key.shard].lock();
            shard.ended += 1;
            shard.wakers.remove(key.index)
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

    /// Whether tasks spawned = ended (finished, panicked or cancelled) + alive.
    #[cfg(debug_assertions)]
    pub(crate) fn adds_up(&self) -> bool {
        let adds_up = |shard: &Shard| shard.spawned == shard.ended + shard.wakers.len() as u64;
        self.shards.iter().all(|shard| adds_up(&shard.lock()))
    }
}

impl Shard {
    const EMPTY: Shard = Shard { wakers: Slab::new(), spawned: 0, ended: 0, closed: false };
}
