//! What becomes of all this in a child of `fork`.

use super::thread;
use crate::shared::entered;
use crate::sys;

/// How many forks lie between the first process and this one, since runtimes are built.
pub(crate) fn forks() -> usize {
    sys::fork::forks()
}

/// In a child of `fork` there is no runtime: neither its threads nor its rings were copied.
pub(crate) extern "C" fn forget_after_fork() {
    sys::fork::count();
    thread::forget_all();
    entered::forget_all();
}
