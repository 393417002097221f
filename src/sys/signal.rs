//! Signals, by the crate signal-hook-registry: it keeps one handler a signal and a list of what is
//! to be done then, which may change while a handler runs.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook_registry::{FORBIDDEN, SigId, register, unregister};

use super::{check, check_long};

/// An eventfd that a signal handler rings: readable from then until somebody has taken note.
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        // SAFETY: makes a descriptor and touches nothing else.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: it was made just now, and nobody else knows of it.
        Ok(Bell(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Takes note of all rings since the last time; `WouldBlock` if there were none.
    pub(crate) fn take(&self) -> io::Result<()> {
        let mut count = [0_u8; 8];
        let (fd, place) = (self.0.as_raw_fd(), count.as_mut_ptr().cast());
        // SAFETY: the kernel writes at most eight bytes, into an array of so many.
        check_long(unsafe { libc::read(fd, place, 8) } as libc::c_long).map(drop)
    }

    /// May be called by a signal handler: makes one system call, and leaves `errno` as it was.
    pub(crate) fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `errno` is the calling thread's.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: it points to that until the thread ends.
        let before = unsafe { errno.read() };
        // SAFETY: the kernel reads eight bytes, of an array of so many. If the count is full the
        // bell rings already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), 8) };
        // SAFETY: as for the read above.
        unsafe { errno.write(before) };
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A bell rings at each signal of a kind, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watch(SigId);

/// Has the handler of a signal do something more.
///
/// # Safety
///
/// It is async-signal-safe.
unsafe fn add(signal: libc::c_int, does: impl Fn() + Send + Sync + 'static) -> io::Result<Watch> {
    demand_catchable(signal)?;
    // SAFETY: the caller's.
    unsafe { register(signal, does) }.map(Watch).map_err(|error| {
        io::Error::new(error.kind(), format!("signal {signal} cannot be waited for: {error}"))
    })
}

fn demand_catchable(signal: libc::c_int) -> io::Result<()> {
    if signal <= 0 || FORBIDDEN.contains(&signal) {
        let text = format!("signal {signal} cannot be waited for: no handler may stand for it");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// Rings `bell` at each `signal`. The first watch of a signal takes away what the system does at
/// it, for good.
pub(crate) fn watch(signal: libc::c_int, bell: Arc<Bell>) -> io::Result<Watch> {
    // SAFETY: what is done in the handler is async-signal-safe: one `write`, with `errno` put back.
    // The bell is freed by `unregister`, in no handler.
    unsafe { add(signal, move || bell.ring()) }
}

/// The same, and sets `flag` before the bell rings: for a bell that others ring, too.
pub(crate) fn watch_by_flag(
    signal: libc::c_int,
    bell: Arc<Bell>,
    flag: Arc<AtomicBool>,
) -> io::Result<Watch> {
    let ring = move || {
        // Ordering: Release. Partner: the swap of whoever answers the bell.
        flag.store(true, Ordering::Release);
        bell.ring();
    };
    // SAFETY: as in `watch`; the flag is one store.
    unsafe { add(signal, ring) }
}

impl Drop for Watch {
    fn drop(&mut self) {
        unregister(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_counts_nothing_and_forgets_nothing() {
        let bell = Arc::new(Bell::new().expect("made"));
        assert_eq!(bell.take().expect_err("silent").kind(), io::ErrorKind::WouldBlock);
        let watch = watch(libc::SIGURG, bell.clone()).expect("watched");
        for _ in 0..3 {
            // SAFETY: a signal that does nothing elsewhere, to this thread.
            unsafe { libc::raise(libc::SIGURG) };
        }
        bell.take().expect("it rang");
        assert_eq!(bell.take().expect_err("once").kind(), io::ErrorKind::WouldBlock);
        drop(watch);
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGURG) };
        assert!(bell.take().is_err(), "nobody rings it any more");
        assert_eq!(Arc::strong_count(&bell), 1);
        for refused in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -1] {
            let error = super::watch(refused, bell.clone()).expect_err("no handler");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{refused}");
        }
        assert!(super::watch(4096, bell).is_err(), "there is none of that number");
    }
}
