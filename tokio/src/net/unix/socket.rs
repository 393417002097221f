//! A socket that is not bound yet.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;

use threadlet::net::unix as ours;

use super::{UnixDatagram, UnixListener, UnixStream};
use crate::adapt::{around, descriptor, makes};

around! {
    /// A socket that is neither bound nor connected yet.
    UnixSocket, ours::UnixSocket
}
descriptor!(UnixSocket);

impl UnixSocket {
    makes! { "net/struct.UnixSocket.html" ours::UnixSocket:
        fn new_datagram();
        fn new_stream();
    }

    /// Binds it to a path.
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.0.bind(path)
    }

    /// Makes it a listener.
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        self.0.listen(backlog).map(UnixListener)
    }

    /// Connects it.
    pub async fn connect(self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        self.0.connect(path).await.map(UnixStream)
    }

    /// Makes it one of datagrams.
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.0.datagram().map(UnixDatagram)
    }
}

impl IntoRawFd for UnixSocket {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}

#[allow(unsafe_code, reason = "the trait of std that says so")]
impl FromRawFd for UnixSocket {
    unsafe fn from_raw_fd(descriptor: RawFd) -> UnixSocket {
        // SAFETY: the caller promises that it is open, and nobody else's.
        UnixSocket(unsafe { OwnedFd::from_raw_fd(descriptor) }.into())
    }
}
