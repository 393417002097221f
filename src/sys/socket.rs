//! Sockets: sending and receiving with flags, which the standard library does not let one choose,
//! and who the peer is.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{check, check_long, whole};

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
///
/// By its number, as is `send` below: the C library's functions are places where a thread may be
/// cancelled, and pay for that with two atomic writes a call.
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: the buffer is ours to write for its length.
    unsafe { receive_to(fd, buf.as_mut_ptr(), buf.len(), flags) }
}

/// The same with room that nothing was written to yet.
///
/// # Safety
///
/// So many bytes at `room` are the caller's to write for as long as the call takes.
pub(super) unsafe fn receive_to(
    fd: BorrowedFd<'_>,
    room: *mut u8,
    length: usize,
    flags: libc::c_int,
) -> io::Result<usize> {
    let nobody = std::ptr::null::<libc::sockaddr>();
    // SAFETY: the room is the caller's promise; who sends is not asked. The kernel checks the rest.
    let n = unsafe {
        let (fd, flags) = (whole(fd.as_raw_fd()), whole(flags));
        libc::syscall(libc::SYS_recvfrom, fd, room, length, flags, nobody, nobody)
    };
    check_long(n).map(|n| n as usize)
}

/// `send`; that nobody receives is an error (`EPIPE`) and no signal.
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8], flags: libc::c_int) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    let nobody = std::ptr::null::<libc::sockaddr>();
    // SAFETY: the kernel only reads the buffer, for its length; it outlives the call.
    let n = unsafe {
        let (fd, flags) = (whole(fd.as_raw_fd()), whole(flags));
        libc::syscall(libc::SYS_sendto, fd, buf.as_ptr(), buf.len(), flags, nobody, 0usize)
    };
    check_long(n).map(|n| n as usize)
}
