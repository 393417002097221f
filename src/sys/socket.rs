//! Sockets: sending and receiving with flags, which the standard library does not let one choose,
//! and who the peer is.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;
#[cfg(any(test, feature = "raw"))]
use super::check_long;

/// Who the peer of a Unix socket was when the connection was made (`SO_PEERCRED`).
pub(crate) fn peer(fd: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let (place, length) = ((&raw mut peer).cast(), &raw mut length);
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: the kernel writes at most so many bytes into the place, which is as large and
    // outlives the call.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, place, length) })?;
    Ok(peer)
}

/// `recv`.
#[cfg(any(test, feature = "raw"))]
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: the buffer is ours to write for its length, and outlives the call. The kernel checks
    // the rest.
    let n = unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) };
    check_long(n as libc::c_long).map(|n| n as usize)
}

/// `send`; that nobody receives is an error (`EPIPE`) and no signal.
#[cfg(any(test, feature = "raw"))]
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8], flags: libc::c_int) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel only reads the buffer, for its length; it outlives the call.
    let n = unsafe { libc::send(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
    check_long(n as libc::c_long).map(|n| n as usize)
}
