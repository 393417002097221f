//! A mio source that is registered with a driver, and the operations on it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, ready};

use mio::event::Source;

use super::Handle;
use super::ready::{Interest, Ready};
use super::scheduled_io::{Direction, ReadyEvent, ScheduledIo, Seen};
use crate::coop;
use crate::primitive::Arc;
use crate::syslet::retry;

/// A registered source. Deregisters on drop, before the source is closed.
pub(crate) struct Evented<S: Source> {
    /// `None` only between the deregistration and the end of `into_inner` or `drop`.
    source: Option<S>,
    io: Arc<ScheduledIo>,
    key: usize,
    handle: Handle,
    /// Of a source that is registered for reading only so far, and is to be for writing some day:
    /// its descriptor. Otherwise [`ASKED`].
    unasked: AtomicI32,
}

/// A source is registered for all that it is to be.
const ASKED: RawFd = -1;

// A panic in a waker, or in an operation, leaves a source as it was.
impl<S: Source> UnwindSafe for Evented<S> {}
impl<S: Source> RefUnwindSafe for Evented<S> {}

impl<S: Source> Evented<S> {
    /// Registers `source` with the driver behind `handle`.
    pub(crate) fn with_handle(source: S, interest: Interest, handle: Handle) -> io::Result<Self> {
        Self::taken_for(Ready::EMPTY, source, interest, handle)
    }

    /// The same for one that is taken for `ready` without an event: a connection that was accepted
    /// has room to write, and mostly something to read. Who waits for that by name need not wait
    /// for the driver, and who was told so in vain finds out by his first try.
    pub(crate) fn taken_for(
        ready: Ready,
        mut source: S,
        interest: Interest,
        handle: Handle,
    ) -> io::Result<Self> {
        let (key, io) = handle.register(&mut source, interest, ready)?;
        let unasked = AtomicI32::new(ASKED);
        Ok(Self { source: Some(source), io, key, handle, unasked })
    }

    /// A socket that has room to write as a rule. It is taken for writable, and for `ready`, and is
    /// registered for reading alone until a write has found no room: then for both. (Of each message
    /// that leaves the buffer of a datagram socket or a Unix stream there would be an edge, which
    /// nobody waits for.)
    pub(crate) fn with_room(ready: Ready, source: S, handle: Handle) -> io::Result<Self>
    where
        S: AsRawFd,
    {
        let fd = source.as_raw_fd();
        let ready = ready | Ready::WRITABLE;
        let mut evented = Self::taken_for(ready, source, Interest::READABLE, handle)?;
        evented.unasked = AtomicI32::new(fd);
        Ok(evented)
    }

    pub(crate) fn get(&self) -> &S {
        self.source.as_ref().expect("the source is taken only by who consumes the whole")
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Gives the source back, unregistered.
    pub(crate) fn into_inner(mut self) -> io::Result<S> {
        let mut source = self.source.take().expect("it is taken only here and in drop");
        self.handle.deregister(&mut source, self.key)?;
        Ok(source)
    }

    /// Tries the operation once. That it would block is remembered, and so is that its result
    /// `ends` what there was.
    fn attempt<R>(
        &self,
        direction: Direction,
        seen: Seen,
        mut op: impl FnMut(&S) -> io::Result<R>,
        ends: impl Fn(&R) -> bool,
    ) -> io::Result<R> {
        let result = retry(|| op(self.get()));
        match &result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ask(direction)?;
                self.io.clear(direction, seen);
            }
            // If it cannot be registered the next attempt says so: this one has moved something.
            Ok(result) if ends(result) && self.ask(direction).is_ok() => {
                self.io.clear_unless_closed(direction, seen);
            }
            _ => {}
        }
        result
    }

    /// The source is about to be taken for ready no longer in this direction: it has to be registered
    /// for that. The kernel tells of what is true by then, too, so that no room is missed.
    #[inline]
    fn ask(&self, direction: Direction) -> io::Result<()> {
        // Ordering: Relaxed. Who finds it asked for has nothing to see but what the kernel tells; and
        // to ask twice is no harm.
        let fd = self.unasked.load(Ordering::Relaxed);
        if direction == Direction::Read || fd == ASKED {
            return Ok(());
        }
        self.handle.register_again(fd, self.key, Interest::READABLE | Interest::WRITABLE)?;
        self.unasked.store(ASKED, Ordering::Relaxed);
        Ok(())
    }

    /// Tries the operation once, whatever is known of the readiness. Nothing but a `WouldBlock` is
    /// remembered, which its caller has seen: who waits for the readiness by name is told that it is
    /// there until then.
    pub(crate) fn try_io<R>(
        &self,
        direction: Direction,
        op: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        self.attempt(direction, self.io.seen()?, op, |_| false)
    }

    /// Tries the operation, and if it would block leaves the task's waker in the direction's slot.
    /// It tries first, unless the last operation has found that it is in vain: the system call
    /// knows better, and what has already arrived need not wait for the driver.
    pub(crate) fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        op: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_op(direction, cx, op, |_| false)
    }

    /// The same for an operation whose result may say that nothing is left.
    pub(super) fn poll_op<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&S) -> io::Result<R>,
        ends: impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        coop::counted(cx, |cx| {
            loop {
                let seen = self.io.seen()?;
                if !seen.is_vain(direction) {
                    match self.attempt(direction, seen, &mut op, &ends) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        result => return Poll::Ready(result),
                    }
                }
                ready!(self.io.poll_ready(direction, cx))?;
            }
        })
    }

    /// As `poll_io`, but any number of tasks may wait at a time.
    pub(crate) async fn async_io<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(coop::poll_left).await;
        loop {
            let seen = self.io.seen()?;
            if !seen.is_vain(direction) {
                match self.attempt(direction, seen, &mut op, |_| false) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => {
                        coop::spend(1);
                        return result;
                    }
                }
            }
            self.io.ready(direction).await?;
        }
    }

    /// Waits until the source may be ready.
    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        self.io.ready(direction).await?;
        Ok(())
    }

    /// Waits, in the direction's slot, until the source may be ready.
    pub(crate) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        coop::counted(cx, |cx| self.io.poll_ready(direction, cx))
    }

    /// Waits for states of the source by name, and tells them.
    pub(crate) async fn ready_event(&self, interest: Interest) -> io::Result<ReadyEvent> {
        self.io.ready_states(interest).await
    }

    /// The same without those who tell no event.
    pub(crate) async fn ready_states(&self, interest: Interest) -> io::Result<Ready> {
        Ok(self.ready_event(interest).await?.ready)
    }

    /// The form of `ready_event` that waits in the direction's slot.
    pub(crate) fn poll_event(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<ReadyEvent>> {
        coop::counted(cx, |cx| self.io.poll_states(direction, cx))
    }

    /// Whether the runtime of the source has been shut down.
    pub(crate) fn is_gone(&self) -> bool {
        self.io.seen().is_err()
    }

    /// `WouldBlock` unless the source is known to be worth a try.
    pub(crate) fn demand_ready(&self, direction: Direction) -> io::Result<()> {
        if self.io.is_ready(direction)? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Forgets the states of an event, but for the ends, unless there was another since.
    pub(crate) fn clear_event(&self, event: ReadyEvent) {
        self.io.clear_states(event.ready, event.seen());
    }

    /// Tries an operation of the user's once, if the source is what it needs.
    pub(crate) fn try_user_io<R>(
        &self,
        interest: Interest,
        op: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let event = self.io.states(interest)?;
        if event.ready.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.judge(event, op())
    }

    /// Tries an operation of the user's each time that the source is what it needs, until it is
    /// not refused.
    pub(crate) async fn async_user_io<R>(
        &self,
        interest: Interest,
        mut op: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(coop::poll_left).await;
        loop {
            let event = self.ready_event(interest).await?;
            match self.judge(event, op()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    coop::spend(1);
                    return result;
                }
            }
        }
    }

    /// A `WouldBlock` of the user's is remembered.
    fn judge<R>(&self, event: ReadyEvent, result: io::Result<R>) -> io::Result<R> {
        if let Err(error) = &result {
            if error.kind() == io::ErrorKind::WouldBlock {
                if event.ready.is_writable() {
                    self.ask(Direction::Write)?;
                }
                self.clear_event(event);
            }
        }
        result
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.io.waiting()
    }
}

impl<S: Source> Drop for Evented<S> {
    fn drop(&mut self) {
        if let Some(mut source) = self.source.take() {
            // Closing the descriptor removes it from epoll anyway; nobody could act on the error.
            let _ = self.handle.deregister(&mut source, self.key);
        }
    }
}

impl<S: Source + fmt::Debug> fmt::Debug for Evented<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}
