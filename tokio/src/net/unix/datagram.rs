//! Datagrams.

use std::io;
use std::net::Shutdown;
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll, ready};

use real::io::ReadBuf;
use threadlet::net as ours;

use super::SocketAddr;
use crate::adapt::{around, descriptor, forward, makes};
use crate::net::methods::datagrams;

around! {
    /// A socket that sends and receives datagrams.
    UnixDatagram, ours::UnixDatagram
}
descriptor!(UnixDatagram);

impl UnixDatagram {
    makes! { "net/struct.UnixDatagram.html" ours::UnixDatagram:
        fn bind<P: AsRef<Path>>(path: P);
        fn unbound();
        fn from_std(socket: net::UnixDatagram);
    }
    datagrams!("net/struct.UnixDatagram.html", SocketAddr);
    forward! { "net/struct.UnixDatagram.html"
        fn into_std(self) -> io::Result<net::UnixDatagram>;
        fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()>;
        async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize>;
        fn poll_send_to<P: AsRef<Path>>(&self, cx: &mut Context<'_>, buf: &[u8], target: P) -> Poll<io::Result<usize>>;
        fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize>;
        fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    }

    /// Two, connected to each other.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        ours::UnixDatagram::pair().map(|(one, other)| (UnixDatagram(one), UnixDatagram(other)))
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
}

impl TryFrom<net::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    fn try_from(socket: net::UnixDatagram) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(socket)
    }
}
