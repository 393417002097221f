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
    let mut status = [0; 4096];
    // What cannot be read may be behind a filter: a process without `/proc` is in a jail.
    if read_status(&mut status).is_none_or(tells_of_filter) {
        FILTERS.fetch_add(1, Ordering::Relaxed);
    }
}

fn read_status(buffer: &mut [u8]) -> Option<&[u8]> {
    let (path, flags) = (c"/proc/thread-self/status", libc::O_RDONLY | libc::O_CLOEXEC);
    let arguments = [libc::AT_FDCWD.into(), address(path.as_ptr()), flags.into(), 0];
    // SAFETY: the path ends with a zero, and outlives the call.
    let fd = unsafe { call(libc::SYS_openat, arguments) }.ok()? as c_long;
    let arguments = [fd, address(buffer.as_mut_ptr()), buffer.len() as c_long];
    // SAFETY: the buffer is ours to write, for its length. All of it comes at once.
    let read = unsafe { call(libc::SYS_read, arguments) };
    // SAFETY: the descriptor is ours.
    let _closed = unsafe { call(libc::SYS_close, [fd]) };
    buffer.get(..read.ok()?)
}

/// 0 is none; 2 is a filter, 1 the strict mode.
fn tells_of_filter(status: &[u8]) -> bool {
    let lines = || status.split(|byte| *byte == b'\n');
    let mode = lines().find_map(|line| line.strip_prefix(b"Seccomp:"));
    mode.is_some_and(|mode| mode.trim_ascii() != b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_is_not_0_is_a_filter() {
        assert!(tells_of_filter(b"Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(tells_of_filter(b"Seccomp:\t1\n"));
        assert!(!tells_of_filter(b"Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t2\n"));
        assert!(!tells_of_filter(b"Name:\tSeccomp: 2\n"));
    }

    #[test]
    fn the_status_of_this_thread_can_be_read() {
        let mut buffer = [0; 4096];
        let status = read_status(&mut buffer).unwrap();
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
