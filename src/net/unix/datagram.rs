//! `UnixDatagram`.

use std::io;
use std::net::Shutdown;
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll};

use socket2::{SockAddr, SockRef};

use super::addr::SocketAddr;
use super::socket::sock_addr;
use crate::context;
use crate::driver::{Direction, Evented, Handle, Ready};
use crate::net::datagram::{datagram_methods, receive_from_methods};
use crate::net::methods::descriptor_traits;

/// A Unix socket of datagrams. None is lost, and their order is kept: a receiver that is slow makes
/// senders wait.
///
/// # Cancel safety
///
/// Sending and receiving take effect in the poll that says so: cancelled while it waits, a
/// `recv` has taken no datagram and a `send` has sent none.
///
/// # Examples
///
/// ```
/// use threadlet::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let (here, there) = UnixDatagram::pair()?;
///     here.send(b"one").await?;
///     here.send(b"two").await?;
///     let mut buf = [0; 16];
///     assert_eq!(there.recv(&mut buf).await?, 3);
///     assert_eq!(&buf[..3], b"one");
///     Ok(())
/// })
/// # }
/// ```
pub struct UnixDatagram {
    io: Evented<mio::net::UnixDatagram>,
}

impl UnixDatagram {
    /// Binds a socket to a path, or, with a zero byte in front, to a name in the abstract
    /// namespace.
    ///
    /// # Errors
    ///
    /// Those of `bind`: [`AddrInUse`](io::ErrorKind::AddrInUse) if the path exists. That of the
    /// I/O driver, if this is the runtime's first socket.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        let handle = context::current_driver("a socket");
        let address = SocketAddr::from_path(path.as_ref())?;
        Self::with_handle(mio::net::UnixDatagram::bind_addr(&address.0)?, handle)
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
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let handle = context::current_driver("a socket");
        let (one, other) = mio::net::UnixDatagram::pair()?;
        Ok((Self::with_handle(one, handle.clone())?, Self::with_handle(other, handle)?))
    }

    /// A socket without a name.
    ///
    /// # Errors
    ///
    /// The system's: out of descriptors, for instance.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        let handle = context::current_driver("a socket");
        Self::with_handle(mio::net::UnixDatagram::unbound()?, handle)
    }

    pub(super) fn with_handle(socket: mio::net::UnixDatagram, handle: Handle) -> io::Result<Self> {
        Ok(UnixDatagram { io: Evented::with_room(Ready::EMPTY, socket, handle)? })
    }

    /// Adopts a socket of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// That of the I/O driver, if this is the runtime's first socket.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<UnixDatagram> {
        let handle = context::current_driver("a socket");
        socket.set_nonblocking(true)?;
        Self::with_handle(mio::net::UnixDatagram::from_std(socket), handle)
    }

    /// Turns this into a socket of the standard library. It is still non-blocking.
    pub fn into_std(self) -> io::Result<net::UnixDatagram> {
        self.io.into_inner().map(Into::into)
    }

    /// Sets the peer: where [`send`](Self::send) goes, and from where alone something is received.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        SockRef::from(self).connect(&destination(path.as_ref())?)
    }

    datagram_methods!(io);
    receive_from_methods!(SocketAddr, SocketAddr, SocketAddr::from_socket2, io);

    /// Sends a datagram to the socket at a path, or, with a zero byte in front, at a name in the
    /// abstract namespace. It waits while that one's queue is full.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing was sent.
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        let target = destination(target.as_ref())?;
        self.io.async_io(Direction::Write, |socket| send_to(socket, buf, &target)).await
    }

    /// The form of [`send_to`](Self::send_to) for hand-written futures. Only the last task to poll
    /// in this direction is woken.
    pub fn poll_send_to<P: AsRef<Path>>(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: P,
    ) -> Poll<io::Result<usize>> {
        let target = destination(target.as_ref())?;
        self.io.poll_io(Direction::Write, cx, |socket| send_to(socket, buf, &target))
    }

    /// As [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, and those of `sendto`.
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        let target = destination(target.as_ref())?;
        self.io.try_io(Direction::Write, |socket| send_to(socket, buf, &target))
    }

    /// The address this socket is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr().map(SocketAddr)
    }

    /// The peer that was set.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().peer_addr().map(SocketAddr)
    }

    /// Shuts down receiving, sending or both, at once and for all copies of this socket.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get().shutdown(how)
    }
}

fn destination(path: &Path) -> io::Result<SockAddr> {
    sock_addr(&SocketAddr::from_path(path)?)
}

fn send_to(socket: &mio::net::UnixDatagram, buf: &[u8], target: &SockAddr) -> io::Result<usize> {
    SockRef::from(socket).send_to(buf, target)
}

descriptor_traits!(UnixDatagram, io);

/// As [`UnixDatagram::from_std`], panic included.
impl TryFrom<net::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    fn try_from(socket: net::UnixDatagram) -> io::Result<Self> {
        UnixDatagram::from_std(socket)
    }
}
