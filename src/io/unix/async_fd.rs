//! `AsyncFd`.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use super::guard::{AsyncFdReadyGuard, AsyncFdReadyMutGuard};
use crate::context;
use crate::driver::{Descriptor, Direction, Evented, Interest};

/// A descriptor that is registered with the runtime's reactor, with what owns it.
///
/// It tells when the descriptor can be read or written; reading and writing is yours, with calls
/// that do not block (`O_NONBLOCK`). After a call that answers `WouldBlock` the readiness has to be
/// cleared, or the next wait returns at once: [`try_io`](AsyncFdReadyGuard::try_io) of the guard
/// does that.
///
/// Files and folders cannot be registered (`EPERM`): epoll does not wait for disks. For those there
/// is [`fs`](crate::fs).
///
/// Any number of tasks may wait in the async functions; of those in
/// [`poll_read_ready`](Self::poll_read_ready) only the last is woken, and likewise for writing.
///
/// # Examples
///
/// ```
/// use std::io::{self, Read};
/// use std::os::unix::net::UnixStream;
/// use threadlet::io::unix::AsyncFd;
///
/// /// Reads what comes first.
/// async fn first(stream: UnixStream) -> io::Result<u8> {
///     stream.set_nonblocking(true)?;
///     // SAFETY: the stream owns its descriptor, and is neither closed nor replaced in here.
///     let stream = unsafe { AsyncFd::register(stream)? };
///     loop {
///         let mut guard = stream.readable().await?;
///         let mut byte = [0];
///         match guard.try_io(|stream| stream.get_ref().read(&mut byte)) {
///             Ok(read) => return read.map(|_| byte[0]),
///             Err(_would_block) => {}
///         }
///     }
/// }
///
/// # use std::io::Write;
/// # fn main() -> io::Result<()> {
/// let (mut here, there) = UnixStream::pair()?;
/// here.write_all(b"x")?;
/// assert_eq!(threadlet::block_on(first(there))?, b'x');
/// # Ok(())
/// # }
/// ```
pub struct AsyncFd<T: AsRawFd> {
    // Before `inner`: the descriptor is deregistered before it is closed.
    io: Evented<Descriptor<RawFd>>,
    inner: T,
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Registers the descriptor of `inner` for reading and writing.
    ///
    /// # Safety
    ///
    /// What `inner.as_raw_fd()` returns must be an open descriptor, and always the same one, until
    /// this is dropped or [taken apart](Self::into_inner).
    ///
    /// # Errors
    ///
    /// With `inner` in it: what epoll says (`PermissionDenied` for files and folders,
    /// `AlreadyExists` for what is registered in this runtime already), or that the runtime has
    /// been shut down.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub unsafe fn register(inner: T) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::enrol(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// Registers the descriptor of `inner` for what `interest` says: errors are reported in any
    /// case, and for the rest nobody can wait.
    ///
    /// # Safety
    ///
    /// As for [`register`](Self::register), and so are errors and panics.
    #[track_caller]
    pub unsafe fn register_with_interest(
        inner: T,
        interest: Interest,
    ) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::enrol(inner, interest)
    }

    #[track_caller]
    fn enrol(inner: T, interest: Interest) -> Result<Self, AsyncFdRegisterError<T>> {
        let handle = context::current_driver("an `AsyncFd`");
        let descriptor = Descriptor(inner.as_raw_fd());
        match Evented::with_handle(descriptor, interest, handle) {
            Ok(io) => Ok(AsyncFd { io, inner }),
            Err(cause) => Err(AsyncFdRegisterError { inner, cause }),
        }
    }

    /// [`register`](Self::register), without what it asks of its caller.
    #[track_caller]
    #[deprecated(note = "the descriptor must stay open, which nothing here checks: use `register`")]
    pub fn new(inner: T) -> io::Result<Self> {
        Ok(Self::enrol(inner, Interest::READABLE | Interest::WRITABLE)?)
    }

    /// [`register_with_interest`](Self::register_with_interest), without what it asks of its
    /// caller.
    #[track_caller]
    #[deprecated(
        note = "the descriptor must stay open, which nothing here checks: use `register_with_interest`"
    )]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        Ok(Self::enrol(inner, interest)?)
    }

    /// [`register`](Self::register), without what it asks of its caller.
    #[track_caller]
    #[deprecated(note = "the descriptor must stay open, which nothing here checks: use `register`")]
    pub fn try_new(inner: T) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::enrol(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// [`register_with_interest`](Self::register_with_interest), without what it asks of its
    /// caller.
    #[track_caller]
    #[deprecated(
        note = "the descriptor must stay open, which nothing here checks: use `register_with_interest`"
    )]
    pub fn try_with_interest(
        inner: T,
        interest: Interest,
    ) -> Result<Self, AsyncFdRegisterError<T>> {
        Self::enrol(inner, interest)
    }

    /// What owns the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// What owns the descriptor, which is not to be exchanged.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Takes the descriptor out of the reactor.
    pub fn into_inner(self) -> T {
        let AsyncFd { io, inner } = self;
        drop(io);
        inner
    }

    /// Waits until it can be read. Only the last task to poll this is woken.
    pub fn poll_read_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let event = ready!(self.io.poll_event(Direction::Read, cx))?;
        Poll::Ready(Ok(AsyncFdReadyGuard::new(self, event)))
    }

    /// [`poll_read_ready`](Self::poll_read_ready), for those who need `&mut T`.
    pub fn poll_read_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.io.poll_event(Direction::Read, cx))?;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(self, event)))
    }

    /// Waits until it can be written. Only the last task to poll this is woken.
    pub fn poll_write_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let event = ready!(self.io.poll_event(Direction::Write, cx))?;
        Poll::Ready(Ok(AsyncFdReadyGuard::new(self, event)))
    }

    /// [`poll_write_ready`](Self::poll_write_ready), for those who need `&mut T`.
    pub fn poll_write_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.io.poll_event(Direction::Write, cx))?;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(self, event)))
    }

    /// Waits for any of the states in `interest`; the guard [tells which](AsyncFdReadyGuard::ready).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened: the readiness is still there for the next call.
    ///
    /// # Errors
    ///
    /// If the runtime has been shut down.
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let event = self.io.ready_event(interest).await?;
        Ok(AsyncFdReadyGuard::new(self, event))
    }

    /// [`ready`](Self::ready), for those who need `&mut T`. Cancelled, nothing has happened.
    pub async fn ready_mut(
        &mut self,
        interest: Interest,
    ) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        let event = self.io.ready_event(interest).await?;
        Ok(AsyncFdReadyMutGuard::new(self, event))
    }

    /// Waits until it can be read, or has ended. Cancelled, nothing has happened.
    pub async fn readable<'a>(&'a self) -> io::Result<AsyncFdReadyGuard<'a, T>> {
        self.ready(Interest::READABLE).await
    }

    /// [`readable`](Self::readable), for those who need `&mut T`. Cancelled, nothing has happened.
    pub async fn readable_mut<'a>(&'a mut self) -> io::Result<AsyncFdReadyMutGuard<'a, T>> {
        self.ready_mut(Interest::READABLE).await
    }

    /// Waits until it can be written, or has ended. Cancelled, nothing has happened.
    pub async fn writable<'a>(&'a self) -> io::Result<AsyncFdReadyGuard<'a, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// [`writable`](Self::writable), for those who need `&mut T`. Cancelled, nothing has happened.
    pub async fn writable_mut<'a>(&'a mut self) -> io::Result<AsyncFdReadyMutGuard<'a, T>> {
        self.ready_mut(Interest::WRITABLE).await
    }

    /// Calls `f` each time that the descriptor is ready, until it answers something else than
    /// `WouldBlock`.
    ///
    /// `interest` should be one state, the one that `f` needs.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, `f` has answered nothing but `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Those of `f`, and that the runtime has been shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use threadlet::io::{Interest, unix::AsyncFd};
    ///
    /// async fn say(socket: &AsyncFd<UdpSocket>, what: &[u8]) -> std::io::Result<usize> {
    ///     socket.async_io(Interest::WRITABLE, |socket| socket.send(what)).await
    /// }
    /// ```
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.async_user_io(interest, || f(&self.inner)).await
    }

    /// [`async_io`](Self::async_io), for those who need `&mut T`. Cancelled, `f` has answered
    /// nothing but `WouldBlock`.
    pub async fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut f: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let AsyncFd { io, inner } = self;
        io.async_user_io(interest, || f(inner)).await
    }

    /// Calls `f` if the descriptor is known to be ready. `WouldBlock`, of `f` too, clears that.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if it is not ready, those of `f`, and that the
    /// runtime has been shut down.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.try_user_io(interest, || f(&self.inner))
    }

    /// [`try_io`](Self::try_io), for those who need `&mut T`.
    pub fn try_io_mut<R>(
        &mut self,
        interest: Interest,
        f: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let AsyncFd { io, inner } = self;
        io.try_user_io(interest, || f(inner))
    }

    pub(super) fn evented(&self) -> &Evented<Descriptor<RawFd>> {
        &self.io
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl<T: AsRawFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: who made this promised that the descriptor stays open as long as this lives.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl<T: fmt::Debug + AsRawFd> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("inner", &self.inner).finish()
    }
}

/// A descriptor could not be registered. What owns it [is given back](Self::into_parts).
pub struct AsyncFdRegisterError<T> {
    inner: T,
    cause: io::Error,
}

/// The former name of [`AsyncFdRegisterError`].
#[doc(hidden)]
#[deprecated(note = "use `AsyncFdRegisterError`")]
pub type AsyncFdTryNewError<T> = AsyncFdRegisterError<T>;

impl<T> AsyncFdRegisterError<T> {
    /// What was to be registered, and why it was not.
    pub fn into_parts(self) -> (T, io::Error) {
        (self.inner, self.cause)
    }
}

impl<T> fmt::Display for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl<T> fmt::Debug for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.cause, f)
    }
}

impl<T> Error for AsyncFdRegisterError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl<T> From<AsyncFdRegisterError<T>> for io::Error {
    fn from(error: AsyncFdRegisterError<T>) -> Self {
        error.cause
    }
}
