//! `UnixStream`.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::addr::SocketAddr;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::ucred::UCred;
use crate::context;
use crate::driver::{Evented, Handle, Ready};
use crate::net::halves::close_write;
use crate::net::methods::{
    async_read, async_write, descriptor_traits, poll_ready_method, readable_method, ready_method,
    take_error_method, try_read_methods, try_write_methods, user_io_methods, writable_method,
};
use crate::sys;

/// A Unix stream socket.
///
/// It is used as a [`TcpStream`](crate::net::TcpStream) is: the traits of `futures-io` are on the
/// stream, on a reference to it and on its halves; of several tasks that wait in `poll_read` only
/// the last is woken, and likewise for `poll_write`; `close` shuts down writing.
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
/// use threadlet::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let (mut here, mut there) = UnixStream::pair()?;
///     here.write_all(b"hello").await?;
///     let mut text = [0; 5];
///     there.read_exact(&mut text).await?;
///     assert_eq!(&text, b"hello");
///     Ok(())
/// })
/// # }
/// ```
pub struct UnixStream {
    pub(super) io: Evented<mio::net::UnixStream>,
}

impl UnixStream {
    /// Connects to the socket at a path, or, with a zero byte in front, at a name in the abstract
    /// namespace.
    ///
    /// While the listener's queue is full this waits, in a call that blocks: the runtime's other
    /// tasks go on.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the attempt is given up; one that waits for room in the queue goes on until there
    /// is, and its connection is closed then.
    ///
    /// # Errors
    ///
    /// Those of `connect`, and that of the I/O driver if this is the runtime's first socket.
    ///
    /// # Panics
    ///
    /// If the future is polled outside a runtime.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        let address = SocketAddr::from_path(path.as_ref())?;
        Self::connect_addr(&address).await
    }

    /// As [`connect`](Self::connect), by an address. Cancel safety is the same.
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        Self::connect_socket(socket, super::socket::sock_addr(address)?).await
    }

    /// Connects a socket that does not block.
    pub(super) async fn connect_socket(socket: Socket, to: SockAddr) -> io::Result<UnixStream> {
        let handle = context::current_driver("a socket");
        let socket = match socket.connect(&to) {
            Ok(()) => socket,
            // The queue is full, and nobody tells when it no longer is: only a call that blocks
            // waits for that.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                crate::task::spawn_blocking(move || {
                    socket.set_nonblocking(false)?;
                    socket.connect(&to)?;
                    socket.set_nonblocking(true)?;
                    io::Result::Ok(socket)
                })
                .await??
            }
            Err(error) => return Err(error),
        };
        Self::with_handle(mio::net::UnixStream::from_std(socket.into()), handle)
    }

    pub(super) fn with_handle(stream: mio::net::UnixStream, handle: Handle) -> io::Result<Self> {
        Ok(UnixStream { io: Evented::with_room(Ready::EMPTY, stream, handle)? })
    }

    /// One of a listener's: the peer speaks first as a rule.
    pub(super) fn accepted(stream: mio::net::UnixStream, handle: Handle) -> io::Result<Self> {
        Ok(UnixStream { io: Evented::with_room(Ready::READABLE, stream, handle)? })
    }

    /// A connected pair.
    ///
    /// # Errors
    ///
    /// The system's: out of descriptors, for instance.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let handle = context::current_driver("a socket");
        let (one, other) = mio::net::UnixStream::pair()?;
        Ok((Self::with_handle(one, handle.clone())?, Self::with_handle(other, handle)?))
    }

    /// Adopts a stream of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// That of the I/O driver, if this is the runtime's first socket.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(stream: net::UnixStream) -> io::Result<UnixStream> {
        let handle = context::current_driver("a socket");
        stream.set_nonblocking(true)?;
        Self::with_handle(mio::net::UnixStream::from_std(stream), handle)
    }

    /// Turns this into a stream of the standard library. It is still non-blocking.
    pub fn into_std(self) -> io::Result<net::UnixStream> {
        self.io.into_inner().map(Into::into)
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

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr().map(SocketAddr)
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().peer_addr().map(SocketAddr)
    }

    /// Who the peer was when the connection was made.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        let peer = sys::socket::peer(self.as_fd())?;
        Ok(UCred { pid: peer.pid, uid: peer.uid, gid: peer.gid })
    }

    /// Shuts down reading, writing or both, at once and for all copies of this socket. (The name
    /// `shutdown` is that of `AsyncWriteExt`, which ends writing alone.)
    pub fn shutdown_std(&self, how: Shutdown) -> io::Result<()> {
        self.io.get().shutdown(how)
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown_std(Shutdown::Write)
    }

    /// Splits into two halves that borrow the stream, for two futures in one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Splits into two halves that own the stream together, for two tasks.
    /// [`OwnedReadHalf::reunite`] undoes it. Dropping the writing half shuts down writing.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::split_owned(self)
    }
}

/// As [`UnixStream::from_std`], panic included.
impl TryFrom<net::UnixStream> for UnixStream {
    type Error = io::Error;

    fn try_from(stream: net::UnixStream) -> io::Result<Self> {
        UnixStream::from_std(stream)
    }
}

/// For those who take a stream or a half of one.
impl AsRef<UnixStream> for UnixStream {
    fn as_ref(&self) -> &UnixStream {
        self
    }
}

descriptor_traits!(UnixStream, io);
async_read!([] UnixStream, io);
async_read!([] & UnixStream, io);
async_write!([] UnixStream, io, close_write!(mio::net::UnixStream));
async_write!([] & UnixStream, io, close_write!(mio::net::UnixStream));
