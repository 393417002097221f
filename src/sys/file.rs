//! Files: the calls that answer "would block" instead of blocking, which the standard library does
//! not make.

use std::ffi::CStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{check, check_long, whole};

/// The offset by which `preadv2` and `pwritev2` mean the file's own position.
const AT_POSITION: u64 = u64::MAX;

/// What [`stat_known`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The kind and the permissions, as `st_mode`.
    pub(crate) mode: u32,
    /// In bytes.
    pub(crate) size: u64,
}

/// `preadv2` with `RWF_NOWAIT`: what is in memory of the bytes at `offset` (`None`: at the file's
/// position, which moves). `EAGAIN`: nothing is.
pub(crate) fn read_nowait(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
    offset: Option<u64>,
) -> io::Result<usize> {
    let (low, high) = halves(offset);
    // SAFETY: an `IoSliceMut` is an `iovec` whose buffer is ours to write for its length; all of
    // them outlive the call. The kernel checks the rest, and refuses more than `IOV_MAX`. (Not
    // through the C library: an old one lacks the function.)
    let answer = unsafe {
        let (fd, iov, count) = (whole(fd.as_raw_fd()), bufs.as_mut_ptr(), bufs.len());
        libc::syscall(libc::SYS_preadv2, fd, iov, count, low, high, whole(libc::RWF_NOWAIT))
    };
    check_long(answer).map(|n| n as usize)
}

/// `pwritev2` with `RWF_NOWAIT`: writes what can be written without waiting. `EAGAIN`: nothing.
pub(crate) fn write_nowait(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    offset: Option<u64>,
) -> io::Result<usize> {
    let (low, high) = halves(offset);
    // SAFETY: an `IoSlice` is an `iovec`, whose buffer the kernel only reads, for its length; all
    // of them outlive the call.
    let answer = unsafe {
        let (fd, iov, count) = (whole(fd.as_raw_fd()), bufs.as_ptr(), bufs.len());
        libc::syscall(libc::SYS_pwritev2, fd, iov, count, low, high, whole(libc::RWF_NOWAIT))
    };
    check_long(answer).map(|n| n as usize)
}

/// `preadv`: reads at `offset` into several buffers, which the standard library does not yet.
pub(crate) fn read_vectored_at(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
    offset: u64,
) -> io::Result<usize> {
    let (low, high) = halves(Some(offset));
    // SAFETY: an `IoSliceMut` is an `iovec` whose buffer is ours to write for its length; all of
    // them outlive the call.
    let answer = unsafe {
        let (fd, iov, count) = (whole(fd.as_raw_fd()), bufs.as_mut_ptr(), bufs.len());
        libc::syscall(libc::SYS_preadv, fd, iov, count, low, high)
    };
    check_long(answer).map(|n| n as usize)
}

/// `pwritev`: writes several buffers at `offset`.
pub(crate) fn write_vectored_at(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    offset: u64,
) -> io::Result<usize> {
    let (low, high) = halves(Some(offset));
    // SAFETY: an `IoSlice` is an `iovec`, whose buffer the kernel only reads, for its length; all
    // of them outlive the call.
    let answer = unsafe {
        let (fd, iov, count) = (whole(fd.as_raw_fd()), bufs.as_ptr(), bufs.len());
        libc::syscall(libc::SYS_pwritev, fd, iov, count, low, high)
    };
    check_long(answer).map(|n| n as usize)
}

/// An offset in the two words the kernel takes; with words of 64 bits it ignores the second.
fn halves(offset: Option<u64>) -> (libc::c_long, libc::c_long) {
    let offset = offset.unwrap_or(AT_POSITION);
    (offset as libc::c_long, (offset >> 32) as libc::c_long)
}

/// `openat2` with `RESOLVE_CACHED`: opens without waiting for a path that is not in memory
/// (`EAGAIN`). It never creates or truncates.
pub(crate) fn open_cached(path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: three numbers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_CACHED;
    let (path, size) = (path.as_ptr(), size_of::<libc::open_how>());
    // SAFETY: the path ends with a zero; `how` is read for the size given; both outlive the call.
    let answer = unsafe {
        libc::syscall(libc::SYS_openat2, whole(libc::AT_FDCWD), path, &raw const how, size)
    };
    let fd = check_long(answer)? as RawFd;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `statx` with `AT_STATX_DONT_SYNC`: what this machine knows, without asking a server.
pub(crate) fn stat_known(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    // SAFETY: numbers, for which zero is a value.
    let mut known: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let wanted = libc::STATX_TYPE | libc::STATX_MODE | libc::STATX_SIZE;
    // SAFETY: the path is empty and ends with a zero; `known` is ours to write; both outlive the
    // call.
    let answer = unsafe {
        let (fd, path, known) = (whole(fd.as_raw_fd()), c"".as_ptr(), &raw mut known);
        libc::syscall(libc::SYS_statx, fd, path, whole(flags), wanted as libc::c_long, known)
    };
    check_long(answer)?;
    if known.stx_mask & wanted != wanted {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(Stat { mode: known.stx_mode.into(), size: known.stx_size })
}

/// The flags of an open file (`F_GETFL`).
pub(crate) fn status_flags(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })
}

/// Sets the flags of an open file (`F_SETFL`): those that can be changed.
pub(crate) fn set_status_flags(fd: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
}

/// `flock`: locks a whole file, for all who have this opening of it, or unlocks it.
#[cfg(any(test, feature = "raw"))]
pub(crate) fn lock(fd: BorrowedFd<'_>, operation: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::flock(fd.as_raw_fd(), operation) }).map(drop)
}

/// Takes the clean pages of a file out of memory. Tests only.
#[cfg(test)]
pub(crate) fn forget_pages(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: numbers only.
    let error = unsafe { libc::posix_fadvise(fd.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::seccomp::is_filtered;

    fn scratch() -> std::fs::File {
        // SAFETY: the name ends with a zero.
        let fd = unsafe { libc::memfd_create(c"threadlet-test".as_ptr(), libc::MFD_CLOEXEC) };
        let fd = check(fd).expect("a file in memory");
        // SAFETY: the kernel has just made it for us.
        unsafe { std::fs::File::from_raw_fd(fd) }
    }

    #[test]
    fn offsets_and_positions() {
        if is_filtered() {
            return;
        }
        let mut file = scratch();
        file.write_all(b"hello").unwrap();
        let mut buf = [0; 8];
        match read_nowait(file.as_fd(), &mut [IoSliceMut::new(&mut buf)], Some(1)) {
            Ok(n) => assert_eq!(&buf[..n], b"ello"),
            // A kernel whose tmpfs does not know it.
            Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP)),
        }
        assert_eq!(file.stream_position().unwrap(), 5);
        file.rewind().unwrap();
        assert_eq!(
            read_nowait(file.as_fd(), &mut [IoSliceMut::new(&mut buf[..2])], None).unwrap(),
            2
        );
        assert_eq!((&buf[..2], file.stream_position().unwrap()), (&b"he"[..], 2));
        // Beyond four gigabytes: the two words of the offset are in order.
        file.set_len(5 << 32).unwrap();
        let far = [IoSlice::new(b"f"), IoSlice::new(b"ar")];
        let n = write_nowait(file.as_fd(), &far, Some(4 << 32)).unwrap_or(0);
        assert!(n <= 3);
        assert_eq!(write_vectored_at(file.as_fd(), &far, 4 << 32).unwrap(), 3);
        let (mut one, mut two) = ([0; 2], [0; 2]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(read_vectored_at(file.as_fd(), &mut bufs, 4 << 32).unwrap(), 4);
        assert_eq!((&one, &two), (b"fa", b"r\0"));
        assert_eq!(stat_known(file.as_fd()).unwrap().size, 5 << 32);
    }

    #[test]
    fn a_known_path_opens_and_a_missing_one_says_so() {
        if is_filtered() {
            return;
        }
        std::fs::metadata("/").unwrap();
        let root = open_cached(c"/", libc::O_PATH).expect("the root is in memory");
        assert_eq!(stat_known(root.as_fd()).unwrap().mode & libc::S_IFMT, libc::S_IFDIR);
        let missing = open_cached(c"/threadlet-is-not-here", libc::O_PATH).unwrap_err();
        assert!(matches!(missing.raw_os_error(), Some(libc::ENOENT | libc::EAGAIN)), "{missing}");
        let created = open_cached(c"/tmp/threadlet-never", libc::O_CREAT | libc::O_WRONLY);
        assert_eq!(created.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
    }
}
