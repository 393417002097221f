//! `TcpStream`.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;

use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::context;
use crate::driver::{self, Direction, Evented, Handle, Ready};
use crate::net::addr::{ToSocketAddrs, addresses};
use crate::net::buf::PollBuf;
use crate::net::halves::close_write;
use crate::net::methods::{
    async_read, async_write, descriptor_traits, poll_ready_method, readable_method, ready_method,
    take_error_method, try_read_methods, try_write_methods, user_io_methods, writable_method,
};

/// A TCP connection.
///
/// Reading and writing are [`AsyncRead`](futures::io::AsyncRead) and
/// [`AsyncWrite`](futures::io::AsyncWrite) of `futures-io`, on the stream, on a
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
/// Without a buffer while the peer says nothing:
///
/// ```
/// use std::io::ErrorKind::WouldBlock;
/// use threadlet::net::TcpStream;
///
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
///
/// Both ends:
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
    pub(super) io: Evented<mio::net::TcpStream>,
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
        Self::connecting(mio::net::TcpStream::connect(address)?, handle).await
    }

    /// Waits for the end of an attempt that is under way.
    pub(super) async fn connecting(
        stream: mio::net::TcpStream,
        handle: Handle,
    ) -> io::Result<Self> {
        let stream = Self::with_handle(stream, handle)?;
        // Not tried at once: a socket whose connection is under way would be asked in vain.
        stream.writable().await?;
        stream.io.async_io(Direction::Write, connected).await?;
        Ok(stream)
    }

    pub(super) fn with_handle(stream: mio::net::TcpStream, handle: Handle) -> io::Result<Self> {
        Ok(Self { io: Evented::with_handle(stream, driver::TCP, handle)? })
    }

    /// One of a listener's: there is room, and the peer speaks first as a rule.
    pub(super) fn accepted(stream: mio::net::TcpStream, handle: Handle) -> io::Result<Self> {
        let ready = Ready::READABLE | Ready::WRITABLE;
        Ok(Self { io: Evented::taken_for(ready, stream, driver::TCP, handle)? })
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
    pub fn poll_peek<B: PollBuf + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        let room = buf.room();
        if room.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let peeked = self.io.poll_io(Direction::Read, cx, |stream| stream.peek(room));
        peeked.map_ok(|count| {
            buf.filled(count);
            count
        })
    }

    ready_method!(io);
    readable_method!(io);
    writable_method!(io);
    poll_ready_method!(poll_read_ready, Read, "there is something to read", io);
    poll_ready_method!(poll_write_ready, Write, "there is room to write", io);
    try_read_methods!(io);
    try_write_methods!(io);
    user_io_methods!(io);
    take_error_method!(io);

    /// Shuts down reading, writing or both, at once and for all copies of this socket. (The name
    /// `shutdown` is that of `AsyncWriteExt`, which ends writing alone.)
    pub fn shutdown_std(&self, how: Shutdown) -> io::Result<()> {
        self.io.get().shutdown(how)
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown_std(Shutdown::Write)
    }

    /// Whether small writes are sent without delay (`TCP_NODELAY`).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get().nodelay()
    }

    /// Sends small writes without delay, or lets the system collect them (`TCP_NODELAY`).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get().set_nodelay(nodelay)
    }

    /// Whether what arrives is acknowledged at once (`TCP_QUICKACK`).
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_quickack()
    }

    /// Acknowledges what arrives at once, or later with what is sent (`TCP_QUICKACK`). The system
    /// may change this again by itself.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(quickack)
    }

    /// How long the socket lives on behind a close to send what it still has (`SO_LINGER`).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets how long a close *waits*, on the thread that drops the socket, for what is still to be
    /// sent (`SO_LINGER`). Zero is [`set_zero_linger`](Self::set_zero_linger), and does not wait.
    #[deprecated(note = "the close blocks its thread: use `set_zero_linger`, or leave it unset")]
    pub fn set_linger(&self, limit: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(limit)
    }

    /// Makes a close throw away what was not sent, and reset the connection.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
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
        split::split(self)
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
        split::split_owned(self)
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

/// As [`TcpStream::from_std`], panic included.
impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    fn try_from(stream: std::net::TcpStream) -> io::Result<Self> {
        TcpStream::from_std(stream)
    }
}

/// For those who take a stream or a half of one.
impl AsRef<TcpStream> for TcpStream {
    fn as_ref(&self) -> &TcpStream {
        self
    }
}

descriptor_traits!(TcpStream, io);
async_read!([] TcpStream, io);
async_read!([] & TcpStream, io);
async_write!([] TcpStream, io, close_write!(mio::net::TcpStream));
async_write!([] & TcpStream, io, close_write!(mio::net::TcpStream));
