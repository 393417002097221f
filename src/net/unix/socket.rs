//! `UnixSocket`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::addr::SocketAddr;
use super::datagram::UnixDatagram;
use super::listener::UnixListener;
use super::stream::UnixStream;
use crate::context;

/// A Unix socket that is neither connected nor listening yet.
///
/// # Examples
///
/// ```
/// use threadlet::net::{UnixSocket, UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let name = format!("\0another example {}", std::process::id());
///     let socket = UnixSocket::new_stream()?;
///     socket.bind(&name)?;
///     let listener = socket.listen(16)?;
///     let _client = UnixStream::connect(&name).await?;
///     listener.accept().await?;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixSocket {
    socket: Socket,
}

impl UnixSocket {
    /// A socket of datagrams.
    ///
    /// # Errors
    ///
    /// The system's: out of descriptors, for instance.
    pub fn new_datagram() -> io::Result<UnixSocket> {
        Self::new(Type::DGRAM)
    }

    /// A socket of streams.
    ///
    /// # Errors
    ///
    /// The system's: out of descriptors, for instance.
    pub fn new_stream() -> io::Result<UnixSocket> {
        Self::new(Type::STREAM)
    }

    fn new(kind: Type) -> io::Result<UnixSocket> {
        Ok(UnixSocket { socket: Socket::new(Domain::UNIX, kind.nonblocking(), None)? })
    }

    /// Binds it to a path, or, with a zero byte in front, to a name in the abstract namespace.
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket.bind(&sock_addr(&SocketAddr::from_path(path.as_ref())?)?)
    }

    /// Listens, with room for `backlog` connections that nobody has accepted yet.
    ///
    /// # Errors
    ///
    /// Those of `listen`; that this is a socket of datagrams; that of the I/O driver, if this is
    /// the runtime's first socket.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        let handle = context::current_driver("a socket");
        self.demand(Type::STREAM, "listen cannot be called on a datagram socket")?;
        self.socket.listen(backlog.try_into().unwrap_or(i32::MAX))?;
        UnixListener::with_handle(mio::net::UnixListener::from_std(self.socket.into()), handle)
    }

    /// Connects, as [`UnixStream::connect`] does, cancel safety and panics included.
    ///
    /// # Errors
    ///
    /// Those of `connect`; that this is a socket of datagrams.
    pub async fn connect(self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        self.demand(Type::STREAM, "connect cannot be called on a datagram socket")?;
        let to = sock_addr(&SocketAddr::from_path(path.as_ref())?)?;
        UnixStream::connect_socket(self.socket, to).await
    }

    /// Makes it a socket of datagrams.
    ///
    /// # Errors
    ///
    /// That this is a socket of streams; that of the I/O driver, if this is the runtime's first
    /// socket.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        let handle = context::current_driver("a socket");
        self.demand(Type::DGRAM, "datagram cannot be called on a stream socket")?;
        UnixDatagram::with_handle(mio::net::UnixDatagram::from_std(self.socket.into()), handle)
    }

    fn demand(&self, kind: Type, refusal: &'static str) -> io::Result<()> {
        if self.socket.r#type()? == kind { Ok(()) } else { Err(io::Error::other(refusal)) }
    }
}

/// The address as socket2 has it.
pub(super) fn sock_addr(address: &SocketAddr) -> io::Result<SockAddr> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SockAddr::unix(path),
        (_, Some(name)) => {
            use std::os::unix::ffi::OsStrExt;
            let name = [b"\0", name].concat();
            SockAddr::unix(std::ffi::OsStr::from_bytes(&name))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "an address without a name")),
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UnixSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl IntoRawFd for UnixSocket {
    fn into_raw_fd(self) -> RawFd {
        self.socket.into_raw_fd()
    }
}

impl From<OwnedFd> for UnixSocket {
    fn from(fd: OwnedFd) -> Self {
        UnixSocket { socket: fd.into() }
    }
}
