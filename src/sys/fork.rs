//! To be told in the child that the process forked, and not to wait there for threads of the
//! parent.
//!
//! After a fork the child has one thread, and none of the rings that watched the others. Whoever
//! keeps such state puts it away in the handler. A lock that another thread held at that moment is
//! held for ever: what may be held for long is a [`PerFork`].

use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// How many forks the handler has been told to count.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// Tells this process from those it was forked from, where the handler counts; see [`count`]. Only
/// good for comparisons, and to be told from 0.
pub(crate) fn forks() -> usize {
    FORKS.load(Ordering::Relaxed)
}

/// For the handler: one fork more.
pub(crate) fn count() {
    // Ordering: Relaxed; the forked child has one thread.
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Has `f` called in the child after each `fork`, on the thread that forked.
///
/// One handler per process: the first call that succeeds registers, later ones change nothing,
/// whatever they pass. (Of several that come first at the same time each may register its own. A
/// lock would be one more that a child may find held.) `f` runs where only async-signal-safe
/// functions are allowed: let it store to atomics. A bare `clone` system call does not run it.
pub(crate) fn on_fork_in_child(f: extern "C" fn()) -> io::Result<()> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // Ordering: Relaxed; nothing but the C library's list comes with it, which has its own lock.
    if !REGISTERED.load(Ordering::Relaxed) {
        // SAFETY: `f` is a function of this program, which is never unloaded.
        let errno = unsafe { libc::pthread_atfork(None, None, Some(f)) };
        if errno != 0 {
            return Err(io::Error::from_raw_os_error(errno));
        }
        REGISTERED.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// A value of one process: a child of `fork` makes its own, and never looks at its parent's again.
///
/// Only where the handler was registered before anybody used it, and counts.
#[derive(Debug)]
pub(crate) struct PerFork<T: Sync + 'static>(AtomicPtr<(usize, T)>, PhantomData<&'static T>);

impl<T: Default + Sync + 'static> PerFork<T> {
    pub(crate) const fn new() -> Self {
        PerFork(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }

    /// This process's. It is kept for ever, as is that of a parent: a thread that is not there any
    /// more may have been at it.
    pub(crate) fn get(&self) -> &'static T {
        let forks = forks();
        // Ordering: Acquire, here and below. Partner: the Release below.
        let mut place = self.0.load(Ordering::Acquire);
        loop {
            // SAFETY: null, or made below, and never freed once it was in place.
            if let Some((of, value)) = unsafe { place.as_ref() } {
                if *of == forks {
                    return value;
                }
            }
            let made = Box::into_raw(Box::new((forks, T::default())));
            let set = self.0.compare_exchange(place, made, Ordering::AcqRel, Ordering::Acquire);
            place = match set {
                Ok(_) => made,
                Err(other) => {
                    // SAFETY: made above, and nobody has seen it.
                    drop(unsafe { Box::from_raw(made) });
                    other
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    static CALLS: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count() {
        // Ordering: Relaxed; the forked child has one thread.
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    /// The one handler per process belongs to whoever comes first.
    #[test]
    fn runs_in_the_child_and_once() {
        if !crate::sys::own_process::alone(Duration::from_secs(60)) {
            return;
        }
        on_fork_in_child(count).unwrap();
        on_fork_in_child(count).unwrap();
        // SAFETY: the child calls nothing but _exit.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(CALLS.load(Ordering::Relaxed) as i32) };
        }
        let mut status = 0;
        // SAFETY: `status` is ours to write.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!(waited, pid);
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), 1, "called in the child, once");
        assert_eq!(CALLS.load(Ordering::Relaxed), 0, "not called in the parent");
    }

    #[test]
    fn all_threads_of_a_process_get_the_same() {
        static PLACE: PerFork<AtomicU32> = PerFork::new();
        let ask = || PLACE.get().fetch_add(1, Ordering::Relaxed);
        std::thread::scope(|scope| {
            (0..8).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!(ask(), 8);
    }
}
