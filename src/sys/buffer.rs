//! Reading into room that nothing was written to yet.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use bytes::BufMut;

use super::{check_long, socket};

/// `read` into the room that `buf` has in one piece, whose end moves.
pub(crate) fn read(fd: BorrowedFd<'_>, buf: &mut impl BufMut) -> io::Result<usize> {
    let room = buf.chunk_mut();
    // SAFETY: the kernel writes into the room at most, which is ours and outlives the call.
    let n = unsafe { libc::read(fd.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
    let n = check_long(n as libc::c_long)? as usize;
    // SAFETY: the kernel has written so many bytes of the room, from its begin.
    unsafe { buf.advance_mut(n) };
    Ok(n)
}

/// `recv`, likewise, for a socket: the same bytes, without the file's part of a `read`.
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut impl BufMut) -> io::Result<usize> {
    let room = buf.chunk_mut();
    // SAFETY: as in `read`.
    let n = unsafe { socket::receive_to(fd, room.as_mut_ptr(), room.len(), 0) }?;
    // SAFETY: as in `read`.
    unsafe { buf.advance_mut(n) };
    Ok(n)
}

/// `recvfrom`, likewise. What does not fit in the room is cut off.
pub(crate) fn receive_from(
    fd: BorrowedFd<'_>,
    buf: &mut impl BufMut,
) -> io::Result<(usize, socket2::SockAddr)> {
    // SAFETY: nothing is read from it, and what is written are bytes.
    let room = unsafe { buf.chunk_mut().as_uninit_slice_mut() };
    let (n, from) = socket2::SockRef::from(&fd).recv_from(room)?;
    // SAFETY: the kernel has written so many bytes of the room, from its begin.
    unsafe { buf.advance_mut(n) };
    Ok((n, from))
}
