//! There is nothing to poll: no run has a socket.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

pub(crate) fn ppoll_in(_fd: RawFd, _timeout: Option<Duration>) -> io::Result<bool> {
    unreachable!("no run has a socket")
}
