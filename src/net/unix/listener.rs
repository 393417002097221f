//! `UnixListener`.

use std::io;
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll, ready};

use socket2::{SockAddr, SockRef, Socket};

use super::addr::SocketAddr;
use super::stream::UnixStream;
use crate::context;
use crate::driver::{Direction, Evented, Handle, Interest};
use crate::net::exhausted::Exhausted;
use crate::net::methods::{descriptor_traits, take_error_method};

/// A Unix socket that listens for connections.
///
/// The path stays when this is dropped, and cannot be bound again until somebody removes it.
///
/// # Examples
///
/// ```
/// use futures::io::{AsyncReadExt, AsyncWriteExt};
/// use threadlet::net::{UnixListener, UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     // A zero byte in front: a name in the abstract namespace, which leaves no file behind.
///     let name = format!("\0an example {}", std::process::id());
///     let listener = UnixListener::bind(&name)?;
///     let mut client = UnixStream::connect(&name).await?;
///     let (mut server, _) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     client.close().await?;
///     let mut text = String::new();
///     server.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     assert_eq!(server.peer_cred()?.pid(), Some(std::process::id() as i32));
///     Ok(())
/// })
/// # }
/// ```
pub struct UnixListener {
    io: Evented<mio::net::UnixListener>,
    exhausted: Exhausted,
}

impl UnixListener {
    /// Listens at a path, or, with a zero byte in front, at a name in the abstract namespace.
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
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        Self::bind_addr(&SocketAddr::from_path(path.as_ref())?)
    }

    /// As [`bind`](Self::bind), by an address.
    #[track_caller]
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        let handle = context::current_driver("a socket");
        Self::with_handle(mio::net::UnixListener::bind_addr(&address.0)?, handle)
    }

    pub(super) fn with_handle(
        listener: mio::net::UnixListener,
        handle: Handle,
    ) -> io::Result<Self> {
        let io = Evented::with_handle(listener, Interest::READABLE, handle)?;
        Ok(UnixListener { io, exhausted: Exhausted::new() })
    }

    /// Adopts a listener of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// That of the I/O driver, if this is the runtime's first socket.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(listener: net::UnixListener) -> io::Result<UnixListener> {
        let handle = context::current_driver("a socket");
        listener.set_nonblocking(true)?;
        Self::with_handle(mio::net::UnixListener::from_std(listener), handle)
    }

    /// Turns this into a listener of the standard library. It is still non-blocking.
    pub fn into_std(self) -> io::Result<net::UnixListener> {
        self.io.into_inner().map(Into::into)
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr().map(SocketAddr)
    }

    take_error_method!(io);

    /// Waits for a connection and returns it with the peer's address, which mostly has no name.
    ///
    /// Any number of tasks may wait at a time. An error concerns one connection or the process (out
    /// of descriptors, say), not the listener: it can be asked again. Behind an error for want of
    /// descriptors or memory the next call waits for 50 ms first, so that a loop takes no CPU.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, no connection is lost.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.exhausted.pause(self.io.handle()).await;
        let accepted = self.io.async_io(Direction::Read, accept).await;
        self.adopt(self.exhausted.note(accepted)?)
    }

    /// The form of [`accept`](Self::accept) for hand-written futures, pause included. Only the last
    /// task to poll is woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        ready!(self.exhausted.poll_pause(self.io.handle(), cx));
        let accepted = ready!(self.io.poll_io(Direction::Read, cx, accept));
        Poll::Ready(self.adopt(self.exhausted.note(accepted)?))
    }

    /// A connection belongs to the runtime of its listener.
    fn adopt(&self, accepted: (Socket, SockAddr)) -> io::Result<(UnixStream, SocketAddr)> {
        let stream = mio::net::UnixStream::from_std(accepted.0.into());
        let stream = UnixStream::accepted(stream, self.io.handle().clone())?;
        Ok((stream, SocketAddr::from_socket2(accepted.1)?))
    }
}

/// By socket2: mio takes the peer's address for a path in any case.
fn accept(listener: &mio::net::UnixListener) -> io::Result<(Socket, SockAddr)> {
    SockRef::from(listener).accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
}

descriptor_traits!(UnixListener, io);

/// As [`UnixListener::from_std`], panic included.
impl TryFrom<net::UnixListener> for UnixListener {
    type Error = io::Error;

    fn try_from(listener: net::UnixListener) -> io::Result<Self> {
        UnixListener::from_std(listener)
    }
}
