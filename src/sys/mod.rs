//! The one seam to the operating system.
//!
//! Every function here is safe to call; what the kernel asks of its callers is discharged inside.
//! Nothing here knows of cores, regions or permits. The modules take their atomics and locks from
//! the standard library, not from `primitive`: the kernel is the partner here, and no model has
//! one.

#[cfg(all(feature = "backtrace", target_arch = "x86_64"))]
pub(crate) mod asleep;
#[cfg(feature = "bytes")]
pub(crate) mod buffer;
pub(crate) mod child;
pub(crate) mod counter;
pub(crate) mod epoll;
pub(crate) mod exit;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod futex;
/// For tests that need one.
#[cfg(test)]
#[path = "../../tests/support/process.rs"]
#[allow(dead_code, reason = "the integration tests use more of it")]
pub(crate) mod own_process;
pub(crate) mod perf;
pub(crate) mod poll;
pub(crate) mod seccomp;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod stat;
pub(crate) mod stderr;
pub(crate) mod thread;
pub(crate) mod whereabouts;

use std::io;
use std::time::Duration;

/// Turns the `-1` convention of system calls into a result.
fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Like [`check`], for `libc::syscall`.
fn check_long(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// A number as `syscall` is to have it. It takes whole words from wherever its arguments come, the
/// stack for one, where a number of half a word leaves the rest as it was.
fn whole(number: libc::c_int) -> libc::c_long {
    number.into()
}

/// A relative time as the kernel takes it; what is too long becomes the longest.
fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos() as _,
    }
}

/// A pointer to an optional time: none is null, which the kernel reads as "for ever".
fn timespec_ptr(time: &Option<libc::timespec>) -> *const libc::timespec {
    time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref)
}
