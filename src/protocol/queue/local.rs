//! A seat's own run queue: a ring with one producer and many consumers.
//!
//! Only the thread that *holds* the core pushes (the word says who that is); the holder and the
//! thieves of other seats all pop from the front, each with a compare-and-swap on `head`.
//!
//! ```text
//!   head                        tail
//!    |  taken by compare-and-swap |  stored by the producer
//!    v                            v
//!  [ a ][ b ][ c ][ d ][ . ][ . ][ . ][ . ]
//! ```
//!
//! `head` and `tail` only grow (64 bits do not come round). A consumer copies the pointer *before*
//! its swap and owns it only *after*: a producer can overwrite slot `h % N` only when `tail - head`
//! is below `N` with `head > h`, that is after somebody's swap of `h`, and then this consumer's own
//! swap of `h` fails and the copy is thrown away. That is the whole proof. The owner pays a
//! swap on its own cache line for each pop; in exchange stealing needs no second index.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Item;
use crate::primitive::{AtomicPtr, AtomicU64, Ordering, Padded, weakened};

#[cfg(not(threadlet_loom))]
const CAPACITY: u64 = 256;
#[cfg(threadlet_loom)]
const CAPACITY: u64 = 4;

/// The ring. Dropping it drops what is in it.
#[derive(Debug)]
pub(crate) struct LocalQueue<T: Item> {
    head: Padded<AtomicU64>,
    tail: Padded<AtomicU64>,
    slots: Box<[AtomicPtr<()>]>,
    items: PhantomData<T>,
}

impl<T: Item> LocalQueue<T> {
    pub(crate) fn new() -> Self {
        LocalQueue {
            head: Padded(AtomicU64::new(0)),
            tail: Padded(AtomicU64::new(0)),
            slots: (0..CAPACITY).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect(),
            items: PhantomData,
        }
    }

    /// How many are in it, as a hint.
    pub(crate) fn len(&self) -> usize {
        // Ordering: Acquire on both, head first, so that the difference is never negative by more
        // than the saturation below hides. A hint, except in the idle protocol, where the fence
        // before it counts.
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        tail.saturating_sub(head) as usize
    }

    #[inline]
    fn slot(&self, index: u64) -> &AtomicPtr<()> {
        &self.slots[(index % CAPACITY) as usize]
    }

    /// Appends an item, or gives it back when the ring is full.
    ///
    /// # Safety
    ///
    /// The calling thread holds the core this queue belongs to: two producers at once would lose
    /// an item or hand it out twice.
    #[inline]
    pub(crate) unsafe fn push(&self, item: T) -> Result<(), T> {
        // Ordering: Relaxed, this thread (or the one it got the core from) stored it.
        let tail = self.tail.load(Ordering::Relaxed);
        // Ordering: Acquire. Partner: the Release of `take`; the slot has been read by then.
        let head = self.head.load(Ordering::Acquire);
        if tail - head >= CAPACITY {
            return Err(item);
        }
        self.slot(tail).store(item.into_raw().as_ptr(), Ordering::Relaxed);
        // Ordering: Release. Partner: the Acquire of `tail` in `take`.
        self.tail.store(tail + 1, weakened!("queue-relaxed", Ordering::Release));
        Ok(())
    }

    /// Takes the item at the front. Any thread may.
    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        let mut taken = None;
        self.take(|len| len.min(1), |_, raw| taken = NonNull::new(raw));
        // SAFETY: `take` ended in a successful swap of `head` past this pointer, or cleared the
        // count; only then is it ours, and it came from `into_raw`.
        taken.map(|raw| unsafe { T::from_raw(raw) })
    }

    /// Takes half of what is here (rounded up) by one swap. What the answer is not asked for is lost.
    pub(crate) fn take_half(&self) -> impl Iterator<Item = T> + use<T> {
        let mut half = [std::ptr::null_mut(); CAPACITY.div_ceil(2) as usize];
        let taken = self.take(|len| len - len / 2, |nth, raw| half[nth as usize] = raw);
        // SAFETY: as in `pop`.
        let item = |raw| unsafe { T::from_raw(raw) };
        half.into_iter().take(taken as usize).filter_map(NonNull::new).map(item)
    }

    /// Moves half of what is here (rounded up) behind what is in `mine`, and returns one of them.
    ///
    /// # Safety
    ///
    /// The calling thread holds the core that `mine` belongs to.
    pub(crate) unsafe fn steal_into(&self, mine: &LocalQueue<T>) -> Option<T> {
        // Ordering: Relaxed and Acquire as in `push`: this thread is the producer of `mine`.
        let tail = mine.tail.load(Ordering::Relaxed);
        let room = CAPACITY - (tail - mine.head.load(Ordering::Acquire));
        let mut first = None;
        let taken = self.take(
            |len| (len - len / 2).min(room),
            |nth, raw| match nth {
                0 => first = NonNull::new(raw),
                _ => mine.slot(tail + nth - 1).store(raw, Ordering::Relaxed),
            },
        );
        if taken > 1 {
            // Ordering: Release. Partner: the Acquire of `tail` in `take`.
            mine.tail.store(tail + taken - 1, weakened!("steal-relaxed", Ordering::Release));
        }
        // SAFETY: as in `pop`.
        first.filter(|_| taken > 0).map(|raw| unsafe { T::from_raw(raw) })
    }

    /// Copies the first `want(len)` pointers out and swaps `head` past them; returns how many.
    /// `copy` may see pointers that turn out not to be ours: the last run of it counts, and none
    /// at all if the answer is 0.
    #[inline]
    fn take(&self, want: impl Fn(u64) -> u64, mut copy: impl FnMut(u64, *mut ())) -> u64 {
        // Ordering: Acquire, so that `tail` is loaded after it.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // Ordering: Acquire. Partner: the Release in `push`.
            let tail = self.tail.load(Ordering::Acquire);
            let len = want(tail.saturating_sub(head));
            if len == 0 {
                copy(0, std::ptr::null_mut());
                return 0;
            }
            for nth in 0..len {
                copy(nth, self.slot(head + nth).load(Ordering::Relaxed));
            }
            // Ordering: Release keeps the copies before the swap (partner: the Acquire of `head`
            // in `push`); Acquire on failure as for the first load.
            match self.head.compare_exchange(head, head + len, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return len,
                Err(now) => head = now,
            }
        }
    }
}

impl<T: Item> Drop for LocalQueue<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
