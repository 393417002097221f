//! Who runs what would block.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use threadlet::raw::Pump;

use crate::user;

/// How many requests are in the kernel at once, unless the program says otherwise (`aio_init`).
const LIMIT: usize = 256;

/// What `aio_init` said last; 0: nothing.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is giving the pump something while the runtime may not be there yet.
    static STARTING: Cell<bool> = const { Cell::new(false) };
}

/// The pump, on the global runtime; it starts no thread before the first request.
#[derive(Debug)]
pub(crate) struct Engine {
    pump: Pump,
    /// Whether the runtime is known to run.
    runs: AtomicBool,
}

impl Engine {
    pub(crate) fn new() -> Engine {
        let limit = match CHOSEN.load(Ordering::Relaxed) {
            0 => LIMIT,
            chosen => chosen,
        };
        Engine { pump: Pump::new(limit), runs: AtomicBool::new(false) }
    }

    /// For this engine, if there is one, and those to come.
    pub(crate) fn set_limit(engine: Option<&Engine>, limit: usize) {
        let limit = limit.max(1);
        CHOSEN.store(limit, Ordering::Relaxed);
        if let Some(engine) = engine {
            engine.pump.set_limit(limit);
        }
    }

    /// Has the job run, and does not wait for it; but if the system refuses us threads it is run here.
    /// So no lock must be held that the job takes.
    pub(crate) fn submit(&'static self, job: impl FnOnce() + Send + 'static) {
        // Ordering: Relaxed; a hint.
        if self.runs.load(Ordering::Relaxed) {
            return self.pump.submit(job);
        }
        // All threads of the runtime descend from those that are started here. The program's signals
        // are not for them.
        let mask = user::block_signals();
        let nested = STARTING.replace(true);
        self.pump.submit(move || {
            if !STARTING.get() {
                self.runs.store(true, Ordering::Relaxed);
            }
            job();
        });
        STARTING.set(nested);
        user::set_signals(&mask);
    }
}
