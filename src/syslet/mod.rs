//! Syslets: typed operations, most of them on files, that can be *asked* first.
//!
//! Of each operation there is the *plain* form, which blocks if it must, and, where the kernel has
//! one, the *ask* form, which does on the calling thread what can be done without waiting, and
//! otherwise says so. A [`Chain`] is a list of operations, run in order until one would block; then
//! the rest of the chain moves to a thread that may block.
//!
//! | operation | ask form |
//! |---|---|
//! | open without creating or truncating; look up | `openat2` with `RESOLVE_CACHED` |
//! | read, write, of one buffer or several | `preadv2`, `pwritev2` with `RWF_NOWAIT` |
//! | size and kind | `statx` with `AT_STATX_DONT_SYNC` |
//! | close of what was only read | itself |
//! | receive and send on a socket | `recv`, `send` with `MSG_DONTWAIT` |
//! | lock a whole file | `flock` with `LOCK_NB` |
//! | wait for a child | `waitpid` with `WNOHANG` |
//! | anything else | none: it is taken to block |
//!
//! An answer is believed only if nothing else can be meant by it. The rules, each with its reason:
//!
//! 1. *Behind a seccomp filter nothing is asked*: a filter may kill for a system call that it does
//!    not know. (A socket, a lock and a child are: by the system call that the plain form makes.)
//! 2. *A file system that refuses is not asked again* ([`OpenFile`] remembers it), and a kernel
//!    without `openat2` is found out once for the process.
//! 3. *No bytes are the end of a file only if the position is not before the size, and the size is
//!    not 0.* Kernels were seen to answer 0 for bytes that were merely not in memory (tokio issue
//!    3803), and special files have a size of 0 whatever is in them.
//! 4. *A file opened with `O_DIRECT` is not asked*, as the kernel waits for the device all the
//!    same; nor is one with `O_SYNC` or `O_DSYNC` asked to write, for the same reason.
//! 5. *Only regular files and directories are opened in the ask*. Whether a path is one is found
//!    out through `O_PATH`, which has no effect on a device or a FIFO.
//! 6. *Of the errors of a look-up, those are final that a path in memory can prove* (no such file,
//!    permission denied...); any other has the operation done the plain way, whose error counts.

mod answer;
mod ask;
mod chain;
mod file;
mod open;
// Nobody inside waits for a socket, a lock or a child by these yet.
#[cfg(any(test, feature = "raw"))]
mod other;

pub(crate) use self::answer::retry;
pub use self::answer::{Answer, INLINE_MAX, ask_all};
pub use self::ask::look_up;
#[cfg(feature = "raw")]
pub use self::ask::{is_end, judge, may_ask};
#[cfg(feature = "raw")]
pub use self::chain::Output;
pub use self::chain::{Chain, Progress, Syslet};
pub use self::file::OpenFile;
pub use self::open::{OpenOptions, ask_open, open};
#[cfg(feature = "raw")]
pub use self::other::{
    Lock, ask_lock, ask_receive, ask_send, ask_wait, lock, receive, send, unlock, wait,
};

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A directory of a test's own.
    pub(super) struct Scratch(pub(super) PathBuf);

    impl Scratch {
        pub(super) fn new() -> Scratch {
            static NUMBER: AtomicUsize = AtomicUsize::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("threadlet-syslet-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        pub(super) fn file(&self, contents: &[u8]) -> PathBuf {
            static NUMBER: AtomicUsize = AtomicUsize::new(0);
            let path = self.0.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
            std::fs::write(&path, contents).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Asks the kernel to take a file's pages out of memory; some file systems keep them there.
    pub(super) fn evict(path: &Path) {
        let file = std::fs::File::open(path).unwrap();
        file.sync_all().unwrap();
        crate::sys::file::forget_pages(std::os::fd::AsFd::as_fd(&file)).unwrap();
    }
}
