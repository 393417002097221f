//! Who runs what would block.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use threadlet::raw::Pump;
use threadlet::runtime::{Builder, Detector, Runtime};

use crate::sys;

/// How many requests are in the kernel at once, unless the program says otherwise (`aio_init`).
const LIMIT: usize = 256;

/// As many as the runtime allows.
const LIMIT_MAX: usize = 1 << 14;

/// What `aio_init` said last; 0: nothing.
///
/// Ordering: Relaxed everywhere, without a partner; nothing comes with the number.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// The pump, on a runtime of its own; it starts no thread before the first request.
///
/// The runtime has no detector, and needs none: every request is known to block. So it opens no
/// descriptor, neither now nor later.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    running: OnceLock<Running>,
    starting: Mutex<()>,
}

#[derive(Debug)]
struct Running {
    pump: Pump,
    runtime: Runtime,
}

thread_local! {
    /// Whether this thread is in a call to the pump, and may hold its lock.
    static SUBMITTING: Cell<bool> = const { Cell::new(false) };
}

/// True in a signal handler that has interrupted [`Running::submit`].
pub(crate) fn is_submitting() -> bool {
    SUBMITTING.get()
}

impl Running {
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let before = SUBMITTING.replace(true);
        self.pump.submit(move || {
            // If it is run by the call itself.
            SUBMITTING.set(false);
            job();
        });
        SUBMITTING.set(before);
    }
}

fn limit() -> usize {
    match CHOSEN.load(Ordering::Relaxed) {
        0 => LIMIT,
        chosen => chosen,
    }
}

impl Engine {
    /// For this engine, if there is one, and those to come.
    pub(crate) fn set_limit(engine: Option<&Engine>, limit: usize) {
        let limit = limit.clamp(1, LIMIT_MAX);
        CHOSEN.store(limit, Ordering::Relaxed);
        if let Some(running) = engine.and_then(|engine| engine.running.get()) {
            running.runtime.set_max_async_threads(limit);
            running.pump.set_limit(limit);
        }
    }

    /// Has the job run, and does not wait for it; but if the system refuses us threads it is run
    /// here. So no lock must be held that the job takes.
    pub(crate) fn submit(&'static self, job: impl FnOnce() + Send + 'static) {
        match self.running.get() {
            Some(running) => running.submit(job),
            // All threads of the runtime descend from those that are started here. The program's
            // signals are not for them.
            None => sys::without_signals(|| match self.start() {
                Ok(running) => running.submit(job),
                Err(_) => job(),
            }),
        }
    }

    fn start(&'static self) -> io::Result<&'static Running> {
        let _one = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = self.running.get() {
            return Ok(running);
        }
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).max_async_threads(limit()).thread_name("threadlet-aio");
        let runtime = builder.detector(Detector::Off).build()?;
        let pump = Pump::on(runtime.handle(), limit());
        Ok(self.running.get_or_init(|| Running { pump, runtime }))
    }
}
