//! The readiness of one source, and who waits for it.
//!
//! epoll reports edges: what it reported once it does not repeat. So readiness is remembered, as a
//! bit for each direction, until an operation finds that it is not true any more (`WouldBlock`).
//! The danger is the edge that arrives between that `WouldBlock` and the clearing of the bit. It is
//! met by a tick that grows with every event: the operation notes the word *before* its system call
//! ([`ScheduledIo::seen`]), and [`ScheduledIo::clear`] clears only if the tick is still the same.
//!
//! Why that is enough. Data that arrives after the system call said `WouldBlock` raises an edge
//! after it. Either the driver has recorded it before `clear` takes the lock: then the tick differs
//! and the bit stays. Or it records it later: then it sets the bit and takes the wakers under the
//! same lock under which waiters look at the bit and leave their wakers. An edge the driver
//! recorded before `seen` is older than the system call, which has therefore taken it into account.
//!
//! Waiters: one slot for each direction for the `poll_` functions (the last task to poll is the one
//! that is woken, as everywhere), and a list for the async functions, of which any number may wait.
//! An event wakes all of its direction; those that find nothing wait again.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::gone;
use crate::primitive::{AtomicU64, Mutex, Ordering};

/// Which half of a source an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Reading, peeking, accepting.
    Read,
    /// Writing, connecting.
    Write,
}

/// A set of directions that became ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    pub(super) read: bool,
    pub(super) write: bool,
}

const READABLE: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const SHUT_DOWN: u64 = 1 << 2;
const TICK: u64 = 1 << 8;

impl Direction {
    fn bit(self) -> u64 {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }
}

/// The word as it was before an operation's system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(u64);

#[derive(Debug, Default)]
struct Waiters {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The waiters of the async functions; the waker is gone once it was woken.
    list: Slab<(Direction, Option<Waker>)>,
}

impl Waiters {
    fn slot(&mut self, direction: Direction) -> &mut Option<Waker> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    fn take(&mut self, direction: Direction, ready: &mut Vec<Waker>) {
        ready.extend(self.slot(direction).take());
        for (_, (waits_for, waker)) in &mut self.list {
            if *waits_for == direction {
                ready.extend(waker.take());
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ScheduledIo {
    /// Bits and tick. Written under the lock of `waiters` only.
    word: AtomicU64,
    waiters: Mutex<Waiters>,
}

impl ScheduledIo {
    pub(super) fn new() -> Self {
        Self { word: AtomicU64::new(0), waiters: Mutex::new(Waiters::default()) }
    }

    /// To be called before the system call of an operation; fails after shutdown.
    pub(super) fn seen(&self) -> io::Result<Seen> {
        // Ordering: Acquire pairs with the release in `record`; keeps the system call behind it.
        let word = self.word.load(Ordering::Acquire);
        if word & SHUT_DOWN != 0 { Err(gone()) } else { Ok(Seen(word)) }
    }

    /// The operation that noted `seen` found nothing to do: forget the readiness, unless an event
    /// arrived since.
    pub(super) fn clear(&self, direction: Direction, seen: Seen) {
        let _waiters = self.waiters.lock();
        // Ordering: all writes happen under the lock that is held.
        let word = self.word.load(Ordering::Relaxed);
        if word / TICK == seen.0 / TICK {
            self.word.store(word & !direction.bit(), Ordering::Release);
        }
    }

    /// Ready if the source may be; otherwise leaves the waker in the direction's slot.
    pub(super) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // Cloned before the lock is taken, and what it replaces dropped after: both may be user
        // code. (Locals are dropped in reverse order, so the guard goes first.)
        let mut waker = Some(cx.waker().clone());
        let mut waiters = self.waiters.lock();
        if let Some(result) = self.check(direction) {
            return Poll::Ready(result);
        }
        std::mem::swap(waiters.slot(direction), &mut waker);
        Poll::Pending
    }

    /// Waits in the list until the source may be ready.
    pub(super) fn ready(&self, direction: Direction) -> Ready<'_> {
        Ready { io: self, direction, key: None }
    }

    /// An event: remembers it and takes the wakers it concerns.
    pub(super) fn record(&self, edges: Edges, ready: &mut Vec<Waker>) {
        let bits = if edges.read { READABLE } else { 0 } | if edges.write { WRITABLE } else { 0 };
        let mut waiters = self.waiters.lock();
        self.advance(bits);
        if edges.read {
            waiters.take(Direction::Read, ready);
        }
        if edges.write {
            waiters.take(Direction::Write, ready);
        }
    }

    /// The driver is gone: every operation fails from now on. Takes all wakers.
    pub(super) fn shut_down(&self, ready: &mut Vec<Waker>) {
        let mut waiters = self.waiters.lock();
        self.advance(SHUT_DOWN);
        waiters.take(Direction::Read, ready);
        waiters.take(Direction::Write, ready);
    }

    /// Under the lock: sets bits and moves the tick.
    fn advance(&self, bits: u64) {
        // Ordering: the lock orders the writers; Release pairs with the acquire in `seen`.
        let word = self.word.load(Ordering::Relaxed);
        self.word.store((word | bits).wrapping_add(TICK), Ordering::Release);
    }

    /// Under the lock: what a waiter finds.
    fn check(&self, direction: Direction) -> Option<io::Result<()>> {
        // Ordering: the lock orders it after the last write.
        let word = self.word.load(Ordering::Relaxed);
        if word & SHUT_DOWN != 0 {
            Some(Err(gone()))
        } else if word & direction.bit() != 0 {
            Some(Ok(()))
        } else {
            None
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiters.lock().list.len()
    }
}

/// Future of [`ScheduledIo::ready`]. Dropped early, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    io: &'a ScheduledIo,
    direction: Direction,
    key: Option<usize>,
}

impl Future for Ready<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = self.io;
        // As in `poll_ready`: no waker is cloned or dropped under the lock.
        let mut waker = Some(cx.waker().clone());
        let mut waiters = io.waiters.lock();
        if let Some(result) = io.check(self.direction) {
            return Poll::Ready(result);
        }
        match self.key {
            Some(key) => std::mem::swap(&mut waiters.list[key].1, &mut waker),
            None => self.key = Some(waiters.list.insert((self.direction, waker.take()))),
        }
        Poll::Pending
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            // The guard is a temporary of this statement: the waker is dropped after it.
            let entry = self.io.waiters.lock().list.remove(key);
            drop(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::testing::counter;

    const READ: Edges = Edges { read: true, write: false };

    /// The race the tick is there for: the edge comes after the system call that found nothing, and
    /// before that is written down.
    #[test]
    fn an_edge_between_would_block_and_clear_is_kept() {
        let io = ScheduledIo::new();
        let (woken, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let mut ready = Vec::new();
        io.record(READ, &mut ready);
        let seen = io.seen().expect("alive");
        io.record(READ, &mut ready);
        io.clear(Direction::Read, seen);
        assert!(io.poll_ready(Direction::Read, &mut cx).is_ready(), "the edge was lost");
        // Without an edge in between the readiness goes, and the other direction's stays.
        io.record(Edges { read: false, write: true }, &mut ready);
        io.clear(Direction::Read, io.seen().expect("alive"));
        assert!(io.poll_ready(Direction::Read, &mut cx).is_pending());
        assert!(io.poll_ready(Direction::Write, &mut cx).is_ready());
        assert!(ready.is_empty());
        io.record(READ, &mut ready);
        ready.drain(..).for_each(Waker::wake);
        assert_eq!(woken.get(), 1);
    }

    #[test]
    fn an_event_wakes_the_slot_and_the_whole_list_of_its_direction() {
        let io = ScheduledIo::new();
        let (woken, waker) = counter();
        let (other, other_waker) = counter();
        let mut cx = Context::from_waker(&waker);
        assert!(io.poll_ready(Direction::Read, &mut cx).is_pending());
        let mut list = [io.ready(Direction::Read), io.ready(Direction::Read)];
        for waiter in &mut list {
            assert!(Pin::new(waiter).poll(&mut cx).is_pending());
        }
        let mut writer = io.ready(Direction::Write);
        assert!(Pin::new(&mut writer).poll(&mut Context::from_waker(&other_waker)).is_pending());
        let mut ready = Vec::new();
        io.record(READ, &mut ready);
        ready.drain(..).for_each(Waker::wake);
        assert_eq!((woken.get(), other.get()), (3, 0));
        assert_eq!(io.waiting(), 3);
        drop((list, writer));
        assert_eq!(io.waiting(), 0);
    }
}
