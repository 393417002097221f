//! Times, and waiting for a word to change.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::AtomicU32;

use super::filter::behind_filter;
use super::kernel::{address, call};

const NS_PER_S: i64 = 1_000_000_000;

/// The time of the monotonic clock.
pub(crate) fn now() -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now
}

/// The sum of two times.
pub(crate) fn later(a: libc::timespec, b: libc::timespec) -> libc::timespec {
    let ns = a.tv_nsec + b.tv_nsec;
    let carry = i64::from(ns >= NS_PER_S);
    let tv_sec = a.tv_sec.saturating_add(b.tv_sec).saturating_add(carry);
    libc::timespec { tv_sec, tv_nsec: ns - carry * NS_PER_S }
}

/// From one time to another; `None`: that is over.
pub(crate) fn between(a: libc::timespec, b: libc::timespec) -> Option<libc::timespec> {
    let ns = b.tv_nsec - a.tv_nsec;
    let borrow = i64::from(ns < 0);
    let tv_sec = b.tv_sec.saturating_sub(a.tv_sec).saturating_sub(borrow);
    let tv_nsec = ns + borrow * NS_PER_S;
    (tv_sec >= 0 && (tv_sec, tv_nsec) != (0, 0)).then_some(libc::timespec { tv_sec, tv_nsec })
}

/// Lets others have the CPU, unless that is a system call too many.
pub(crate) fn yield_now() {
    if behind_filter() {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// After so many turns the one that is waited for cannot run beside this thread.
const TURNS: u32 = 64;

/// The same in a loop. After some turns this thread sleeps for a moment: one whose priority is higher
/// than that of the thread it waits for would yield for ever, on one CPU.
pub(crate) fn yield_or_sleep(turn: u32) {
    if turn < TURNS {
        return yield_now();
    }
    let moment = libc::timespec { tv_sec: 0, tv_nsec: 50_000 };
    let _late = wait(&AtomicU32::new(0), 0, Some(&later(now(), moment)));
}

/// A clock that costs next to nothing; see `hints.rs`.
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of the kind has it.
    #[allow(unused_unsafe, reason = "safe in younger compilers")]
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let libc::timespec { tv_sec, tv_nsec } = now();
        (tv_sec as u64).wrapping_mul(NS_PER_S as u64).wrapping_add(tv_nsec as u64)
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Woken, or it is not what it was.
    Woken,
    Signal,
    Late,
}

/// Waits until `word` is not `expected`, or the time of the monotonic clock has come. Without a
/// time a signal whose handler asks for it (`SA_RESTART`) does not end the wait.
pub(crate) fn wait(word: &AtomicU32, expected: u32, until: Option<&libc::timespec>) -> Waited {
    let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    let until = address(until.map_or(ptr::null(), ptr::from_ref));
    let any = libc::FUTEX_BITSET_MATCH_ANY.into();
    let word = address(word.as_ptr());
    // SAFETY: the word and the time outlive the call.
    match unsafe { call(libc::SYS_futex, [word, operation.into(), expected.into(), until, 0, any]) }
    {
        Err(libc::EINTR) => Waited::Signal,
        Err(libc::ETIMEDOUT) => Waited::Late,
        _ => Waited::Woken,
    }
}

/// Wakes all that wait for the word.
pub(crate) fn wake(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel only looks for waiters at the address.
    let _woken = unsafe {
        let arguments = [address(word.as_ptr()), operation.into(), c_int::MAX.into()];
        call(libc::SYS_futex, arguments)
    };
}
