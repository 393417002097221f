//! UDP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use real::io::ReadBuf;
use threadlet::net::{self as ours, ToSocketAddrs};

use super::methods::datagrams;
use crate::adapt::{around, descriptor, forward, makes};

around! {
    /// A socket that sends and receives datagrams.
    UdpSocket, ours::UdpSocket
}
descriptor!(UdpSocket);

impl UdpSocket {
    makes! { "net/struct.UdpSocket.html" ours::UdpSocket:
        async fn bind<A: ToSocketAddrs>(address: A);
        fn from_std(socket: std::net::UdpSocket);
    }
    datagrams!("net/struct.UdpSocket.html", SocketAddr);
    forward! { "net/struct.UdpSocket.html"
        fn into_std(self) -> io::Result<std::net::UdpSocket>;
        async fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()>;
        async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize>;
        fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>>;
        fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize>;
        async fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize>;
        async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
        async fn peek_sender(&self) -> io::Result<SocketAddr>;
        fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>>;
        fn try_peek_sender(&self) -> io::Result<SocketAddr>;
        fn broadcast(&self) -> io::Result<bool>;
        fn set_broadcast(&self, on: bool) -> io::Result<()>;
        fn multicast_loop_v4(&self) -> io::Result<bool>;
        fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()>;
        fn multicast_ttl_v4(&self) -> io::Result<u32>;
        fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()>;
        fn multicast_loop_v6(&self) -> io::Result<bool>;
        fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()>;
        fn tclass_v6(&self) -> io::Result<u32>;
        fn set_tclass_v6(&self, class: u32) -> io::Result<()>;
        fn ttl(&self) -> io::Result<u32>;
        fn set_ttl(&self, ttl: u32) -> io::Result<()>;
        fn tos_v4(&self) -> io::Result<u32>;
        fn set_tos_v4(&self, tos: u32) -> io::Result<()>;
        fn device(&self) -> io::Result<Option<Vec<u8>>>;
        fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()>;
        fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()>;
        fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()>;
        fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()>;
        fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()>;
    }

    /// Receives a datagram, and tells whose it is.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let (n, from) = ready!(self.0.poll_recv_from(cx, buf.initialize_unfilled()))?;
        buf.advance(n);
        Poll::Ready(Ok(from))
    }

    /// Looks at the next datagram, and leaves it there.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = ready!(self.0.poll_peek(cx, buf.initialize_unfilled()))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }

    /// Looks at the next datagram, and tells whose it is.
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let (n, from) = ready!(self.0.poll_peek_from(cx, buf.initialize_unfilled()))?;
        buf.advance(n);
        Poll::Ready(Ok(from))
    }
}

impl TryFrom<std::net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    fn try_from(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        UdpSocket::from_std(socket)
    }
}
