//! A mio source that is registered with a driver, and the operations on it.

use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll, ready};

use mio::Interest;
use mio::event::Source;

use super::Handle;
use super::scheduled_io::{Direction, ScheduledIo};
use crate::primitive::Arc;

/// A registered source. Deregisters on drop, before the source is closed.
pub(crate) struct Evented<S: Source> {
    /// `None` only between the deregistration and the end of `into_inner` or `drop`.
    source: Option<S>,
    io: Arc<ScheduledIo>,
    key: usize,
    handle: Handle,
}

// A panic in a waker, or in an operation, leaves a source as it was.
impl<S: Source> UnwindSafe for Evented<S> {}
impl<S: Source> RefUnwindSafe for Evented<S> {}

impl<S: Source> Evented<S> {
    /// Registers `source` with the driver behind `handle`.
    pub(crate) fn with_handle(
        mut source: S,
        interest: Interest,
        handle: Handle,
    ) -> io::Result<Self> {
        let (key, io) = handle.register(&mut source, interest)?;
        Ok(Self { source: Some(source), io, key, handle })
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

    /// Tries the operation once; a `WouldBlock` is remembered.
    pub(crate) fn try_io<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let seen = self.io.seen()?;
        loop {
            match op(self.get()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.io.clear(direction, seen);
                    return Err(error);
                }
                result => return result,
            }
        }
    }

    /// Tries the operation, and if it would block leaves the task's waker in the direction's slot.
    /// It tries first, without a look at the readiness: the system call knows better, and what has
    /// already arrived need not wait for the driver.
    pub(crate) fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match self.try_io(direction, &mut op) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            ready!(self.io.poll_ready(direction, cx))?;
        }
    }

    /// As `poll_io`, but any number of tasks may wait at a time.
    pub(crate) async fn async_io<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            match self.try_io(direction, &mut op) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            self.io.ready(direction).await?;
        }
    }

    /// Waits until the source may be ready.
    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        self.io.ready(direction).await
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
