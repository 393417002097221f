//! TCP, as [`tokio::net::tcp`](https://docs.rs/tokio/1.54/tokio/net/tcp/).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, RawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use real::io::ReadBuf;
use threadlet::net::{self as ours, ToSocketAddrs};

use super::methods::{fill, halves, poll_ready, reads, ready, user_io, writes};
use crate::adapt::{around, descriptor, forward, makes, read, write};

around! {
    /// A socket that accepts connections.
    TcpListener, ours::TcpListener
}
descriptor!(TcpListener);

impl TcpListener {
    makes! { "net/struct.TcpListener.html" ours::TcpListener:
        async fn bind<A: ToSocketAddrs>(address: A);
        fn from_std(listener: std::net::TcpListener);
    }

    /// Waits for a connection.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((TcpStream(stream), peer))
    }

    /// [`accept`](Self::accept), to be polled.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.0.poll_accept(cx).map_ok(|(stream, peer)| (TcpStream(stream), peer))
    }

    forward! { "net/struct.TcpListener.html"
        fn into_std(self) -> io::Result<std::net::TcpListener>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn ttl(&self) -> io::Result<u32>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
    }
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    fn try_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }
}

around! {
    /// A connection.
    TcpStream, ours::TcpStream
}
descriptor!(TcpStream);
read!([] TcpStream);
write!([] TcpStream);

#[allow(deprecated, reason = "`set_linger`, in tokio too")]
impl TcpStream {
    makes! { "net/struct.TcpStream.html" ours::TcpStream:
        async fn connect<A: ToSocketAddrs>(address: A);
        fn from_std(stream: std::net::TcpStream);
    }

    ready!("net/struct.TcpStream.html");
    reads!("net/struct.TcpStream.html");
    writes!("net/struct.TcpStream.html");
    poll_ready!("net/struct.TcpStream.html" poll_read_ready, poll_write_ready);
    user_io!();

    forward! { "net/struct.TcpStream.html"
        fn into_std(self) -> io::Result<std::net::TcpStream>;
        async fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn nodelay(&self) -> io::Result<bool>;
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
        fn quickack(&self) -> io::Result<bool>;
        fn set_quickack(&self, quickack: bool) -> io::Result<()>;
        fn linger(&self) -> io::Result<Option<Duration>>;
        fn set_linger(&self, limit: Option<Duration>) -> io::Result<()>;
        fn set_zero_linger(&self) -> io::Result<()>;
        fn ttl(&self) -> io::Result<u32>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
    }

    /// Looks at what has come, and leaves it there.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let n = fill!(buf, self.0.poll_peek(cx, buf.initialize_unfilled()));
        Poll::Ready(Ok(n))
    }
}

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    fn try_from(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(stream)
    }
}

halves!(TcpStream, SocketAddr, "net/tcp/index.html");

macro_rules! peeks {
    ($($name:ty),+) => {$(
        impl $name {
            /// Looks at what has come, and leaves it there.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.peek(buf).await
            }

            /// [`peek`](Self::peek), to be polled.
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.0.poll_peek(cx, buf)
            }
        }
    )+};
}
peeks!(ReadHalf<'_>, OwnedReadHalf);

around! {
    /// A socket that is neither connected nor listening yet.
    TcpSocket, ours::TcpSocket
}
descriptor!(TcpSocket);

#[allow(deprecated, reason = "`set_linger`, in tokio too")]
impl TcpSocket {
    makes! { "net/struct.TcpSocket.html" ours::TcpSocket:
        fn new_v4();
        fn new_v6();
    }

    /// One of std's, not connected.
    pub fn from_std_stream(stream: std::net::TcpStream) -> TcpSocket {
        TcpSocket(ours::TcpSocket::from_std_stream(stream))
    }

    /// Connects it.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        self.0.connect(address).await.map(TcpStream)
    }

    /// Makes it a listener.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.0.listen(backlog).map(TcpListener)
    }

    forward! { "net/struct.TcpSocket.html"
        fn bind(&self, address: SocketAddr) -> io::Result<()>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
        fn keepalive(&self) -> io::Result<bool>;
        fn set_keepalive(&self, keepalive: bool) -> io::Result<()>;
        fn reuseaddr(&self) -> io::Result<bool>;
        fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()>;
        fn reuseport(&self) -> io::Result<bool>;
        fn set_reuseport(&self, reuseport: bool) -> io::Result<()>;
        fn send_buffer_size(&self) -> io::Result<u32>;
        fn set_send_buffer_size(&self, size: u32) -> io::Result<()>;
        fn recv_buffer_size(&self) -> io::Result<u32>;
        fn set_recv_buffer_size(&self, size: u32) -> io::Result<()>;
        fn linger(&self) -> io::Result<Option<Duration>>;
        fn set_linger(&self, limit: Option<Duration>) -> io::Result<()>;
        fn set_zero_linger(&self) -> io::Result<()>;
        fn nodelay(&self) -> io::Result<bool>;
        fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
        fn tclass_v6(&self) -> io::Result<u32>;
        fn set_tclass_v6(&self, class: u32) -> io::Result<()>;
        fn tos_v4(&self) -> io::Result<u32>;
        fn set_tos_v4(&self, tos: u32) -> io::Result<()>;
        fn device(&self) -> io::Result<Option<Vec<u8>>>;
        fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()>;
    }
}

impl IntoRawFd for TcpSocket {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}

#[allow(unsafe_code, reason = "the trait of std that says so")]
impl FromRawFd for TcpSocket {
    unsafe fn from_raw_fd(descriptor: RawFd) -> TcpSocket {
        use std::os::fd::OwnedFd;
        // SAFETY: the caller promises that it is open, and nobody else's.
        TcpSocket(unsafe { OwnedFd::from_raw_fd(descriptor) }.into())
    }
}
