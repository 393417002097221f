//! A thin epoll for the sentinel, and an event descriptor to call it away.
//!
//! Always edge-triggered: a perf ring is never drained, so a level would stay up for ever.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use super::{check, check_long, timespec, timespec_ptr, whole};

/// One edge, as [`Epoll::wait`] reports it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(libc::epoll_event);

impl Event {
    /// An event to fill an array with.
    pub(crate) const EMPTY: Event = Event(libc::epoll_event { events: 0, u64: 0 });

    /// What was passed to [`Epoll::add`].
    pub(crate) fn data(&self) -> u64 {
        self.0.u64
    }

    /// The other side is gone: for a perf event, the thread it watched has ended.
    pub(crate) fn is_hang_up(&self) -> bool {
        self.0.events & libc::EPOLLHUP as u32 != 0
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("data", &self.data())
            .field("hang_up", &self.is_hang_up())
            .finish()
    }
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// Creates one, closed on exec.
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: takes a flag, touches no memory.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just given this descriptor to us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd })
    }

    /// Watches `fd` for input, edge-triggered. What is already pending counts as an edge.
    ///
    /// Whoever adds calls [`del`](Epoll::del) before the descriptor is closed, because a copy of
    /// it (in a forked child, say) would keep it in the set.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, data: u64) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: data };
        self.control(libc::EPOLL_CTL_ADD, fd, &raw mut event)
    }

    /// Watches `fd` no longer. A concurrent [`wait`](Epoll::wait) may still report it once.
    pub(crate) fn del(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut())
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: BorrowedFd<'_>,
        event: *mut libc::epoll_event,
    ) -> io::Result<()> {
        // SAFETY: both descriptors are open; `event` is null or outlives the call.
        let answer =
            unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd.as_raw_fd(), event) };
        check(answer).map(drop)
    }

    /// Waits for edges, for at most `timeout`, and returns those that came: none after a timeout or
    /// a signal.
    ///
    /// A bounded wait is `epoll_pwait2`, in nanoseconds; where that is refused (it is there since
    /// Linux 5.11), `epoll_wait`, with the milliseconds rounded up. (To `ppoll` the epoll descriptor
    /// first is no way: a perf event counts as seen once it is polled.)
    pub(crate) fn wait<'a>(
        &self,
        events: &'a mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<&'a [Event]> {
        assert!(!events.is_empty(), "epoll needs a place to report to");
        let fine = timeout.filter(|time| !time.is_zero()).map(|time| self.wait_fine(events, time));
        let answer = match fine {
            Some(Ok(count)) => Ok(count),
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            _ => self.wait_coarse(events, timeout),
        };
        match answer {
            Ok(count) => Ok(&events[..count as usize]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(&[]),
            Err(error) => Err(error),
        }
    }

    fn wait_fine(&self, events: &mut [Event], timeout: Duration) -> io::Result<libc::c_int> {
        let time = Some(timespec(timeout));
        let place = events.as_mut_ptr().cast::<libc::epoll_event>();
        let (fd, no_mask) = (whole(self.fd.as_raw_fd()), ptr::null::<libc::sigset_t>());
        // SAFETY: an `Event` is an `epoll_event`; there are `room` of them, ours to write. The time
        // outlives the call, and a null mask changes none.
        let count = unsafe {
            let (number, room, time) = (libc::SYS_epoll_pwait2, room(events), timespec_ptr(&time));
            libc::syscall(number, fd, place, whole(room), time, no_mask, 0_usize)
        };
        check_long(count).map(|count| count as libc::c_int)
    }

    /// Milliseconds, rounded up.
    fn wait_coarse(
        &self,
        events: &mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<libc::c_int> {
        let timeout = timeout.map_or(-1, |time| {
            time.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX)
        });
        let place = events.as_mut_ptr().cast::<libc::epoll_event>();
        // SAFETY: an `Event` is an `epoll_event`; there are `room` of them, ours to write.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), place, room(events), timeout) };
        check(count)
    }
}

fn room(events: &[Event]) -> libc::c_int {
    events.len().try_into().unwrap_or(libc::c_int::MAX)
}

/// An event descriptor: a wake-up that epoll understands.
#[derive(Debug)]
pub(crate) struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// Creates one, closed on exec and non-blocking.
    pub(crate) fn new() -> io::Result<EventFd> {
        // SAFETY: takes numbers, touches no memory.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel has just given this descriptor to us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(EventFd { fd })
    }

    /// Makes an edge. Cannot be lost: if the counter is full, an edge is pending already.
    pub(crate) fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes that outlive the call, as an event descriptor asks for.
        let _full = unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn an_edge_is_reported_once_and_not_after_del() {
        let epoll = Epoll::new().unwrap();
        let event = EventFd::new().unwrap();
        let mut events = [Event::EMPTY; 4];
        let data = 0xdead_beef_0000_0001;
        epoll.add(event.as_fd(), data).unwrap();
        assert!(epoll.wait(&mut events, Some(Duration::ZERO)).unwrap().is_empty());

        event.wake();
        let seen = epoll.wait(&mut events, None).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].data(), data);
        assert!(!seen[0].is_hang_up());
        let again = epoll.wait(&mut events, Some(Duration::from_micros(1))).unwrap();
        assert!(again.is_empty(), "an edge, not a level");
        let start = Instant::now();
        let timeout = Duration::from_micros(300);
        assert!(epoll.wait(&mut events, Some(timeout)).unwrap().is_empty());
        assert!(start.elapsed() >= timeout);

        event.wake();
        assert_eq!(epoll.wait(&mut events, None).unwrap().len(), 1, "a second edge");

        epoll.del(event.as_fd()).unwrap();
        event.wake();
        assert!(epoll.wait(&mut events, Some(Duration::ZERO)).unwrap().is_empty());
        assert!(epoll.del(event.as_fd()).is_err(), "it is no longer in the set");
    }

    #[test]
    fn another_thread_can_call_the_waiter_away() {
        let epoll = Epoll::new().unwrap();
        let event = EventFd::new().unwrap();
        epoll.add(event.as_fd(), 1).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut events = [Event::EMPTY; 1];
                epoll.wait(&mut events, Some(Duration::from_secs(20))).unwrap().len()
            });
            event.wake();
            assert_eq!(waiter.join().unwrap(), 1);
        });
    }
}
