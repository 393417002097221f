//! `ppoll`: waiting for one descriptor with a timeout in nanoseconds.

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use super::{timespec, timespec_ptr};

/// Waits until `fd` is readable, at most for `timeout` (`None`: without bound).
///
/// `Ok(true)` means there is something to read, an error or a hang-up; `Ok(false)` that the time
/// is over or that a signal came first, so a caller that still wants to wait calls again. On an
/// epoll descriptor nothing is consumed: edge-triggered events stay where they are.
pub(crate) fn ppoll_in(fd: RawFd, timeout: Option<Duration>) -> io::Result<bool> {
    ppoll(fd, libc::POLLIN, timeout)
}

/// The same until there is room to write something.
pub(crate) fn ppoll_out(fd: RawFd, timeout: Option<Duration>) -> io::Result<bool> {
    ppoll(fd, libc::POLLOUT, timeout)
}

fn ppoll(fd: RawFd, events: libc::c_short, timeout: Option<Duration>) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    let time = timeout.map(timespec);
    // SAFETY: `entry` is one live, exclusively borrowed pollfd and the count says one; the time
    // is null or a timespec that outlives the call; a null signal mask changes no mask. The kernel
    // checks the descriptor itself.
    let n = unsafe { libc::ppoll(&raw mut entry, 1, timespec_ptr(&time), ptr::null()) };
    match n {
        0 => Ok(false),
        1.. => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    #[test]
    fn times_out_below_a_millisecond_and_sees_data() {
        let (reader, mut writer) = UnixStream::pair().expect("a pair");
        let start = Instant::now();
        let timeout = Duration::from_micros(300);
        assert!(!ppoll_in(reader.as_raw_fd(), Some(timeout)).expect("ppoll"));
        assert!(start.elapsed() >= timeout);
        writer.write_all(b"x").expect("room in the buffer");
        assert!(ppoll_in(reader.as_raw_fd(), None).expect("ppoll"));
        assert!(ppoll_in(reader.as_raw_fd(), Some(Duration::MAX)).expect("ppoll"));
    }

    #[test]
    fn a_signal_is_no_error() {
        let (reader, _writer) = UnixStream::pair().expect("a pair");
        let ready = testing::under_signals(|| ppoll_in(reader.as_raw_fd(), None));
        assert!(!ready.expect("no error"));
    }
}

/// What tests of waits share.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    extern "C" fn nothing(_signal: libc::c_int) {}

    /// Runs `f` while the calling thread gets a signal every few milliseconds.
    pub(crate) fn under_signals<R>(f: impl FnOnce() -> R) -> R {
        let handler: extern "C" fn(libc::c_int) = nothing;
        // SAFETY: the handler is a function that does nothing, which any signal may interrupt for.
        let old = unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        assert_ne!(old, libc::SIG_ERR);
        // SAFETY: asks for the caller's own id.
        let waiter = unsafe { libc::pthread_self() };
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        let sender = std::thread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(2));
                // SAFETY: the waiting thread joins this one before it ends.
                let sent = unsafe { libc::pthread_kill(waiter, libc::SIGUSR1) };
                assert_eq!(sent, 0);
            }
        });
        let result = f();
        done.store(true, Ordering::Release);
        sender.join().expect("no panic");
        result
    }
}
