//! Whether a seccomp filter may stand between this process and the kernel.
//!
//! A filter may kill for a system call that it does not know. A program that was tried with the C
//! library's functions has one that knows what these do: so behind a filter nothing is asked
//! (`preadv2`), and nothing is called that these would not call. Nor can a system call find out that
//! there is one. It is known all the same:
//!
//! * One that was there before the program was: this library is loaded by a linker that has opened
//!   files a moment ago, so then it can open one, too, and looks.
//! * One that is put on later: by `prctl` or `syscall`, which are ours (`calls.rs`).
//!
//! What cannot be seen is a filter that is put on by the machine's instruction itself. A thread's
//! own filter counts for all of them.

use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kernel::{address, call};

/// How many filters there are, or are about to be.
///
/// Ordering: Relaxed everywhere, without a partner. Who puts a filter on other threads does so at
/// some moment of theirs.
static FILTERS: AtomicUsize = AtomicUsize::new(0);

/// Whether only that may be called which the C library's functions call.
pub(crate) fn behind_filter() -> bool {
    FILTERS.load(Ordering::Relaxed) > 0
}

/// Whether a system call puts a filter on, if it succeeds.
pub(crate) fn puts_filter_on(number: c_long, first: c_long) -> bool {
    match number {
        libc::SYS_seccomp => {
            first == c_long::from(libc::SECCOMP_SET_MODE_FILTER)
                || first == c_long::from(libc::SECCOMP_SET_MODE_STRICT)
        }
        libc::SYS_prctl => first == c_long::from(libc::PR_SET_SECCOMP),
        _ => false,
    }
}

/// The call that puts a filter on: it counts before it is there.
pub(crate) fn putting_filter_on(
    put: impl FnOnce() -> Result<usize, c_int>,
) -> Result<usize, c_int> {
    FILTERS.fetch_add(1, Ordering::Relaxed);
    put().inspect_err(|_| {
        FILTERS.fetch_sub(1, Ordering::Relaxed);
    })
}

#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = look;

/// When the library is loaded.
extern "C" fn look() {
    let mut mode = Mode::new();
    // What cannot be read may be behind a filter: a process without `/proc` is in a jail.
    if read_status(|part| mode.read(part)).is_none() || mode.is_filter() {
        FILTERS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Gives the parts of the status of this thread to a function. `None`: it cannot be read.
fn read_status(mut with: impl FnMut(&[u8])) -> Option<()> {
    let (path, flags) = (c"/proc/thread-self/status", libc::O_RDONLY | libc::O_CLOEXEC);
    let arguments = [libc::AT_FDCWD.into(), address(path.as_ptr()), flags.into(), 0];
    // SAFETY: the path ends with a zero, and outlives the call.
    let fd = unsafe { call(libc::SYS_openat, arguments) }.ok()? as c_long;
    let mut buffer = [0; 1024];
    let end = loop {
        let arguments = [fd, address(buffer.as_mut_ptr()), buffer.len() as c_long];
        // SAFETY: the buffer is ours to write, for its length.
        match unsafe { call(libc::SYS_read, arguments) } {
            Ok(0) => break Some(()),
            Ok(count) => with(&buffer[..count]),
            Err(libc::EINTR) => {}
            Err(_) => break None,
        }
    };
    // SAFETY: the descriptor is ours.
    let _closed = unsafe { call(libc::SYS_close, [fd]) };
    end
}

/// How a line begins that tells of a filter.
const LINE: &[u8] = b"\nSeccomp:";

/// Finds that line, in whatever parts it comes. (It is behind one that names all groups.)
struct Mode {
    /// So much of [`LINE`] has been read.
    matched: usize,
    /// The first letter behind it: 0 is none, 2 a filter, 1 the strict mode.
    mode: Option<u8>,
}

impl Mode {
    fn new() -> Mode {
        Mode { matched: 1, mode: None }
    }

    fn read(&mut self, part: &[u8]) {
        for byte in part.iter().copied() {
            if let Some(wanted) = LINE.get(self.matched) {
                let again = usize::from(byte == LINE[0]);
                self.matched = if byte == *wanted { self.matched + 1 } else { again };
            } else if self.mode.is_none() && !byte.is_ascii_whitespace() {
                self.mode = Some(byte);
            }
        }
    }

    fn is_filter(&self) -> bool {
        self.mode.is_some_and(|mode| mode != b'0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tells_of_filter(status: &[u8], size: usize) -> bool {
        let mut mode = Mode::new();
        status.chunks(size).for_each(|part| mode.read(part));
        mode.is_filter()
    }

    #[test]
    fn a_mode_that_is_not_0_is_a_filter() {
        let is = |status: &[u8]| {
            let whole = tells_of_filter(status, 1000);
            assert!((1..20).all(|size| tells_of_filter(status, size) == whole));
            whole
        };
        assert!(is(b"Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(is(b"Seccomp:\t1\n"));
        assert!(!is(b"Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t2\n"));
        assert!(!is(b"Name:\tSeccomp: 2\n\nSecc\n"));
        assert!(is(b"Groups:\t1 2 3\n\nSecc\nSeccomp:\t2"));
    }

    #[test]
    fn the_status_of_this_thread_can_be_read() {
        let mut status = Vec::new();
        read_status(|part| status.extend_from_slice(part)).unwrap();
        assert!(status.starts_with(b"Name:") && status.ends_with(b"\n"));
    }

    #[test]
    fn a_call_that_fails_puts_nothing_on() {
        let before = behind_filter();
        let answer = putting_filter_on(|| {
            assert!(behind_filter());
            Err(libc::EFAULT)
        });
        assert_eq!((answer, behind_filter()), (Err(libc::EFAULT), before));
        assert!(puts_filter_on(libc::SYS_seccomp, 1) && !puts_filter_on(libc::SYS_seccomp, 2));
        assert!(puts_filter_on(libc::SYS_prctl, 22) && !puts_filter_on(libc::SYS_prctl, 21));
        assert!(!puts_filter_on(libc::SYS_read, 1));
    }
}
