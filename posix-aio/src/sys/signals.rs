//! What interrupts a thread: signals, and being cancelled. And signals that tell the program.

use std::ffi::c_int;
use std::fmt;
use std::mem;
use std::ptr;

use super::kernel::{address, call};
use crate::abi::{SI_ASYNCIO, Sigval};

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// Whether this thread can be cancelled, from now on; what it was before.
fn set_cancel_state(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: the place is ours to write.
    unsafe { pthread_setcancelstate(state, &raw mut before) };
    before
}

/// Runs `f` on a thread that is not cancelled meanwhile.
pub(super) fn uncancelled<T>(f: impl FnOnce() -> T) -> T {
    let cancel = set_cancel_state(PTHREAD_CANCEL_DISABLE);
    let result = f();
    set_cancel_state(cancel);
    result
}

/// Blocks all signals on this thread; the mask before.
fn block_signals() -> libc::sigset_t {
    // SAFETY: a plain bit set, for which zero is a value.
    let [mut all, mut before]: [libc::sigset_t; 2] = unsafe { mem::zeroed() };
    // SAFETY: the set is ours to write.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets outlive the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    before
}

/// Sets the signals that are blocked on this thread.
fn set_signals(mask: &libc::sigset_t) {
    // SAFETY: the set outlives the call; the one before is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

/// All signals are blocked on this thread until this is dropped: so no handler, which may wait for a
/// request, has interrupted whoever holds a lock that the end of the request takes.
pub(crate) struct Quiet(libc::sigset_t);

impl Quiet {
    pub(crate) fn new() -> Quiet {
        Quiet(block_signals())
    }

    /// Runs `f` with the signals as they were before: those that are waiting come now.
    pub(crate) fn pause(&self, f: impl FnOnce()) {
        set_signals(&self.0);
        f();
        block_signals();
    }
}

impl fmt::Debug for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quiet").finish_non_exhaustive()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        set_signals(&self.0);
    }
}

/// The two signals that a call raises on the thread that makes it.
const RAISED: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Runs `f`, which starts a thread, with all signals blocked: so they are on that one.
pub(super) fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    let mask = block_signals();
    let result = f();
    set_signals(&mask);
    result
}

/// Runs `f` with all signals blocked, on a thread that is not cancelled meanwhile: a request that
/// has begun has to be finished. The program is not told of a signal that a call in `f` raises, as
/// it is not told of those of our threads.
pub(crate) fn without_signals<T>(f: impl FnOnce() -> T) -> T {
    uncancelled(|| {
        with_signals_blocked(|| {
            let before = RAISED.map(is_pending);
            let result = f();
            for (signo, before) in RAISED.into_iter().zip(before) {
                if !before && is_pending(signo) {
                    take_pending(signo);
                }
            }
            result
        })
    })
}

fn is_pending(signo: c_int) -> bool {
    // SAFETY: a plain bit set, for which zero is a value.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set is ours to write.
    unsafe { libc::sigpending(&raw mut set) };
    // SAFETY: the set outlives the call.
    unsafe { libc::sigismember(&raw const set, signo) == 1 }
}

fn take_pending(signo: c_int) {
    // SAFETY: a plain bit set, for which zero is a value.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set is ours to write.
    unsafe { libc::sigaddset(&raw mut set, signo) };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time outlive the call; what is taken is not asked for.
    unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const now) };
}

/// Unblocks all signals on this thread.
pub(super) fn unblock_signals() {
    // SAFETY: a plain bit set; all zeros is the empty one.
    let none: libc::sigset_t = unsafe { mem::zeroed() };
    set_signals(&none);
}

/// The part of `siginfo_t` that the kernel takes from us.
#[repr(C)]
struct Info {
    signo: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: Sigval,
    rest: [u64; 12],
}
const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>());

/// Sends the program a signal that says that a request is finished.
pub(crate) fn send_signal(signo: c_int, value: Sigval) {
    // SAFETY: takes nothing.
    let pid = unsafe { libc::getpid() };
    // SAFETY: takes nothing.
    let uid = unsafe { libc::getuid() };
    let code = SI_ASYNCIO;
    let info = Info { signo, errno: 0, code, padding: 0, pid, uid, value, rest: [0; 12] };
    // SAFETY: the structure outlives the call, which only reads it. The result is ignored as there
    // is nobody to be told: the queue of signals may be full, or the number none.
    let _sent = unsafe {
        let arguments = [pid.into(), signo.into(), address(&raw const info)];
        call(libc::SYS_rt_sigqueueinfo, arguments)
    };
}
