//! Who runs what would block: the pump, on threads of its own. The first is started by the first
//! request that has to wait; one that has had nothing to do for a while ends, so that a process ends
//! whose own threads all have.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use threadlet::raw::{Pump, Runner, Threads};

use crate::sys;

/// How many requests are in the kernel at once, unless the program says otherwise (`aio_init`).
const LIMIT: usize = 256;

/// More threads than that are of no use to anybody.
const LIMIT_MAX: usize = 1 << 14;

/// What `aio_init` said last.
///
/// Ordering: Relaxed everywhere, without a partner; nothing comes with the numbers.
static CHOSEN: AtomicUsize = AtomicUsize::new(LIMIT);
/// The same, in seconds: as long as the C library waits.
static IDLE_S: AtomicUsize = AtomicUsize::new(1);

/// Runs closures that may block.
#[derive(Debug)]
pub(crate) struct Engine {
    pump: Pump,
}

const THREADS: Threads =
    Threads { start, linger: || Duration::from_secs(idle_s() as u64), yield_now: sys::yield_now };

fn start(runner: Runner) {
    if let Err(runner) = sys::start_own(runner, Runner::run) {
        sys::without_signals(|| runner.run_here());
    }
}

thread_local! {
    /// Whether this thread is in a call to the pump, and may hold its lock.
    static SUBMITTING: Cell<bool> = const { Cell::new(false) };
}

/// True in a signal handler that has interrupted such a call.
pub(crate) fn is_submitting() -> bool {
    SUBMITTING.get()
}

fn idle_s() -> usize {
    IDLE_S.load(Ordering::Relaxed)
}

/// For how long a thread waits for the next request.
pub(crate) fn idle_time() -> libc::timespec {
    libc::timespec { tv_sec: idle_s() as i64, tv_nsec: 0 }
}

/// For how long a thread waits for the next request, in seconds.
pub(crate) fn set_idle_time(seconds: c_int) {
    IDLE_S.store(usize::try_from(seconds).unwrap_or(0), Ordering::Relaxed);
}

impl Engine {
    pub(crate) fn new() -> Engine {
        Engine { pump: Pump::on_threads(THREADS, CHOSEN.load(Ordering::Relaxed)) }
    }

    /// For this engine, if there is one, and those to come.
    pub(crate) fn set_limit(engine: Option<&Engine>, limit: usize) {
        let limit = limit.clamp(1, LIMIT_MAX);
        CHOSEN.store(limit, Ordering::Relaxed);
        if let Some(engine) = engine {
            submitting(|| engine.pump.set_limit(limit));
        }
    }

    /// Has the job run, and does not wait for it; but if we have no thread and the system refuses
    /// us one, it is run here. So no lock must be held that the job takes.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let job = move || {
            // If it is run by the call itself.
            SUBMITTING.set(false);
            job();
        };
        submitting(|| self.pump.submit(job));
    }
}

fn submitting(f: impl FnOnce()) {
    let before = SUBMITTING.replace(true);
    f();
    SUBMITTING.set(before);
}
