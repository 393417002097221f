//! Children: waiting for one, or looking whether it has ended.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::check;

/// `waitpid` for this child and no other; `None` if it has not ended, and the flags say not to
/// wait.
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
