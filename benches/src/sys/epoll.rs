//! An epoll with one descriptor in it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::check;

/// Watches one descriptor, edge-triggered.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// Watches `fd` for input.
    pub(crate) fn watching(fd: RawFd) -> io::Result<Epoll> {
        // SAFETY: takes a number, touches no memory.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just given this descriptor to us alone.
        let epoll = Epoll(unsafe { OwnedFd::from_raw_fd(epoll) });
        let mut event =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        // SAFETY: `event` outlives the call, which only reads it.
        let answer = unsafe {
            libc::epoll_ctl(epoll.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        };
        check(answer)?;
        Ok(epoll)
    }

    /// Waits for an edge; `false` if none came in time.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let limit_ms = limit.as_millis() as libc::c_int;
        // SAFETY: `event` is one place to write to, as said, and outlives the call.
        let answer = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, limit_ms) };
        answer == 1
    }
}
