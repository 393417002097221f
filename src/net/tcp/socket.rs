//! `TcpSocket`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::listener::TcpListener;
use super::stream::TcpStream;
use crate::context;
use crate::net::methods::option_methods;

/// A TCP socket that is neither connected nor listening yet, for setting options first.
///
/// # Examples
///
/// ```
/// use threadlet::net::TcpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuseaddr(true)?;
///     socket.bind("127.0.0.1:0".parse().unwrap())?;
///     let listener = socket.listen(1024)?;
///     let client = TcpSocket::new_v4()?;
///     client.set_recv_buffer_size(64 * 1024)?;
///     let client = client.connect(listener.local_addr()?).await?;
///     assert_eq!(listener.accept().await?.1, client.local_addr()?);
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpSocket {
    socket: Socket,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// The system's: out of descriptors, for instance.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    ///
    /// The system's: out of descriptors, or there is no IPv6 here.
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        let kind = Type::STREAM.nonblocking().cloexec();
        Ok(TcpSocket { socket: Socket::new_raw(domain, kind, Some(Protocol::TCP))? })
    }

    /// Takes over a socket of the standard library, made by other means and not connected. It is
    /// made non-blocking by [`connect`](Self::connect) and [`listen`](Self::listen).
    pub fn from_std_stream(stream: std::net::TcpStream) -> TcpSocket {
        TcpSocket { socket: stream.into() }
    }

    option_methods!(
        keepalive,
        set_keepalive,
        bool,
        keepalive,
        set_keepalive,
        "whether an idle connection is probed (`SO_KEEPALIVE`)"
    );
    option_methods!(
        reuseaddr,
        set_reuseaddr,
        bool,
        reuse_address,
        set_reuse_address,
        "whether an address may be bound that lingers from an earlier connection (`SO_REUSEADDR`)"
    );
    option_methods!(
        reuseport,
        set_reuseport,
        bool,
        reuse_port,
        set_reuse_port,
        "whether several sockets may be bound to one address (`SO_REUSEPORT`)"
    );
    option_methods!(
        nodelay,
        set_nodelay,
        bool,
        tcp_nodelay,
        set_tcp_nodelay,
        "whether small writes are sent without delay (`TCP_NODELAY`)"
    );
    option_methods!(
        tclass_v6,
        set_tclass_v6,
        u32,
        tclass_v6,
        set_tclass_v6,
        "the traffic class of IPv6 packets (`IPV6_TCLASS`)"
    );
    option_methods!(
        tos_v4,
        set_tos_v4,
        u32,
        tos_v4,
        set_tos_v4,
        "the type of service of IPv4 packets (`IP_TOS`)"
    );

    /// The former name of [`tos_v4`](Self::tos_v4).
    #[deprecated(note = "`tos_v4` says for which packets")]
    pub fn tos(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// The former name of [`set_tos_v4`](Self::set_tos_v4).
    #[deprecated(note = "`set_tos_v4` says for which packets")]
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        self.set_tos_v4(tos)
    }

    /// The size of the system's buffer for what is to be sent, in bytes. It doubles what was set.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.socket.send_buffer_size().map(|size| size as u32)
    }

    /// Sets the size of the system's buffer for what is to be sent, in bytes.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.socket.set_send_buffer_size(size as usize)
    }

    /// The size of the system's buffer for what has come, in bytes. It doubles what was set.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.socket.recv_buffer_size().map(|size| size as u32)
    }

    /// Sets the size of the system's buffer for what has come, in bytes. Before a connection is
    /// made, since it bounds the window that is offered then.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.socket.set_recv_buffer_size(size as usize)
    }

    /// How long a close waits for what is still to be sent (`SO_LINGER`).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.linger()
    }

    /// As [`TcpStream::set_linger`].
    #[deprecated(note = "the close blocks its thread: use `set_zero_linger`, or leave it unset")]
    pub fn set_linger(&self, limit: Option<Duration>) -> io::Result<()> {
        self.socket.set_linger(limit)
    }

    /// Makes a close throw away what was not sent, and reset the connection.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
    }

    /// The interface it is bound to by name (`SO_BINDTODEVICE`).
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.socket.device()
    }

    /// Binds it to an interface by name, or, with `None`, to none (`SO_BINDTODEVICE`).
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.socket.bind_device(interface)
    }

    /// The address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(&self.socket.local_addr()?)
    }

    /// Takes the pending error of the socket (`SO_ERROR`), if there is one.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Binds it to an address; port 0 lets the system choose.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(&address.into())
    }

    /// Connects.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the attempt is given up and the socket closed. The peer may already have seen the
    /// connection.
    ///
    /// # Errors
    ///
    /// Those of `connect`, and that of the I/O driver if this is the runtime's first socket.
    ///
    /// # Panics
    ///
    /// If the future is polled outside a runtime.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let handle = context::current_driver("a socket");
        self.socket.set_nonblocking(true)?;
        match self.socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let stream = mio::net::TcpStream::from_std(self.socket.into());
        TcpStream::connecting(stream, handle).await
    }

    /// Listens, with room for `backlog` connections that nobody has accepted yet.
    ///
    /// # Errors
    ///
    /// Those of `listen`, and that of the I/O driver if this is the runtime's first socket.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let handle = context::current_driver("a socket");
        self.socket.set_nonblocking(true)?;
        self.socket.listen(backlog.try_into().unwrap_or(i32::MAX))?;
        TcpListener::with_handle(mio::net::TcpListener::from_std(self.socket.into()), handle)
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

/// An address of the internet; there is no other on such a socket.
fn internet(address: &socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "this is no socket of IPv4 or IPv6")
    })
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl IntoRawFd for TcpSocket {
    fn into_raw_fd(self) -> RawFd {
        self.socket.into_raw_fd()
    }
}

impl From<OwnedFd> for TcpSocket {
    fn from(fd: OwnedFd) -> Self {
        TcpSocket { socket: fd.into() }
    }
}
