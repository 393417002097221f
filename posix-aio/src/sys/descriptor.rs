//! Descriptors: what they stand for, and how they go.

use std::ffi::c_int;
use std::fs;
use std::mem;

use super::kernel::call;
use super::{Outcome, errno_of, outcome, signals};

/// The flags of an open file.
pub(crate) fn flags(fd: c_int) -> Result<c_int, c_int> {
    // SAFETY: numbers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    outcome(flags as isize).map(|flags| flags as c_int).map_err(|error| errno_of(&error))
}

// A thread that is cancelled in `close` is unwound from there.
unsafe extern "C-unwind" {
    /// The C library's `close`, by the name under which we do not stand before it.
    fn __close(fd: c_int) -> c_int;
    /// Its `fclose`, likewise.
    fn _IO_fclose(stream: *mut libc::FILE) -> c_int;
}

/// What a stream of the C library's is on. `errno` stays as it is.
///
/// # Safety
///
/// The stream is open.
pub(crate) unsafe fn descriptor_of(stream: *mut libc::FILE) -> Option<c_int> {
    // SAFETY: takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's.
    let before = unsafe { *errno };
    // SAFETY: as the caller's.
    let fd = unsafe { libc::fileno(stream) };
    // SAFETY: as above.
    unsafe { *errno = before };
    (fd >= 0).then_some(fd)
}

/// Closes such a stream.
///
/// # Safety
///
/// The stream is open.
pub(crate) unsafe fn close_stream(stream: *mut libc::FILE) -> c_int {
    // SAFETY: as the caller's.
    unsafe { _IO_fclose(stream) }
}

/// Closes a descriptor where the thread must not be cancelled.
pub(crate) fn close_directly(fd: c_int) -> Outcome {
    // SAFETY: numbers only; the descriptor is ours, or the program's to close.
    unsafe { call(libc::SYS_close, [fd.into()]) }
}

/// Closes a range of descriptors, or marks them.
pub(crate) fn close_range(first: u32, last: u32, flags: c_int) -> Outcome {
    // SAFETY: numbers only; the descriptors are the program's.
    unsafe { call(libc::SYS_close_range, [first.into(), last.into(), flags.into()]) }
}

pub(crate) fn close(fd: c_int) -> c_int {
    // SAFETY: numbers only; the descriptor is the program's.
    unsafe { __close(fd) }
}

/// `dup2`, or with flags `dup3`: the system call that the C library's function of the name makes.
pub(crate) fn duplicate_onto(old: c_int, new: c_int, flags: Option<c_int>) -> Outcome {
    match flags {
        // SAFETY: numbers only; the descriptors are the program's.
        Some(flags) => unsafe { call(libc::SYS_dup3, [old.into(), new.into(), flags.into()]) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        None => unsafe { call(libc::SYS_dup2, [old.into(), new.into()]) },
        // `dup3` refuses two equal numbers, which `dup2` gives back.
        #[cfg(not(target_arch = "x86_64"))]
        None if old == new => self::flags(old).map(|_| new as usize),
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: as above.
        None => unsafe { call(libc::SYS_dup3, [old.into(), new.into(), 0]) },
    }
}

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    identity: Identity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file, a directory or a disk: a request on it takes a device's time.
    File,
    /// Something else with a position; a request may wait for ever.
    Device,
    /// Has no position (a pipe, a socket, a terminal), and may have one wait for ever.
    Stream,
}

/// The same as long as the descriptor stands for the same: the file system, the number in it, and,
/// as the two ends of a pipe have one number, whether it reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(libc::dev_t, libc::ino64_t, c_int);

impl Target {
    /// What nothing is known of but whether it refuses to be read or written at a position.
    pub(crate) fn unseen(is_stream: bool) -> Target {
        let kind = if is_stream { Kind::Stream } else { Kind::File };
        Target { kind, identity: Identity(0, 0, 0) }
    }
}

/// What a descriptor stands for. (One more system call tells of all but a file.)
pub(crate) fn target(fd: c_int) -> Result<Target, c_int> {
    // SAFETY: a plain structure, for which zeros are a value.
    let mut stat: libc::stat64 = unsafe { mem::zeroed() };
    // SAFETY: the structure is ours to write.
    let answer = unsafe { libc::fstat64(fd, &raw mut stat) };
    outcome(answer as isize).map_err(|error| errno_of(&error))?;
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR => Kind::File,
        _ if has_position(fd) => Kind::Device,
        _ => Kind::Stream,
    };
    let access = match kind {
        Kind::File => 0,
        Kind::Device | Kind::Stream => flags(fd)? & libc::O_ACCMODE,
    };
    Ok(Target { kind, identity: Identity(stat.st_dev, stat.st_ino, access) })
}

/// Some that have none let themselves be positioned all the same (an eventfd), but not read from
/// there.
fn has_position(fd: c_int) -> bool {
    // SAFETY: numbers only.
    let moved = unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) };
    let moves = !outcome(moved as isize).is_err_and(|e| errno_of(&e) == libc::ESPIPE);
    moves && refuses_position(fd, false) != Ok(true)
}

/// Whether that is what is said of reading, or writing, no bytes at a position: the system call of
/// the request itself. `Err`: it is not open for that.
pub(crate) fn refuses_position(fd: c_int, writes: bool) -> Result<bool, c_int> {
    let number = if writes { libc::SYS_pwrite64 } else { libc::SYS_pread64 };
    // SAFETY: no bytes are moved, from or to nowhere.
    match unsafe { call(number, [fd.into(), 0, 0, 0]) } {
        Err(libc::EBADF) => Err(libc::EBADF),
        answer => Ok(answer == Err(libc::ESPIPE)),
    }
}

/// A duplicate with the lowest free number from `first` on, closed by `exec`.
pub(crate) fn duplicate_from(fd: c_int, first: c_int) -> Option<c_int> {
    // SAFETY: numbers only.
    let duplicate = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, first) };
    (duplicate >= 0).then_some(duplicate)
}

/// How many descriptors the process may have.
pub(crate) fn most_descriptors() -> c_int {
    let limit = limit(libc::RLIMIT_NOFILE).unwrap_or(libc::RLIM64_INFINITY);
    c_int::try_from(limit).unwrap_or(c_int::MAX)
}

fn limit(of: libc::__rlimit_resource_t) -> Option<libc::rlim64_t> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours to write.
    let answer = unsafe { libc::getrlimit64(of, &raw mut limit) };
    (answer == 0).then_some(limit.rlim_cur)
}

/// The descriptors that are open, as far as the system says so.
pub(crate) fn open_descriptors() -> Vec<c_int> {
    signals::uncancelled(|| {
        let entries = fs::read_dir("/proc/self/fd").into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    })
}

/// Whether no write can meet the limit on the size of files, which is told by a signal.
pub(crate) fn file_size_is_unlimited() -> bool {
    limit(libc::RLIMIT_FSIZE) == Some(libc::RLIM64_INFINITY)
}
