//! To be told in the child that the process forked.
//!
//! After a fork the child has one thread, and none of the rings that watched the others. Whoever
//! keeps such state puts it away in the handler.

use std::io;
use std::sync::{Mutex, PoisonError};

/// Has `f` called in the child after each `fork`, on the thread that forked.
///
/// One handler per process: the first call that succeeds registers, later ones change nothing,
/// whatever they pass. `f` runs where only async-signal-safe functions are allowed: let it store
/// to atomics. A bare `clone` system call does not run it.
pub(crate) fn on_fork_in_child(f: extern "C" fn()) -> io::Result<()> {
    static REGISTERED: Mutex<bool> = Mutex::new(false);
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*registered {
        // SAFETY: `f` is a function of this program, which is never unloaded.
        let errno = unsafe { libc::pthread_atfork(None, None, Some(f)) };
        if errno != 0 {
            return Err(io::Error::from_raw_os_error(errno));
        }
        *registered = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static CALLS: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count() {
        // Ordering: Relaxed; the forked child has one thread.
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    /// Ignored, because the one handler per process belongs to whoever comes first: it runs in a
    /// process of its own, see below.
    #[test]
    #[ignore = "run by runs_in_the_child_and_once, in a process of its own"]
    fn alone_runs_in_the_child_and_once() {
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
    fn runs_in_the_child_and_once() {
        let name = "sys::fork::tests::alone_runs_in_the_child_and_once";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
