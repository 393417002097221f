//! `UdpSocket`.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use socket2::SockRef;

use super::addr::{ToSocketAddrs, addresses};
use super::buf::PollBuf;
use super::datagram::{datagram_methods, receive_from_methods};
use super::methods::{descriptor_traits, option_methods};
use crate::context;
use crate::driver::{Direction, Evented, Handle, Ready};

/// A UDP socket.
///
/// It can be used as it is by any number of tasks, by reference or in an `Arc`: of those that wait
/// in the async functions none forgets another.
///
/// # Cancel safety
///
/// Sending and receiving take effect in the poll that says so: cancelled while it waits, a
/// `recv` has taken no datagram and a `send` has sent none.
///
/// # Examples
///
/// ```
/// use threadlet::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.connect(server.local_addr()?).await?;
///     client.send(b"hello").await?;
///     let mut buf = [0; 1500];
///     let (n, from) = server.recv_from(&mut buf).await?;
///     assert_eq!((&buf[..n], from), (&b"hello"[..], client.local_addr()?));
///     Ok(())
/// })
/// # }
/// ```
pub struct UdpSocket {
    io: Evented<mio::net::UdpSocket>,
}

impl UdpSocket {
    /// Binds a socket to `address`, or to the first of several that works. Port 0 lets the system
    /// choose; [`local_addr`](Self::local_addr) tells.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing is bound.
    ///
    /// # Errors
    ///
    /// The error of the last address tried, or that of the I/O driver, which needs three
    /// descriptors of its own for the first socket of a runtime;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not an address at all.
    ///
    /// # Panics
    ///
    /// If the future is polled outside a runtime.
    pub async fn bind<A: ToSocketAddrs>(address: A) -> io::Result<UdpSocket> {
        let handle = context::current_driver("a socket");
        let mut last = None;
        for address in addresses(address).await? {
            match mio::net::UdpSocket::bind(address) {
                Ok(socket) => return Self::with_handle(socket, handle),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one address"))
    }

    fn with_handle(socket: mio::net::UdpSocket, handle: Handle) -> io::Result<Self> {
        Ok(UdpSocket { io: Evented::with_room(Ready::EMPTY, socket, handle)? })
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
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        let handle = context::current_driver("a socket");
        socket.set_nonblocking(true)?;
        Self::with_handle(mio::net::UdpSocket::from_std(socket), handle)
    }

    /// Turns this into a socket of the standard library. It is still non-blocking.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.io.into_inner().map(Into::into)
    }

    /// Sets the peer: where [`send`](Self::send) goes, and from where alone something is received.
    ///
    /// # Cancel safety
    ///
    /// Cancelled while a name is looked up, nothing has happened.
    ///
    /// # Errors
    ///
    /// The error of the last address tried;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not an address at all.
    pub async fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()> {
        let mut last = None;
        for address in addresses(address).await? {
            match self.io.get().connect(address) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one address"))
    }

    datagram_methods!(io);
    receive_from_methods!(SocketAddr, |from| from, internet, io);

    /// Sends a datagram to `target`, or to the first of its addresses.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing was sent.
    ///
    /// # Errors
    ///
    /// Those of `sendto`; [`InvalidInput`](io::ErrorKind::InvalidInput) if the target is not an
    /// address at all.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let target = addresses(target).await?[0];
        self.io.async_io(Direction::Write, |socket| socket.send_to(buf, target)).await
    }

    /// The form of [`send_to`](Self::send_to) for hand-written futures. Only the last task to poll
    /// in this direction is woken.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.io.poll_io(Direction::Write, cx, |socket| socket.send_to(buf, target))
    }

    /// Sends a datagram to `target` if there is room, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, and those of `sendto`.
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.io.try_io(Direction::Write, |socket| socket.send_to(buf, target))
    }

    /// Receives a datagram from the peer and leaves it there. What does not fit is left out.
    /// Cancelled, nothing has happened.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.async_io(Direction::Read, |socket| socket.peek(buf)).await
    }

    /// The form of [`peek`](Self::peek) for hand-written futures. Only the last task to poll in
    /// this direction is woken.
    pub fn poll_peek<B: PollBuf + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<B::Read>> {
        let room = buf.room();
        let peeked = self.io.poll_io(Direction::Read, cx, |socket| socket.peek(room));
        peeked.map_ok(|count| buf.filled(count))
    }

    /// As [`peek`](Self::peek), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none.
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.try_io(Direction::Read, |socket| socket.peek(buf))
    }

    /// Receives a datagram, tells who sent it, and leaves it there. Cancelled, nothing has
    /// happened.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.async_io(Direction::Read, |socket| socket.peek_from(buf)).await
    }

    /// The form of [`peek_from`](Self::peek_from) for hand-written futures. Only the last task to
    /// poll in this direction is woken.
    pub fn poll_peek_from<B: PollBuf + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<B::ReadFrom<SocketAddr>>> {
        let room = buf.room();
        let peeked = self.io.poll_io(Direction::Read, cx, |socket| socket.peek_from(room));
        peeked.map_ok(|(count, from)| buf.filled_from(count, from))
    }

    /// As [`peek_from`](Self::peek_from), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none.
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_io(Direction::Read, |socket| socket.peek_from(buf))
    }

    /// Waits for a datagram, and tells who sent it. Cancelled, nothing has happened.
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        self.io.async_io(Direction::Read, sender).await
    }

    /// The form of [`peek_sender`](Self::peek_sender) for hand-written futures. Only the last task
    /// to poll in this direction is woken.
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.poll_io(Direction::Read, cx, sender)
    }

    /// As [`peek_sender`](Self::peek_sender), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none.
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.io.try_io(Direction::Read, sender)
    }

    /// The address this socket is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }

    /// The peer that was set.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().peer_addr()
    }

    option_methods!(
        broadcast,
        set_broadcast,
        bool,
        broadcast,
        set_broadcast,
        "whether it may send to a broadcast address (`SO_BROADCAST`)"
    );
    option_methods!(
        multicast_loop_v4,
        set_multicast_loop_v4,
        bool,
        multicast_loop_v4,
        set_multicast_loop_v4,
        "whether what it sends to a group of IPv4 comes back to this machine"
    );
    option_methods!(
        multicast_ttl_v4,
        set_multicast_ttl_v4,
        u32,
        multicast_ttl_v4,
        set_multicast_ttl_v4,
        "the time to live of what it sends to a group of IPv4"
    );
    option_methods!(
        multicast_loop_v6,
        set_multicast_loop_v6,
        bool,
        multicast_loop_v6,
        set_multicast_loop_v6,
        "whether what it sends to a group of IPv6 comes back to this machine"
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
        ttl,
        set_ttl,
        u32,
        ttl_v4,
        set_ttl_v4,
        "the time to live of packets sent from this socket"
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

    /// The interface it is bound to by name (`SO_BINDTODEVICE`).
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.socket().device()
    }

    /// Binds it to an interface by name, or, with `None`, to none (`SO_BINDTODEVICE`).
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.socket().bind_device(interface)
    }

    /// Joins a group of IPv4, at the interface with an address.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.get().join_multicast_v4(&group, &interface)
    }

    /// Joins a group of IPv6, at the interface with a number.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get().join_multicast_v6(group, interface)
    }

    /// Leaves a group of IPv4.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.get().leave_multicast_v4(&group, &interface)
    }

    /// Leaves a group of IPv6.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get().leave_multicast_v6(group, interface)
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

/// Who sent the datagram that is next.
fn sender(socket: &mio::net::UdpSocket) -> io::Result<SocketAddr> {
    let mut none = [0; 1];
    socket.peek_from(&mut none).map(|(_, from)| from)
}

#[cfg(feature = "bytes")]
fn internet(from: socket2::SockAddr) -> io::Result<SocketAddr> {
    let unknown = || io::Error::other("the datagram came from no address of IPv4 or IPv6");
    from.as_socket().ok_or_else(unknown)
}

descriptor_traits!(UdpSocket, io);

/// As [`UdpSocket::from_std`], panic included.
impl TryFrom<std::net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    fn try_from(socket: std::net::UdpSocket) -> io::Result<Self> {
        UdpSocket::from_std(socket)
    }
}
