//! `threadlet::fs`, in our runtimes and in others.

mod cursor;
mod elsewhere;
mod limits;
mod model;
mod ours;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;
mod vectored;

use std::future::Future;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Far more than any of this takes; a test that gets there hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory of a test's own, on the disk that the build is on.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fs-{}-{number}", std::process::id());
        // The build's directory may be another user's.
        let dirs = [
            std::env::var_os("THREADLET_TEST_DIR").map(PathBuf::from),
            Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))),
            Some(std::env::temp_dir()),
        ];
        let mut paths = dirs.into_iter().flatten().map(|dir| dir.join(&name));
        let made = paths.find(|path| std::fs::create_dir_all(path).is_ok());
        Scratch(made.expect("a directory to make files in"))
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that tell where they are: no two pages are alike for a long time, the period being a
/// prime.
fn pattern(length: usize) -> Vec<u8> {
    let period: Vec<u8> =
        (0..65_521_u32).map(|n| n.wrapping_mul(0x9E37_79B9).to_be_bytes()[0]).collect();
    let mut pattern = period.repeat(length.div_ceil(period.len()));
    pattern.truncate(length);
    pattern
}

/// Takes a file's pages out of memory.
fn evict(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    // SAFETY: numbers only.
    let advised = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(advised, 0);
}

/// How many of the process's threads are those of a runtime of ours.
fn threads_of_ours() -> usize {
    support::os::thread_names().iter().filter(|name| name.starts_with("threadlet")).count()
}

/// Polls a future once, and drops it.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
