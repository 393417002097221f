//! Streams.

use std::io;
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll};

use threadlet::net as ours;

use super::{SocketAddr, UCred};
use crate::adapt::{around, descriptor, forward, makes, read, write};
use crate::net::methods::{halves, poll_ready, reads, ready, user_io, writes};

around! {
    /// A socket that accepts connections.
    UnixListener, ours::UnixListener
}
descriptor!(UnixListener);

impl UnixListener {
    makes! { "net/struct.UnixListener.html" ours::UnixListener:
        fn bind<P: AsRef<Path>>(path: P);
        fn bind_addr(address: &SocketAddr);
        fn from_std(listener: net::UnixListener);
    }
    forward! { "net/struct.UnixListener.html"
        fn into_std(self) -> io::Result<net::UnixListener>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
    }

    /// Waits for a connection.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((UnixStream(stream), peer))
    }

    /// [`accept`](Self::accept), to be polled.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.0.poll_accept(cx).map_ok(|(stream, peer)| (UnixStream(stream), peer))
    }
}

impl TryFrom<net::UnixListener> for UnixListener {
    type Error = io::Error;

    fn try_from(listener: net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
    }
}

around! {
    /// A connection.
    UnixStream, ours::UnixStream
}
descriptor!(UnixStream);
read!([] UnixStream);
write!([] UnixStream);

impl UnixStream {
    makes! { "net/struct.UnixStream.html" ours::UnixStream:
        async fn connect<P: AsRef<Path>>(path: P);
        async fn connect_addr(address: &SocketAddr);
        fn from_std(stream: net::UnixStream);
    }
    ready!("net/struct.UnixStream.html");
    reads!("net/struct.UnixStream.html");
    writes!("net/struct.UnixStream.html");
    poll_ready!("net/struct.UnixStream.html" poll_read_ready, poll_write_ready);
    user_io!();
    forward! { "net/struct.UnixStream.html"
        fn into_std(self) -> io::Result<net::UnixStream>;
        fn local_addr(&self) -> io::Result<SocketAddr>;
        fn peer_addr(&self) -> io::Result<SocketAddr>;
        fn peer_cred(&self) -> io::Result<UCred>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;
    }

    /// Two, connected to each other.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        ours::UnixStream::pair().map(|(one, other)| (UnixStream(one), UnixStream(other)))
    }
}

impl TryFrom<net::UnixStream> for UnixStream {
    type Error = io::Error;

    fn try_from(stream: net::UnixStream) -> io::Result<UnixStream> {
        UnixStream::from_std(stream)
    }
}

halves!(UnixStream, SocketAddr, "net/unix/index.html");
