//! What the kernel answers when asked, and how it is to be read.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::answer::{Answer, retry};
use crate::detect::probe;
use crate::primitive::YesOrNo;
use crate::sys::file::{self as sys, Stat};

/// Whether anything may be asked in this process (rule 1).
pub fn may_ask() -> bool {
    probe::no_seccomp_filter()
}

/// Whether no file reaches as far as that offset. The highest such offset means "at the position"
/// to the calls by which is asked, so nothing is asked there: the plain forms have an error for it.
fn is_beyond(at: Option<u64>) -> bool {
    at.is_some_and(|at| i64::try_from(at).is_err())
}

/// Reads without waiting; see the rules of the module.
pub(super) fn read(file: &File, bufs: &mut [IoSliceMut<'_>], at: Option<u64>) -> Answer<usize> {
    if !may_ask() {
        return Answer::Unsupported;
    }
    if is_beyond(at) {
        return Answer::WouldBlock;
    }
    match retry(|| sys::read_nowait(file.as_fd(), bufs, at)) {
        Ok(0) if bufs.iter().any(|buf| !buf.is_empty()) => end_of(file, at),
        result => judge(result),
    }
}

fn end_of(mut file: &File, at: Option<u64>) -> Answer<usize> {
    let Ok(position) = at.map_or_else(|| file.stream_position(), Ok) else {
        return Answer::WouldBlock;
    };
    if is_end(file.as_fd(), position) { Answer::Done(Ok(0)) } else { Answer::WouldBlock }
}

/// Whether no bytes at this position mean the end of the file (rule 3).
pub fn is_end(fd: BorrowedFd<'_>, position: u64) -> bool {
    sys::stat_known(fd).is_ok_and(|stat| is_regular(stat) && stat.size > 0 && position >= stat.size)
}

/// Writes without waiting; see the rules of the module.
pub(super) fn write(file: &File, bufs: &[IoSlice<'_>], at: Option<u64>) -> Answer<usize> {
    if !may_ask() {
        return Answer::Unsupported;
    }
    if is_beyond(at) {
        return Answer::WouldBlock;
    }
    match retry(|| sys::write_nowait(file.as_fd(), bufs, at)) {
        Ok(0) if bufs.iter().any(|buf| !buf.is_empty()) => Answer::WouldBlock,
        result => judge(result),
    }
}

/// What the result of a call with `RWF_NOWAIT` means. No bytes, where some were wanted, are for the
/// caller to judge (rule 3).
pub fn judge(result: io::Result<usize>) -> Answer<usize> {
    match result.as_ref().err().and_then(io::Error::raw_os_error) {
        Some(libc::EAGAIN) => Answer::WouldBlock,
        // The last three may mean the call itself: the plain form tells.
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL) => {
            Answer::Unsupported
        }
        _ => Answer::Done(result),
    }
}

pub(super) fn is_regular(stat: Stat) -> bool {
    stat.mode & libc::S_IFMT == libc::S_IFREG
}

fn is_directory(stat: Stat) -> bool {
    stat.mode & libc::S_IFMT == libc::S_IFDIR
}

/// Whether paths can be asked for: found out once, with the one path that is always in memory.
fn can_look_up() -> bool {
    static ANSWER: YesOrNo = YesOrNo::new();
    ANSWER.get_or_find(|| may_ask() && sys::open_cached(c"/", libc::O_PATH).is_ok())
}

/// Finds a path without waiting and without opening what is there: the file that comes back is good
/// for its metadata only. With `follow` a symbolic link at the end is followed.
///
/// # Errors
///
/// `InvalidInput` for a path with a zero in it; what the look-up itself meets.
pub fn look_up(path: &Path, follow: bool) -> Answer<File> {
    let flags = if follow { 0 } else { libc::O_NOFOLLOW };
    with_path(path, |path| cached(path, libc::O_PATH | flags))
}

/// Opens a regular file or a directory without waiting (rule 5).
pub(super) fn open(path: &Path, flags: libc::c_int) -> Answer<File> {
    with_path(path, |path| {
        let kept = flags & (libc::O_DIRECTORY | libc::O_NOFOLLOW);
        let seen = match cached(path, libc::O_PATH | kept) {
            Answer::Done(Ok(seen)) => seen,
            answer => return answer,
        };
        if !is_plain(seen.as_fd()) {
            return Answer::WouldBlock;
        }
        // The path may mean another file by now, and this one may have a lease to be broken:
        // neither is waited for.
        let file = match cached(path, flags | libc::O_NONBLOCK) {
            Answer::Done(Ok(file)) => file,
            answer => return answer,
        };
        let restored =
            flags & libc::O_NONBLOCK != 0 || sys::set_status_flags(file.as_fd(), flags).is_ok();
        if restored && is_plain(file.as_fd()) { Answer::Done(Ok(file)) } else { Answer::WouldBlock }
    })
}

fn is_plain(fd: BorrowedFd<'_>) -> bool {
    sys::stat_known(fd).is_ok_and(|stat| is_regular(stat) || is_directory(stat))
}

fn with_path(path: &Path, ask: impl FnOnce(&CStr) -> Answer<File>) -> Answer<File> {
    if !can_look_up() {
        return Answer::Unsupported;
    }
    match CString::new(path.as_os_str().as_bytes()) {
        Ok(path) => ask(&path),
        Err(_) => {
            let text = "a path must not have a zero byte in it";
            Answer::Done(Err(io::Error::new(io::ErrorKind::InvalidInput, text)))
        }
    }
}

/// One `openat2`, and rule 6.
fn cached(path: &CStr, flags: libc::c_int) -> Answer<File> {
    match retry(|| sys::open_cached(path, flags)) {
        Ok(fd) => Answer::Done(Ok(File::from(fd))),
        Err(error) => match error.raw_os_error() {
            Some(
                libc::ENOENT
                | libc::ENOTDIR
                | libc::EACCES
                | libc::ELOOP
                | libc::EISDIR
                | libc::ENAMETOOLONG,
            ) => Answer::Done(Err(error)),
            _ => Answer::WouldBlock,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says() {
        let errno = |number| judge(Err(io::Error::from_raw_os_error(number)));
        assert!(matches!(errno(libc::EAGAIN), Answer::WouldBlock));
        for refusal in [libc::EOPNOTSUPP, libc::ENOSYS, libc::EPERM, libc::EACCES] {
            assert!(matches!(errno(refusal), Answer::Unsupported), "{refusal}");
        }
        for error in [libc::EISDIR, libc::ENOSPC, libc::EBADF] {
            assert!(matches!(errno(error), Answer::Done(Err(_))), "{error}");
        }
        assert!(matches!(judge(Ok(3)), Answer::Done(Ok(3))));
    }

    #[test]
    fn a_zero_in_a_path_is_an_error_and_nothing_else() {
        match look_up(Path::new("a\0b"), true) {
            Answer::Done(Err(error)) => assert_eq!(error.kind(), io::ErrorKind::InvalidInput),
            Answer::Unsupported => assert!(!can_look_up()),
            answer => panic!("{answer:?}"),
        }
    }
}
