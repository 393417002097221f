//! A thin epoll for the sentinel, and an event descriptor to call it away.

use std::io;
use std::kernel::{self, Watched};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Numbers from here on are none of the real system's descriptors.
const RINGS: RawFd = 1 << 24;
const EVENTS: RawFd = 1 << 25;

/// A descriptor's number, to be handed to [`Epoll`].
pub(super) fn stands_for<'a>(what: Watched) -> BorrowedFd<'a> {
    let number = match what {
        Watched::Ring(nth) => RINGS + nth as RawFd,
        Watched::Event(nth) => EVENTS + nth as RawFd,
    };
    // SAFETY: no call of the real system is ever made with it: `meant` makes of it what it was.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn meant(fd: BorrowedFd<'_>) -> Watched {
    match fd.as_raw_fd() {
        number if number >= EVENTS => Watched::Event((number - EVENTS) as usize),
        number => Watched::Ring((number - RINGS) as usize),
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Event(u64);

impl Event {
    pub(crate) const EMPTY: Event = Event(0);

    pub(crate) fn data(&self) -> u64 {
        self.0
    }

    pub(crate) fn is_hang_up(&self) -> bool {
        false
    }
}

#[derive(Debug)]
pub(crate) struct Epoll(usize);

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        Ok(Epoll(kernel::open_epoll()))
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, data: u64) -> io::Result<()> {
        kernel::watch(self.0, meant(fd), Some(data));
        Ok(())
    }

    pub(crate) fn del(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        kernel::watch(self.0, meant(fd), None);
        Ok(())
    }

    pub(crate) fn wait<'a>(
        &self,
        events: &'a mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<&'a [Event]> {
        let Some(data) = kernel::wait_edge(self.0, timeout.map(super::nanos)) else {
            return Ok(&[]);
        };
        events[0] = Event(data);
        Ok(&events[..1])
    }
}

#[derive(Debug)]
pub(crate) struct EventFd(usize);

impl EventFd {
    pub(crate) fn new() -> io::Result<EventFd> {
        Ok(EventFd(kernel::open_event()))
    }

    pub(crate) fn wake(&self) {
        kernel::set_event(self.0);
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        stands_for(Watched::Event(self.0))
    }
}
