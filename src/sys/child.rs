//! Children: waiting for one, looking whether it has ended, and a descriptor that tells.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
#[cfg(any(test, feature = "raw"))]
use std::os::unix::process::ExitStatusExt;
#[cfg(any(test, feature = "raw"))]
use std::process::ExitStatus;

#[cfg(any(test, feature = "raw"))]
use super::check;
use super::check_long;

/// A descriptor of a child, which is readable once that has ended. It is closed at `exec`.
pub(crate) fn pidfd(child: u32) -> io::Result<OwnedFd> {
    // SAFETY: two numbers; makes a descriptor and touches nothing else.
    let fd = check_long(unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) })? as RawFd;
    // SAFETY: it was made just now, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `waitpid` for this child and no other; `None` if it has not ended, and the flags say not to
/// wait.
#[cfg(any(test, feature = "raw"))]
pub(crate) fn wait(child: u32, flags: libc::c_int) -> io::Result<Option<ExitStatus>> {
    // 0 and what is negative mean others.
    let Some(pid) = libc::pid_t::try_from(child).ok().filter(|&pid| pid > 0) else {
        return Err(io::Error::from_raw_os_error(libc::ECHILD));
    };
    let mut status = 0;
    // SAFETY: the status is ours to write, and outlives the call.
    let ended = check(unsafe { libc::waitpid(pid, &raw mut status, flags) })?;
    Ok((ended == pid).then(|| ExitStatus::from_raw(status)))
}
