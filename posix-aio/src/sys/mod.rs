//! What touches the program's memory, and every system call: all `unsafe` of this library but for
//! the C functions themselves (`calls.rs`).
//!
//! Each function here is safe to call on the strength of one promise, which whoever calls a C
//! function of this library makes, and which [`ControlBlock::new`] takes note of: *the control
//! block and its buffer stay what and where they are until the request is finished*. Buffers are
//! never made into references: they are given to the kernel, which refuses those that are not
//! there.
//!
//! | module | what it is |
//! |---|---|
//! | `kernel` | system calls by their number |
//! | `filter` | whether a filter forbids some of them |
//! | `control_block` | what the program has written, and where the results go |
//! | `descriptor` | what a descriptor stands for, and how it goes |
//! | `transfer` | reading, writing, and having it reach the device |
//! | `clock` | times, and the futex |
//! | `cancellable` | waiting where a thread may be cancelled |
//! | `signals` | what interrupts a thread; signals to the program |
//! | `threads` | threads of our own, and for the program's functions |
//! | `stack` | a stack that signal handlers may push to |
//! | `kernel_queue` | the kernel's own queue of requests |
//! | `leaked` | a pointer to what is never freed |

mod cancellable;
mod clock;
mod control_block;
mod descriptor;
mod filter;
mod kernel;
mod kernel_queue;
mod leaked;
mod signals;
mod stack;
mod threads;
mod transfer;

pub(crate) use self::cancellable::{Semaphore, may_be_cancelled, with_cleanup};
pub(crate) use self::clock::{
    Waited, between, later, now, ticks, wait, wake, yield_now, yield_or_sleep,
};
pub(crate) use self::control_block::{Buffer, ControlBlock, Event, Params};
pub(crate) use self::descriptor::{
    Kind, Target, close, close_directly, close_range, close_stream, descriptor_of, duplicate_from,
    duplicate_onto, file_size_is_unlimited, flags, most_descriptors, open_descriptors,
    refuses_position, target,
};
pub(crate) use self::filter::{behind_filter, puts_filter_on, putting_filter_on};
pub(crate) use self::kernel::call;
pub(crate) use self::kernel_queue::{KernelQueue, Transfer};
pub(crate) use self::leaked::Leaked;
pub(crate) use self::signals::{Quiet, send_signal, without_signals};
pub(crate) use self::stack::{Link, Linked, Stack};
pub(crate) use self::threads::{Callback, start_own};
pub(crate) use self::transfer::{is_end, read, read_nowait, sync, write, write_nowait};

use std::ffi::{CStr, c_int};
use std::io;

/// What a request has come to: bytes, or an error number.
pub(crate) type Outcome = Result<usize, c_int>;

/// What a system call says.
fn outcome(answer: isize) -> io::Result<usize> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as usize) }
}

pub(crate) fn errno_of(error: &io::Error) -> c_int {
    error.raw_os_error().unwrap_or(libc::EIO)
}

pub(crate) fn set_errno(error: c_int) {
    // SAFETY: takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's.
    unsafe { *place = error };
}

/// Has `f` called in the child after each `fork`.
pub(crate) fn on_fork_in_child(f: extern "C" fn()) {
    // SAFETY: a function of this library, which is never unloaded. Without memory for it a child
    // that uses requests is on its own.
    unsafe { libc::pthread_atfork(None, None, Some(f)) };
}

/// Whether the program's user wants no queue of the kernel's (`THREADLET_AIO=threads`).
pub(crate) fn wants_threads() -> bool {
    // SAFETY: the name ends with a zero. Whoever changes the environment beside other threads races
    // with all of the C library.
    let value = unsafe { libc::getenv(c"THREADLET_AIO".as_ptr()) };
    // SAFETY: it ends with a zero, if it is there.
    !value.is_null() && unsafe { CStr::from_ptr(value) } == c"threads"
}
