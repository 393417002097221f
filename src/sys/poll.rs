//! Waiting for one descriptor with a timeout in nanoseconds.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::{check, timespec, timespec_ptr};

/// Waits until `fd` has something to read, was hung up or failed, for at most `timeout`.
///
/// `Ok(false)` means that the time ran out or that a signal came: the caller knows its deadline
/// and asks again.
pub(crate) fn ppoll_in(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let mut slot = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let time = timeout.map(timespec);
    // SAFETY: one slot, ours to write; the time is only read, a null mask changes no signal.
    let answer = unsafe { libc::ppoll(&raw mut slot, 1, timespec_ptr(&time), std::ptr::null()) };
    match check(answer) {
        Ok(ready) => Ok(ready > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    #[test]
    fn times_out_and_then_sees_data() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let start = Instant::now();
        assert!(!ppoll_in(there.as_fd(), Some(Duration::from_micros(1500))).unwrap());
        assert!(start.elapsed() >= Duration::from_micros(1500));
        here.write_all(b"x").unwrap();
        assert!(ppoll_in(there.as_fd(), None).unwrap());
        assert!(ppoll_in(there.as_fd(), Some(Duration::ZERO)).unwrap());
    }
}
