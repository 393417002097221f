//! One request, from when it is clear that it is not answered at once: plain data, and one word
//! that says how far it is.

use std::ffi::c_int;

use crate::list::List;
use crate::primitive::{Arc, AtomicU8, AtomicUsize, Ordering};
use crate::sys::{Buffer, ControlBlock, Event, Link, Linked, Target};

/// What a request is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
    Sync {
        /// Not the metadata.
        data: bool,
    },
}

/// In which order a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// At once.
    Free,
    /// Behind the reads before it.
    ReadLane,
    /// Behind the writes before it.
    WriteLane,
    /// When the writes before it are finished.
    AfterWrites,
}

/// What the call that makes a request has found out: all but its place in the table.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) cb: ControlBlock,
    pub(crate) action: Action,
    /// The program's descriptor, and what it meant when the request was made.
    pub(crate) number: c_int,
    pub(crate) target: Target,
    pub(crate) order: Order,
    pub(crate) buffer: Buffer,
    /// `None`: the target has no position.
    pub(crate) at: Option<i64>,
    /// How many bytes asking has brought.
    pub(crate) done: usize,
    /// Whether it is worth while to give it to the kernel's own queue.
    pub(crate) queueable: bool,
    pub(crate) event: Event,
    pub(crate) list: Option<Arc<List>>,
}

/// A request in the table.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) submission: Submission,
    /// Among whose requests it is: the number in the table of the descriptor it was made on.
    pub(crate) descriptor: u64,
    /// The descriptor that is used: the program's, or our duplicate of it.
    pub(crate) fd: c_int,
    /// When it came, among those of its descriptor.
    pub(crate) turn: u64,
    pub(crate) stage: Stage,
    /// How many bytes more the kernel's own queue has brought.
    ///
    /// Ordering: Relaxed everywhere, without a partner, as for the stage.
    pub(crate) more: AtomicUsize,
    /// Those whom that queue has finished stand one below the other.
    pub(crate) link: Link<Request>,
}

impl Linked for Request {
    fn link(&self) -> &Link<Request> {
        &self.link
    }
}

impl Request {
    /// The address of its control block, which names it.
    pub(crate) fn address(&self) -> usize {
        self.submission.cb.address()
    }

    pub(crate) fn is_read(&self) -> bool {
        self.submission.action == Action::Read
    }

    pub(crate) fn is_write(&self) -> bool {
        self.submission.action == Action::Write
    }

    /// How many bytes are done.
    pub(crate) fn done(&self) -> usize {
        self.submission.done + self.more.load(Ordering::Relaxed)
    }

    /// Whether it has changed the file already: asking, or the kernel's queue, has written some.
    pub(crate) fn is_partly_written(&self) -> bool {
        self.is_write() && self.done() > 0
    }
}

/// How far a request has come.
///
/// ```text
///            its turn comes          a thread has it
///   WAITS ──────────────────▶ READY ─────────────────▶ RUNS
///     └────────── cancelled ────┴───────────────────────▲
/// ```
///
/// A request that the kernel's own queue has is one that runs. From there it comes back as ready,
/// with what is left of it; or as done: its result is written, and it is about to leave the table.
///
/// Ordering: Relaxed everywhere, without a partner. This word only decides who has the request;
/// whoever gets it has it from the pump or under the lock of the table, and what it holds came that
/// way as well.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

const WAITS: u8 = 0;
const READY: u8 = 1;
/// Or was cancelled: nobody else has it begin.
const RUNS: u8 = 2;
const DONE: u8 = 3;

impl Stage {
    fn change(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == READY
    }

    /// Its turn has come; `false`: it is being cancelled, with those before it. Under the table's
    /// lock.
    #[must_use = "a ready request is for somebody to run"]
    pub(crate) fn become_ready(&self) -> bool {
        self.change(WAITS, READY)
    }

    /// Whoever gets `true` runs the request: it was neither cancelled nor begun by another.
    #[must_use = "it is not run twice"]
    pub(crate) fn begin(&self) -> bool {
        self.change(READY, RUNS)
    }

    /// `false`: it runs. Under the table's lock: so it does not become ready in between.
    #[must_use = "one that runs cannot be cancelled"]
    pub(crate) fn cancel(&self) -> bool {
        self.change(WAITS, RUNS) || self.change(READY, RUNS)
    }

    /// The kernel's queue has finished it.
    pub(crate) fn end(&self) {
        self.0.store(DONE, Ordering::Relaxed);
    }

    /// Whether nothing but its leave is left.
    pub(crate) fn is_done(&self) -> bool {
        self.0.load(Ordering::Relaxed) == DONE
    }

    /// It does not run any more, and may be begun again. Under the table's lock.
    pub(crate) fn return_to_ready(&self) {
        self.0.store(READY, Ordering::Relaxed);
    }
}
