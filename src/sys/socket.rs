//! Sockets: sending and receiving with flags, which the standard library does not let one choose.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check_long;

/// `recv`.
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: the buffer is ours to write for its length, and outlives the call. The kernel checks
    // the rest.
    let n = unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) };
    check_long(n as libc::c_long).map(|n| n as usize)
}

/// `send`; that nobody receives is an error (`EPIPE`) and no signal.
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8], flags: libc::c_int) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel only reads the buffer, for its length; it outlives the call.
    let n = unsafe { libc::send(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
    check_long(n as libc::c_long).map(|n| n as usize)
}
