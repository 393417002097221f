//! Sockets from a descriptor's number.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::tcp::socket::TcpSocket;
use super::unix::UnixSocket;

impl FromRawFd for TcpSocket {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: it is the caller's, who gives it away.
        unsafe { OwnedFd::from_raw_fd(fd) }.into()
    }
}

impl FromRawFd for UnixSocket {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: it is the caller's, who gives it away.
        unsafe { OwnedFd::from_raw_fd(fd) }.into()
    }
}
