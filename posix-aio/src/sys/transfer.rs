//! Reading, writing, and having what was written reach the device.

use std::ffi::c_int;
use std::io;
use std::os::fd::BorrowedFd;

use threadlet::raw;

use super::kernel::{address, call};
use super::{Buffer, Outcome, errno_of, outcome};

/// The offset by which `preadv2` means the file's own position.
const AT_POSITION: i64 = -1;

/// Reads what is in memory of the bytes behind the first `done`, without waiting; `None`: at the
/// file's own position.
pub(crate) fn read_nowait(
    fd: c_int,
    buffer: Buffer,
    done: usize,
    at: Option<i64>,
) -> raw::Answer<usize> {
    raw::judge(nowait(libc::SYS_preadv2, fd, buffer, done, at))
}

/// Writes what can be written without waiting.
pub(crate) fn write_nowait(fd: c_int, buffer: Buffer, done: usize, at: i64) -> raw::Answer<usize> {
    raw::judge(nowait(libc::SYS_pwritev2, fd, buffer, done, Some(at)))
}

fn nowait(
    number: libc::c_long,
    fd: c_int,
    buffer: Buffer,
    done: usize,
    at: Option<i64>,
) -> io::Result<usize> {
    let iov = buffer.rest(done);
    let at = at.map_or(AT_POSITION, |at| at.wrapping_add(done as i64));
    // With words of 64 bits the second one of the offset is ignored.
    let arguments = [fd.into(), address(&raw const iov), 1, at, 0, libc::RWF_NOWAIT.into()];
    loop {
        // SAFETY: the buffer is the program's, for the kernel to check; its description outlives
        // the call.
        match unsafe { call(number, arguments) } {
            Err(libc::EINTR) => {}
            result => return result.map_err(io::Error::from_raw_os_error),
        }
    }
}

/// Reads, and waits if it must.
pub(crate) fn read(fd: c_int, buffer: Buffer, done: usize, at: Option<i64>) -> Outcome {
    let libc::iovec { iov_base: start, iov_len: len } = buffer.rest(done);
    retry(|| match at {
        // SAFETY: the buffer is the program's to give, and the kernel's to check.
        Some(at) => unsafe { libc::pread64(fd, start, len, at.saturating_add(done as i64)) },
        // SAFETY: as above.
        None => unsafe { libc::read(fd, start, len) },
    })
}

/// Writes, and waits if it must.
pub(crate) fn write(fd: c_int, buffer: Buffer, done: usize, at: Option<i64>) -> Outcome {
    let libc::iovec { iov_base: start, iov_len: len } = buffer.rest(done);
    retry(|| match at {
        // SAFETY: the kernel only reads the buffer, and checks it.
        Some(at) => unsafe { libc::pwrite64(fd, start, len, at.saturating_add(done as i64)) },
        // SAFETY: as above.
        None => unsafe { libc::write(fd, start, len) },
    })
}

/// `fsync`, or `fdatasync` for `data`.
pub(crate) fn sync(fd: c_int, data: bool) -> Outcome {
    let call = if data { libc::fdatasync } else { libc::fsync };
    // SAFETY: numbers only.
    retry(|| unsafe { call(fd) } as isize)
}

/// Repeats what a signal has interrupted; an error as its number.
fn retry(mut call: impl FnMut() -> isize) -> Outcome {
    loop {
        match outcome(call()) {
            Ok(n) => return Ok(n),
            Err(error) => match errno_of(&error) {
                libc::EINTR => {}
                errno => return Err(errno),
            },
        }
    }
}

/// Whether reading nothing at `position` means the end of the file.
pub(crate) fn is_end(fd: c_int, position: i64) -> bool {
    // SAFETY: a descriptor of the program, which was open just now; if it no longer is the kernel
    // says so.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    u64::try_from(position).is_ok_and(|position| raw::is_end(fd, position))
}
