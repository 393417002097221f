//! `unblock` and `Unblock`, in our runtimes and in others'.

mod calls;
mod drops;
mod foreign;
mod io;
mod stream;
#[path = "../support/mod.rs"]
mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use support::{Barrier, build, detectors, wait_until, within};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::threadlet;

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `case` under each detector, with a limit: what hangs cannot be unwound.
fn each(case: fn(Detector)) {
    for detector in detectors() {
        within(LIMIT, move || case(detector));
    }
}

/// Runs `case` as a task of a runtime with two cores, under each detector.
fn each_task<F: Future<Output = ()> + Send + 'static>(case: fn() -> F) {
    for detector in detectors() {
        within(LIMIT, move || {
            let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
            support::in_time(&runtime, "the case ends", runtime.spawn(case())).unwrap();
        });
    }
}

/// A runtime in which nothing can start until three are let go.
fn stuck(detector: Detector) -> (Runtime, Barrier) {
    let mut builder = Builder::new_multi_thread();
    let runtime = build(builder.worker_threads(1).max_async_threads(1), detector);
    let barrier = Barrier::default();
    // One with a permit, one on the emergency thread, and one that keeps the core.
    for nth in 1..=3 {
        let mine = barrier.clone();
        drop(runtime.spawn(async move { threadlet!(or_inline; mine.block()) }));
        wait_until("it blocks", || barrier.blocked() == nth);
    }
    (runtime, barrier)
}

/// Polls once, for nobody.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts what has been dropped.
#[derive(Clone, Debug, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn one(&self) -> Counted {
        Counted(self.clone())
    }
}

#[derive(Debug)]
struct Counted(Drops);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A file with these bytes, open for reading and writing, and its path.
fn file_of(bytes: &[u8]) -> (std::fs::File, std::path::PathBuf) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "threadlet-unblock-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    (file, path)
}

/// Bytes in which neither a page nor a byte looks like its neighbours.
fn pattern(length: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..4096 + 251).map(|place| (place % 251) as u8).collect();
    let mut all: Vec<u8> = Vec::with_capacity(length + 4096);
    for page in 0..length.div_ceil(4096) {
        all.extend_from_slice(&bytes[page * 7 % 251..][..4096]);
    }
    all.truncate(length);
    all
}

/// What the panic said.
fn text_of(payload: &(dyn std::any::Any + Send)) -> &str {
    payload.downcast_ref::<&str>().expect("a literal")
}
