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
//! The same holds for an operation that moved less than it was asked for (`bytes`): what comes
//! behind it raises an edge after it. But an end of the stream may have come *before* it, in an edge
//! that was recorded before `seen`, and would not be told of again. So with an end, an error, or
//! something urgent recorded, [`ScheduledIo::clear_unless_closed`] clears nothing.
//!
//! What an operation has found out is also remembered as that: the next one is *in vain* until
//! there was an event, and makes no system call. Of a source that no operation has found empty, and
//! no event ready, nothing is known; it is worth a try.
//!
//! A socket that has room as a rule is registered for writing only when a write has found none
//! ([`Evented::with_room`](super::Evented::with_room)). Until then its bit is set, and nobody waits.
//! The write that clears it has the source registered before that, and behind its system call: the
//! kernel tells of room that has come in between, and of what comes after there is an edge. So a
//! source is registered, or its bit is set.
//!
//! Waiters: one slot for each direction for the `poll_` functions (the last task to poll is the one
//! that is woken, as everywhere), and a list for the async functions, of which any number may wait.
//! An event wakes all that it concerns; those that find nothing wait again.
//!
//! Beside the two bits stand the states that the kernel told ([`Ready`]), for those who ask for
//! them by name (`ready`, `AsyncFd`). The bit of a direction says "it is worth a try", and goes with
//! a `WouldBlock` in any case; of the states, the two ends stay.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::gone;
use super::ready::{Interest, Ready};
use crate::primitive::{AtomicU64, Mutex, Ordering};

/// Which half of a source an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Reading, peeking, accepting.
    Read,
    /// Writing, connecting.
    Write,
}

/// Beside the states, whose bits are those of `Ready`: a try is worth it.
const READ: u64 = 1 << 8;
const WRITE: u64 = 1 << 9;
const SHUT_DOWN: u64 = 1 << 10;
/// A try is in vain: an operation has said so, and there was no event since.
const READ_IN_VAIN: u64 = 1 << 11;
const WRITE_IN_VAIN: u64 = 1 << 12;
/// Something urgent has come, and no read has found nothing since.
const URGENT: u64 = 1 << 13;
const TICK: u64 = 1 << 16;

impl Direction {
    fn bit(self) -> u64 {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }

    /// The other way round.
    fn in_vain(self) -> u64 {
        match self {
            Self::Read => READ_IN_VAIN,
            Self::Write => WRITE_IN_VAIN,
        }
    }

    /// The state that goes with a `WouldBlock`.
    fn state(self) -> Ready {
        match self {
            Self::Read => Ready::READABLE,
            Self::Write => Ready::WRITABLE,
        }
    }

    /// With one of these an operation that moved less than it could says nothing of the next.
    fn lasting(self) -> u64 {
        match self {
            Self::Read => (Ready::READ_CLOSED | Ready::ERROR).bits() | URGENT,
            Self::Write => (Ready::WRITE_CLOSED | Ready::ERROR).bits(),
        }
    }

    /// What one waits for who asks for the states of this direction.
    pub(crate) fn interest(self) -> Interest {
        match self {
            Self::Read => Interest::READABLE,
            Self::Write => Interest::WRITABLE,
        }
    }
}

/// The bits of an event. An error concerns both directions: a read or write fetches it.
fn bits_of(event: Ready) -> u64 {
    let read = event.is_readable() || event.is_error() || event.is_priority();
    let write = event.is_writable() || event.is_error();
    let urgent = if event.is_priority() { URGENT } else { 0 };
    event.bits() | urgent | if read { READ } else { 0 } | if write { WRITE } else { 0 }
}

/// The word as it was before an operation's system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(u64);

impl Seen {
    /// Whether an operation has found out that there is nothing to do, and no event came since.
    pub(super) fn is_vain(self, direction: Direction) -> bool {
        self.0 & direction.in_vain() != 0
    }
}

/// What a source was found to be, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyEvent {
    pub(crate) ready: Ready,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Waiters {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The waiters of the async functions; the waker is gone once it was woken.
    list: Slab<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    /// The bits it waits for.
    mask: u64,
    waker: Option<Waker>,
}

impl Waiters {
    fn slot(&mut self, direction: Direction) -> &mut Option<Waker> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    fn take(&mut self, bits: u64, ready: &mut Vec<Waker>) {
        if bits & READ != 0 {
            ready.extend(self.reader.take());
        }
        if bits & WRITE != 0 {
            ready.extend(self.writer.take());
        }
        for (_, waiter) in &mut self.list {
            if waiter.mask & bits != 0 {
                ready.extend(waiter.waker.take());
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
    /// Of a source that is taken for `ready` before there was an event. That makes a try worth it,
    /// and if it was not true the try puts it right. As the tick is that of no event, the first
    /// event, which tells of all that came before the registration, is one more for everybody.
    pub(super) fn new(ready: Ready) -> Self {
        Self { word: AtomicU64::new(bits_of(ready)), waiters: Mutex::new(Waiters::default()) }
    }

    /// To be called before the system call of an operation; fails after shutdown.
    pub(super) fn seen(&self) -> io::Result<Seen> {
        // Ordering: Acquire pairs with the release in `record`; keeps the system call behind it.
        let word = self.word.load(Ordering::Acquire);
        if word & SHUT_DOWN != 0 { Err(gone()) } else { Ok(Seen(word)) }
    }

    /// Whether a try is worth it, as far as is known; fails after shutdown.
    pub(super) fn is_ready(&self, direction: Direction) -> io::Result<bool> {
        Ok(self.seen()?.0 & direction.bit() != 0)
    }

    /// The operation that noted `seen` found nothing to do: forget the readiness, unless an event
    /// arrived since.
    pub(super) fn clear(&self, direction: Direction, seen: Seen) {
        let urgent = if direction == Direction::Read { URGENT } else { 0 };
        self.found_nothing(direction, seen, urgent);
    }

    /// The operation has moved less than it could: the same, unless that may have another reason.
    pub(super) fn clear_unless_closed(&self, direction: Direction, seen: Seen) {
        if seen.0 & direction.lasting() == 0 {
            self.found_nothing(direction, seen, 0);
        }
    }

    fn found_nothing(&self, direction: Direction, seen: Seen, gone: u64) {
        let gone = gone | direction.bit() | direction.state().bits();
        self.change(seen, |word| word & !gone | direction.in_vain());
    }

    /// The same for states that were asked for by name. The ends stay.
    pub(super) fn clear_states(&self, states: Ready, seen: Seen) {
        let gone = states - Ready::READ_CLOSED - Ready::WRITE_CLOSED;
        let has = |state| !(gone & state).is_empty();
        let read = if has(Ready::READABLE) { READ } else { 0 };
        let write = if has(Ready::WRITABLE) { WRITE } else { 0 };
        self.change(seen, |word| word & !(gone.bits() | read | write));
    }

    /// Changes the word, unless there was an event since `seen`.
    fn change(&self, seen: Seen, new: impl FnOnce(u64) -> u64) {
        let _waiters = self.waiters.lock();
        // Ordering: all writes happen under the lock that is held.
        let word = self.word.load(Ordering::Relaxed);
        if word / TICK == seen.0 / TICK {
            self.word.store(new(word), Ordering::Release);
        }
    }

    /// What the source is now, of what an interest asks for.
    pub(super) fn states(&self, interest: Interest) -> io::Result<ReadyEvent> {
        self.seen().map(|seen| ReadyEvent::of(seen.0, interest))
    }

    /// Ready if the source may be; otherwise leaves the waker in the direction's slot.
    pub(super) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_bits(direction, direction.bit(), cx).map_ok(drop)
    }

    /// The same by the states of the direction, which it tells.
    pub(super) fn poll_states(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<ReadyEvent>> {
        let interest = direction.interest();
        let word = self.poll_bits(direction, interest.mask().bits(), cx);
        word.map_ok(|word| ReadyEvent::of(word, interest))
    }

    fn poll_bits(
        &self,
        direction: Direction,
        mask: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        // Cloned before the lock is taken, and what it replaces dropped after: both may be user
        // code. (Locals are dropped in reverse order, so the guard goes first.)
        let mut waker = Some(cx.waker().clone());
        let mut waiters = self.waiters.lock();
        if let Some(result) = self.check(mask) {
            return Poll::Ready(result);
        }
        std::mem::swap(waiters.slot(direction), &mut waker);
        Poll::Pending
    }

    /// Waits in the list until the source may be ready.
    pub(super) fn ready(&self, direction: Direction) -> Wait<'_> {
        Wait { io: self, mask: direction.bit(), key: None }
    }

    /// The same by the states that an interest asks for, which it tells.
    pub(super) async fn ready_states(&self, interest: Interest) -> io::Result<ReadyEvent> {
        let word = Wait { io: self, mask: interest.mask().bits(), key: None }.await?;
        Ok(ReadyEvent::of(word, interest))
    }

    /// An event: remembers it and takes the wakers it concerns.
    pub(super) fn record(&self, event: Ready, ready: &mut Vec<Waker>) {
        let bits = bits_of(event);
        let mut waiters = self.waiters.lock();
        self.advance(bits);
        waiters.take(bits, ready);
    }

    /// The driver is gone: every operation fails from now on. Takes all wakers.
    pub(super) fn shut_down(&self, ready: &mut Vec<Waker>) {
        let mut waiters = self.waiters.lock();
        self.advance(SHUT_DOWN);
        waiters.take(u64::MAX, ready);
    }

    /// Under the lock: sets bits and moves the tick. What is set is worth a try.
    fn advance(&self, bits: u64) {
        let tried = [Direction::Read, Direction::Write].into_iter();
        let worth = tried.filter(|direction| bits & direction.bit() != 0);
        let vain = worth.fold(0, |vain, direction| vain | direction.in_vain());
        // Ordering: the lock orders the writers; Release pairs with the acquire in `seen`.
        let word = self.word.load(Ordering::Relaxed);
        self.word.store((word & !vain | bits).wrapping_add(TICK), Ordering::Release);
    }

    /// Under the lock: what a waiter finds. The word, if there is something in it for him.
    fn check(&self, mask: u64) -> Option<io::Result<u64>> {
        // Ordering: the lock orders it after the last write.
        let word = self.word.load(Ordering::Relaxed);
        if word & SHUT_DOWN != 0 {
            Some(Err(gone()))
        } else if word & mask != 0 {
            Some(Ok(word))
        } else {
            None
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiters.lock().list.len()
    }
}

impl ReadyEvent {
    fn of(word: u64, interest: Interest) -> Self {
        ReadyEvent { ready: Ready::from_bits(word) & interest.mask(), seen: Seen(word) }
    }

    /// Of the same moment, with other states.
    pub(crate) fn with(self, ready: Ready) -> Self {
        ReadyEvent { ready, ..self }
    }

    pub(super) fn seen(self) -> Seen {
        self.seen
    }
}

/// Future of [`ScheduledIo::ready`]. Dropped early, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    io: &'a ScheduledIo,
    mask: u64,
    key: Option<usize>,
}

impl Future for Wait<'_> {
    type Output = io::Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let io = self.io;
        // As in `poll_bits`: no waker is cloned or dropped under the lock.
        let mut waker = Some(cx.waker().clone());
        let mut waiters = io.waiters.lock();
        if let Some(result) = io.check(self.mask) {
            return Poll::Ready(result);
        }
        match self.key {
            Some(key) => std::mem::swap(&mut waiters.list[key].waker, &mut waker),
            None => {
                let waiter = Waiter { mask: self.mask, waker: waker.take() };
                self.key = Some(waiters.list.insert(waiter));
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
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

    const READ: Ready = Ready::READABLE;

    /// The race the tick is there for: the edge comes after the system call that found nothing, and
    /// before that is written down.
    #[test]
    fn an_edge_between_would_block_and_clear_is_kept() {
        let io = ScheduledIo::new(Ready::EMPTY);
        let (woken, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let mut ready = Vec::new();
        io.record(READ, &mut ready);
        let seen = io.seen().expect("alive");
        io.record(READ, &mut ready);
        io.clear(Direction::Read, seen);
        assert!(io.poll_ready(Direction::Read, &mut cx).is_ready(), "the edge was lost");
        // Without an edge in between the readiness goes, and the other direction's stays.
        io.record(Ready::WRITABLE, &mut ready);
        io.clear(Direction::Read, io.seen().expect("alive"));
        assert!(io.poll_ready(Direction::Read, &mut cx).is_pending());
        assert!(io.poll_ready(Direction::Write, &mut cx).is_ready());
        assert!(ready.is_empty());
        io.record(READ, &mut ready);
        ready.drain(..).for_each(Waker::wake);
        assert_eq!(woken.get(), 1);
    }

    /// The same race for an operation that moved less than it was asked for.
    #[test]
    fn an_edge_between_a_short_read_and_its_note_is_kept() {
        let io = ScheduledIo::new(Ready::EMPTY);
        let mut cx = Context::from_waker(Waker::noop());
        let mut ready = Vec::new();
        io.record(READ, &mut ready);
        let seen = io.seen().expect("alive");
        io.record(READ, &mut ready);
        io.clear_unless_closed(Direction::Read, seen);
        assert!(!io.seen().expect("alive").is_vain(Direction::Read));
        assert!(io.poll_ready(Direction::Read, &mut cx).is_ready(), "the edge was lost");
        io.clear_unless_closed(Direction::Read, io.seen().expect("alive"));
        assert!(io.seen().expect("alive").is_vain(Direction::Read));
        assert!(!io.seen().expect("alive").is_vain(Direction::Write));
        assert!(io.poll_ready(Direction::Read, &mut cx).is_pending());
        io.record(READ, &mut ready);
        assert!(!io.seen().expect("alive").is_vain(Direction::Read));
    }

    /// What may have been there before the operation is not told of again.
    #[test]
    fn a_short_read_says_nothing_beside_an_end_an_error_or_something_urgent() {
        let mut cx = Context::from_waker(Waker::noop());
        for state in [Ready::READ_CLOSED, Ready::ERROR, Ready::PRIORITY] {
            let (io, mut ready) = (ScheduledIo::new(Ready::EMPTY), Vec::new());
            io.record(READ | state, &mut ready);
            io.clear_unless_closed(Direction::Read, io.seen().expect("alive"));
            assert!(io.poll_ready(Direction::Read, &mut cx).is_ready(), "{state:?}");
            // But the kernel's word that there is nothing holds.
            io.clear(Direction::Read, io.seen().expect("alive"));
            assert!(io.seen().expect("alive").is_vain(Direction::Read), "{state:?}");
            assert!(io.poll_ready(Direction::Read, &mut cx).is_pending(), "{state:?}");
        }
    }

    #[test]
    fn an_event_wakes_the_slot_and_the_whole_list_of_its_direction() {
        let io = ScheduledIo::new(Ready::EMPTY);
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

    /// The states are told to those who ask for them by name, and only the ends outlive a
    /// `WouldBlock`.
    #[test]
    fn states_are_remembered_and_cleared_by_name() {
        let io = ScheduledIo::new(Ready::EMPTY);
        let (woken, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let mut ready = Vec::new();
        let mut urgent = Box::pin(io.ready_states(Interest::PRIORITY));
        assert!(urgent.as_mut().poll(&mut cx).is_pending());
        io.record(Ready::WRITABLE, &mut ready);
        assert!(ready.is_empty(), "nobody waits for that");
        io.record(Ready::PRIORITY | Ready::READABLE, &mut ready);
        ready.drain(..).for_each(Waker::wake);
        assert_eq!(woken.get(), 1);
        let Poll::Ready(Ok(event)) = urgent.as_mut().poll(&mut cx) else { panic!("it is urgent") };
        assert_eq!(event.ready, Ready::PRIORITY);
        io.clear_states(event.ready, event.seen());
        let left = io.states(Interest::PRIORITY | Interest::READABLE).expect("alive");
        assert_eq!(left.ready, Ready::READABLE);
        io.record(Ready::READ_CLOSED, &mut ready);
        let event = io.states(Interest::READABLE).expect("alive");
        io.clear_states(event.ready, event.seen());
        let left = io.states(Interest::READABLE).expect("alive");
        assert_eq!(left.ready, Ready::READ_CLOSED, "an end is for good");
        assert!(io.poll_ready(Direction::Read, &mut cx).is_pending(), "but not worth a second try");
        // What is older than an event clears nothing.
        io.record(Ready::READABLE, &mut ready);
        io.clear_states(Ready::READABLE, event.seen());
        assert!(io.poll_states(Direction::Read, &mut cx).is_ready());
    }
}
