//! To be called when the process ends.

/// Has `f` called when the process exits: by a return from `main`, or by `exit`. Not if it is
/// killed, nor after `_exit`. `false`: the C library has no room for it.
pub(crate) fn at_exit(f: extern "C" fn()) -> bool {
    // SAFETY: `f` is a function of this program, which is never unloaded.
    unsafe { libc::atexit(f) == 0 }
}

/// Ends the process at once: nothing is flushed, and no other code of the program runs.
pub(crate) fn end_now(status: i32) -> ! {
    // SAFETY: takes a number, and does not return.
    unsafe { libc::_exit(status) }
}
