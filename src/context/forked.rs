//! What becomes of all this in a child of `fork`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{entered, thread};

/// How many forks lie between the first process and this one, since runtimes are built.
static FORKS: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn forks() -> usize {
    FORKS.load(Ordering::Relaxed)
}

/// In a child of `fork` there is no runtime: neither its threads nor its rings were copied.
pub(crate) extern "C" fn forget_after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    thread::forget_all();
    entered::forget_all();
}
