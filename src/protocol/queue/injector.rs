//! The queue that everybody shares: what comes from outside, and what a seat's own queue cannot
//! hold.
//!
//! A lock around a deque is enough: workers look here once in a while or when they have nothing
//! else, and the atomic length keeps the empty case off the lock.

use std::collections::VecDeque;

use crate::primitive::{AtomicUsize, Mutex, Ordering};

/// The shared queue, first in, first out.
#[derive(Debug)]
pub(crate) struct Injector<T> {
    len: AtomicUsize,
    items: Mutex<VecDeque<T>>,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Injector { len: AtomicUsize::new(0), items: Mutex::new(VecDeque::new()) }
    }

    /// How many wait. Exact under the idle protocol's fences, a hint elsewhere.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Ordering: Relaxed; the idle protocol fences around it, and `pop` looks under the lock.
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn push(&self, item: T) {
        let mut items = self.items.lock();
        items.push_back(item);
        self.len.store(items.len(), Ordering::Relaxed);
    }

    /// Appends all of `batch` under one lock.
    pub(crate) fn push_batch(&self, batch: impl Iterator<Item = T>) {
        let mut items = self.items.lock();
        items.extend(batch);
        self.len.store(items.len(), Ordering::Relaxed);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.pop_batch(0, |_| {})
    }

    /// Takes the first item, and gives up to `more` further ones to `rest`, which must not come
    /// back here.
    pub(crate) fn pop_batch(&self, more: usize, mut rest: impl FnMut(T)) -> Option<T> {
        if self.len() == 0 {
            return None;
        }
        let mut items = self.items.lock();
        let first = items.pop_front();
        for _ in 0..more.min(items.len()) {
            if let Some(item) = items.pop_front() {
                rest(item);
            }
        }
        self.len.store(items.len(), Ordering::Relaxed);
        first
    }
}
