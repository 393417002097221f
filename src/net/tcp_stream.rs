//! `TcpStream`.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};
use mio::Interest;

use super::addr::{ToSocketAddrs, addresses};
use super::split::{ReadHalf, WriteHalf};
use super::split_owned::{OwnedReadHalf, OwnedWriteHalf, split_owned};
use crate::context;
use crate::driver::{Direction, Evented, Handle};

/// A TCP connection.
///
/// Reading and writing are [`AsyncRead`] and [`AsyncWrite`] of `futures-io`, on the stream, on a
/// reference to it, and on the halves that [`split`](Self::split) and
/// [`into_split`](Self::into_split) make. Writes are not buffered here, so `flush` does nothing;
/// `close` shuts down the writing direction. Dropping the last part closes the connection.
///
/// One task may read while another one writes. Of several tasks that wait in `poll_read` (or
/// `poll_peek`) of one stream only the last is woken, and likewise for `poll_write`. Any number may
/// wait in [`readable`](Self::readable), [`writable`](Self::writable) and [`peek`](Self::peek).
///
/// # Cancel safety
///
/// A read or write moves bytes only in the poll that says so: cancelled while it waits, it has
/// moved none. Helpers made of several (`read_exact`, `write_all`) lose count if they are
/// cancelled.
///
/// # Examples
///
/// ```
/// use futures::io::{AsyncReadExt, AsyncWriteExt};
/// use threadlet::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     client.close().await?;
///     let mut text = String::new();
///     server.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpStream {
    io: Evented<mio::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `address`; of several, to the first that answers.
    ///
    /// A host name is looked up, which may take seconds; a literal address is not.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the attempt is given up and its socket closed. The peer may already have seen the
    /// connection.
    ///
    /// # Errors
    ///
    /// The error of the last address tried, which may be that of the I/O driver: it needs three
    /// descriptors of its own for the first socket of a runtime;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not an address at all.
    ///
    /// # Panics
    ///
    /// Panics if the future is polled outside a runtime.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures::io::{AsyncReadExt, AsyncWriteExt};
    /// use threadlet::net::TcpStream;
    ///
    /// async fn ask() -> std::io::Result<String> {
    ///     let mut stream = TcpStream::connect("example.org:80").await?;
    ///     stream.write_all(b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n").await?;
    ///     let mut answer = String::new();
    ///     stream.read_to_string(&mut answer).await?;
    ///     Ok(answer)
    /// }
    ///
    /// println!("{}", threadlet::block_on(ask()).unwrap());
    /// ```
    pub async fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let handle = context::current_driver("a socket");
        let mut last = None;
        for address in addresses(address).await? {
            match Self::connect_to(address, handle.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one address"))
    }

    async fn connect_to(address: SocketAddr, handle: Handle) -> io::Result<Self> {
        let stream = Self::with_handle(mio::net::TcpStream::connect(address)?, handle)?;
        // Not tried at once: a socket whose connection is under way would be asked in vain.
        stream.writable().await?;
        stream.io.async_io(Direction::Write, connected).await?;
        Ok(stream)
    }

    pub(super) fn with_handle(stream: mio::net::TcpStream, handle: Handle) -> io::Result<Self> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(Self { io: Evented::with_handle(stream, interest, handle)? })
    }

    /// Adopts a stream of the standard library, and makes it non-blocking.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        let handle = context::current_driver("a socket");
        stream.set_nonblocking(true)?;
        Self::with_handle(mio::net::TcpStream::from_std(stream), handle)
    }

    /// Turns this into a stream of the standard library. It is still non-blocking; see
    /// [`set_nonblocking`](std::net::TcpStream::set_nonblocking).
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.io.into_inner().map(Into::into)
    }

    /// Reads without taking the bytes out. 0 is the end of the stream (or an empty buffer).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.io.async_io(Direction::Read, |stream| stream.peek(buf)).await
    }

    /// The form of [`peek`](Self::peek) for hand-written futures. Only the last task to poll this
    /// or a read is woken.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_io(Direction::Read, cx, |stream| stream.peek(buf))
    }

    /// Waits until there is something to read: bytes, the end, or an error.
    ///
    /// It may be wrong: [`try_read`](Self::try_read) can still say `WouldBlock`, after which this
    /// waits again.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened: the readiness is still there for the next call.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::ErrorKind::WouldBlock;
    /// use threadlet::net::TcpStream;
    ///
    /// /// Has no buffer while the peer says nothing.
    /// async fn read_some(stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    ///     loop {
    ///         stream.readable().await?;
    ///         let mut buffer = vec![0; 4096];
    ///         match stream.try_read(&mut buffer) {
    ///             Ok(n) => {
    ///                 buffer.truncate(n);
    ///                 return Ok(buffer);
    ///             }
    ///             Err(error) if error.kind() == WouldBlock => {}
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.io.ready(Direction::Read).await
    }

    /// Waits until there is room to write, or an error.
    ///
    /// It may be wrong: [`try_write`](Self::try_write) can still say `WouldBlock`, after which this
    /// waits again.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened: the readiness is still there for the next call.
    pub async fn writable(&self) -> io::Result<()> {
        self.io.ready(Direction::Write).await
    }

    /// Reads what is there, without waiting. 0 is the end of the stream (or an empty buffer).
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing yet.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.io.try_io(Direction::Read, |mut stream| stream.read(buf))
    }

    /// Writes what there is room for, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.try_io(Direction::Write, |mut stream| stream.write(buf))
    }

    /// Shuts down reading, writing or both, at once and for all copies of this socket.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get().shutdown(how)
    }

    /// Whether small writes are sent without delay (`TCP_NODELAY`).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get().nodelay()
    }

    /// Sends small writes without delay, or lets the system collect them (`TCP_NODELAY`).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get().set_nodelay(nodelay)
    }

    /// The time to live of packets sent from this socket.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get().ttl()
    }

    /// Sets the time to live of packets sent from this socket.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get().set_ttl(ttl)
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().peer_addr()
    }

    /// Takes the pending error of the socket (`SO_ERROR`).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get().take_error()
    }

    /// Splits into two halves that borrow the stream, for two futures in one task.
    ///
    /// With `AsyncReadExt` of `futures` in scope, `stream.split()` means that trait's method, whose
    /// halves share a lock. Write `TcpStream::split(&mut stream)` for this one.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::net::TcpStream;
    ///
    /// /// Sends back what it receives.
    /// async fn echo(mut stream: TcpStream) -> std::io::Result<u64> {
    ///     let (reader, mut writer) = TcpStream::split(&mut stream);
    ///     futures::io::copy(reader, &mut writer).await
    /// }
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf { stream: self }, WriteHalf { stream: self })
    }

    /// Splits into two halves that own the stream together, for two tasks.
    /// [`OwnedReadHalf::reunite`] undoes it. Dropping the writing half shuts down writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::io::{AsyncReadExt, AsyncWriteExt};
    /// use threadlet::net::TcpStream;
    ///
    /// /// Reads in a task of its own, so that neither direction waits for the other.
    /// async fn talk(stream: TcpStream) -> std::io::Result<usize> {
    ///     let (mut reader, mut writer) = stream.into_split();
    ///     let reading = threadlet::spawn(async move {
    ///         let mut all = Vec::new();
    ///         reader.read_to_end(&mut all).await
    ///     });
    ///     writer.write_all(b"hello").await?;
    ///     writer.close().await?;
    ///     reading.await?
    /// }
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split_owned(self)
    }
}

/// Whether a connection attempt is over, and how. A source may be called writable while the attempt
/// is still under way; then the peer's address is not known yet.
fn connected(stream: &mio::net::TcpStream) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get().as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get().as_raw_fd()
    }
}

impl AsyncRead for &TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_io(Direction::Read, cx, |mut stream| stream.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_io(Direction::Read, cx, |mut stream| stream.read_vectored(bufs))
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_io(Direction::Write, cx, |mut stream| stream.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_io(Direction::Write, cx, |mut stream| stream.write_vectored(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.shutdown(Shutdown::Write) {
            // The peer has already gone: what was wanted is the case.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}

/// Forwards reading to `&TcpStream`; `$self` gives the reference.
macro_rules! forward_read {
    ([$($life:tt)*] $type:ty, |$this:ident| $stream:expr) => {
        impl $($life)* futures::io::AsyncRead for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                std::pin::Pin::new(&mut $stream).poll_read(cx, buf)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                std::pin::Pin::new(&mut $stream).poll_read_vectored(cx, bufs)
            }
        }
    };
}

/// Forwards writing to `&TcpStream`.
macro_rules! forward_write {
    ([$($life:tt)*] $type:ty, |$this:ident| $stream:expr) => {
        impl $($life)* futures::io::AsyncWrite for $type {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                std::pin::Pin::new(&mut $stream).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                std::pin::Pin::new(&mut $stream).poll_write_vectored(cx, bufs)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = &*self;
                std::pin::Pin::new(&mut $stream).poll_flush(cx)
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = &*self;
                std::pin::Pin::new(&mut $stream).poll_close(cx)
            }
        }
    };
}

pub(super) use {forward_read, forward_write};

forward_read!([] TcpStream, |this| &*this);
forward_write!([] TcpStream, |this| &*this);
