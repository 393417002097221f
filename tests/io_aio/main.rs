//! `threadlet::aio`, in our runtimes and in others.

mod cancel;
mod depth;
mod executors;
mod faults;
mod order;
#[path = "../support/mod.rs"]
mod support;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use threadlet::aio::{Op, Queue};
use threadlet::runtime::Builder;

use self::support::{Barrier, build, detectors, foreign_block_on};

/// Far more than any of this takes; a test that gets there hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A file of a test's own, on the disk that the build is on.
struct Scratch(PathBuf);

impl Scratch {
    fn new(contents: &[u8]) -> Scratch {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("aio-{}-{number}", std::process::id());
        let dir = std::env::var_os("THREADLET_TEST_DIR").map(PathBuf::from);
        let path = dir.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).join(&name);
        if std::fs::write(&path, contents).is_ok() {
            return Scratch(path);
        }
        // A user to whom the build does not belong.
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, contents).unwrap();
        Scratch(path)
    }

    fn open(&self) -> std::fs::File {
        std::fs::File::options().read(true).write(true).open(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs `test` where nothing of ours is entered, and in a runtime with each detector.
fn in_each_runtime(test: impl Fn()) {
    test();
    for detector in detectors() {
        let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
        let _entered = runtime.enter();
        test();
    }
}

/// An operation that runs until it is let go.
fn blocked(barrier: &Barrier) -> Op<()> {
    let barrier = barrier.clone();
    Op::call(move || {
        barrier.block();
        Ok(1)
    })
}

/// An operation that only counts, and carries something.
fn counted(count: &Arc<AtomicUsize>) -> Op<()> {
    let count = count.clone();
    Op::call(move || Ok(count.fetch_add(1, Ordering::SeqCst)))
}

/// Waits until all that was submitted has ended.
fn drain(queue: &Queue) {
    foreign_block_on(queue.drain());
}

fn errno(result: io::Result<usize>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

/// Polls a future once.
fn poll_now<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
