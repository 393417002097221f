//! What the integration tests have in common.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod fuse;
pub(crate) mod os;
mod process;
pub(crate) mod uffd;

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use threadlet::runtime::{Builder, Detector, Runtime};

pub(crate) use self::process::*;

/// How long a condition may take to become true on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whether `THREADLET_SKIP` names `what`. Each skip is a line for the summary to count.
pub(crate) fn skip(what: &str) -> bool {
    let skips = std::env::var("THREADLET_SKIP").unwrap_or_default();
    let skipped = skips.split(',').any(|word| word.trim() == what);
    if skipped {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        say(&format!("SKIPPED: {what} ({test})"));
    }
    skipped
}

/// The detectors to test: both, or the one that `THREADLET_DETECTOR` leaves.
pub(crate) fn detectors() -> Vec<Detector> {
    let word = std::env::var("THREADLET_DETECTOR").unwrap_or_default();
    let all = match word.as_str() {
        "perf" => vec![Detector::Perf],
        "monitor" => vec![Detector::Monitor],
        "off" => vec![Detector::Off],
        _ => vec![Detector::Perf, Detector::Monitor],
    };
    all.into_iter().filter(|detector| *detector != Detector::Perf || !skip("perf")).collect()
}

/// Builds, and demands that the detector is the one that was asked for.
pub(crate) fn build(builder: &mut Builder, detector: Detector) -> Runtime {
    let runtime = builder.detector(detector).build().expect("the runtime can be built");
    let metrics = runtime.metrics();
    let name = match detector {
        Detector::Perf => "perf",
        Detector::Monitor => "monitor",
        Detector::Off => "off",
        _ => return runtime,
    };
    assert_eq!(metrics.detector, name, "because: {:?}", metrics.detector_reason);
    runtime
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Awaits `future` in `runtime`, but not for ever.
#[track_caller]
pub(crate) fn in_time<F: Future>(runtime: &Runtime, what: &str, future: F) -> F::Output {
    let done = runtime.block_on(async { threadlet::time::timeout(PATIENCE, future).await });
    done.unwrap_or_else(|_| panic!("{what}: {:#?}", runtime.metrics()))
}

/// How many threads of this process have that name.
pub(crate) fn threads_named(name: &str) -> usize {
    os::thread_names().iter().filter(|other| *other == name).count()
}

/// Waits until `tick` has grown by `more`.
#[track_caller]
pub(crate) fn wait_for_ticks(what: &str, ticks: &AtomicUsize, more: usize) {
    let goal = ticks.load(Ordering::Relaxed) + more;
    wait_until(what, || ticks.load(Ordering::Relaxed) >= goal);
}

/// Calls that block until they are let go: a semaphore on a lock and a condition variable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Barrier(Arc<(Mutex<Callers>, Condvar)>);

#[derive(Debug, Default)]
struct Callers {
    came: usize,
    went: usize,
    may_go: usize,
}

impl Barrier {
    /// Blocks until somebody lets one go.
    pub(crate) fn block(&self) {
        let mut callers = self.0.0.lock().unwrap();
        callers.came += 1;
        callers = self.0.1.wait_while(callers, |callers| callers.may_go == 0).unwrap();
        callers.may_go -= 1;
        callers.went += 1;
    }

    /// Lets `count` go, now or when they come.
    pub(crate) fn let_go(&self, count: usize) {
        self.0.0.lock().unwrap().may_go += count;
        self.0.1.notify_all();
    }

    /// How many have come to [`block`](Self::block) so far.
    pub(crate) fn came(&self) -> usize {
        self.0.0.lock().unwrap().came
    }

    /// How many are in [`block`](Self::block).
    pub(crate) fn blocked(&self) -> usize {
        let callers = self.0.0.lock().unwrap();
        callers.came - callers.went
    }
}

/// `threadlet!(call())` at a site of which nothing is known: the calls before it return at once,
/// and whatever the site had learnt from earlier tests is forgotten. So the core is handed over
/// because `call` was seen to block, and not because calls of the site always do.
pub(crate) async fn unpredicted<T>(call: impl FnOnce() -> T) -> T {
    let (mut call, mut returned) = (Some(call), None);
    for left in (0..8).rev() {
        threadlet::threadlet!(if left == 0 {
            returned = call.take().map(|call| call());
        });
    }
    returned.expect("the last call was made")
}

/// A block is seen, whatever else does not work.
pub(crate) fn a_block_is_seen(runtime: &Runtime) {
    let barrier = Barrier::default();
    let (ticks, ticker) = ticker(runtime);
    let mine = barrier.clone();
    let before = runtime.metrics().handoffs_blocked;
    let task = runtime.spawn(unpredicted(move || mine.block()));
    wait_until("the block is seen", || runtime.metrics().handoffs_blocked > before);
    wait_for_ticks("the ticker goes on", &ticks, 10);
    barrier.let_go(1);
    runtime.block_on(task).unwrap();
    ticker.abort();
}

/// A task that counts milliseconds until it is aborted.
pub(crate) fn ticker(runtime: &Runtime) -> (Arc<AtomicUsize>, threadlet::task::AbortHandle) {
    let ticks = Arc::new(AtomicUsize::new(0));
    let mine = ticks.clone();
    let task = runtime.spawn(async move {
        loop {
            threadlet::time::sleep(Duration::from_millis(1)).await;
            mine.fetch_add(1, Ordering::Relaxed);
        }
    });
    (ticks, task.abort_handle())
}

/// Runs `f`, and ends the process if it takes longer than `limit`: a test that hangs has failed,
/// and what it hangs in cannot be unwound.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, wait) = mpsc::channel();
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let thread = std::thread::Builder::new().name(name.clone());
    let thread = thread.spawn(move || {
        let result = f();
        let _ = done.send(());
        result
    });
    match wait.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => {
            let text = format!("\ntest {name} FAILED: it hangs (no end within {limit:?})\n");
            let _ = std::io::stderr().write_all(text.as_bytes());
            std::process::exit(101);
        }
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
    }
    match thread.expect("a thread can be created").join() {
        Ok(result) => result,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor that is none of ours.
pub(crate) fn foreign_block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
