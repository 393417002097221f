//! The requests of one descriptor: in which order they run, and how one leaves.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Map;
use crate::kept::Kept;
use crate::request::Request;
use crate::user::{File, Kind, Outcome};

/// In which order a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// At once.
    Free,
    /// Behind the reads before it.
    Reads,
    /// Behind the writes before it.
    Writes,
    /// When the writes before it are finished.
    Sync,
}

impl Order {
    fn lane(self) -> Option<usize> {
        match self {
            Order::Reads => Some(0),
            Order::Writes => Some(1),
            Order::Free | Order::Sync => None,
        }
    }
}

/// How far a request has come.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

const WAITS: u8 = 0;
const READY: u8 = 1;
/// Or was cancelled: nobody else has it begin.
const RUNS: u8 = 2;

impl Stage {
    /// Ordering: Relaxed, here and below. This word only decides who has the request; whoever gets it
    /// has it from the pump or under the lock of the table, and what it holds came that way as well.
    fn change(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == READY
    }

    /// Its turn has come; `false`: it is being cancelled, with those before it. Under the lock.
    pub(super) fn become_ready(&self) -> bool {
        self.change(WAITS, READY)
    }

    /// Whoever gets `true` runs the request: it was neither cancelled nor begun by another.
    pub(crate) fn begin(&self) -> bool {
        self.change(READY, RUNS)
    }

    /// `false`: it runs. Under the lock: so it does not become ready in between.
    fn cancel(&self) -> bool {
        self.change(WAITS, RUNS) || self.change(READY, RUNS)
    }
}

#[derive(Debug)]
struct WaitingSync {
    request: Arc<Request>,
    /// How many writes that came before it are unfinished.
    behind: usize,
}

/// One request of a lane is ready or runs, and the rest stands in the line.
#[derive(Debug, Default)]
struct Lane {
    head: Option<Arc<Request>>,
    line: VecDeque<Arc<Request>>,
}

#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) id: u64,
    pub(super) file: File,
    /// What its requests run on, if it is no file.
    pub(super) kept: Option<Kept>,
    pub(super) requests: Map<usize, Arc<Request>>,
    lanes: [Lane; 2],
    /// How many of the requests are writes.
    writes: usize,
    syncs: Vec<WaitingSync>,
    pub(super) next_turn: u64,
    /// Whether its number means something else now.
    pub(super) is_detached: bool,
    /// How many wait in [`Table::next_before_close`](super::Table::next_before_close).
    pub(super) closers: usize,
}

/// What has to be given to the pump once the lock is free.
pub(crate) type Ready = Vec<Arc<Request>>;

/// What became of the requests that were to be cancelled.
#[derive(Debug, Default)]
pub(crate) struct Cancelled {
    pub(crate) requests: Vec<Arc<Request>>,
    /// Whether some run and cannot be.
    pub(crate) some_run: bool,
    pub(crate) ready: Ready,
}

/// What is next when a request has left.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// The next in its lane, which is ready.
    pub(crate) next: Option<Arc<Request>>,
    pub(crate) ready: Ready,
}

impl Lane {
    /// True: it is its turn.
    fn enter(&mut self, request: &Arc<Request>) -> bool {
        let free = self.head.is_none();
        if free {
            self.head = Some(request.clone());
        } else {
            self.line.push_back(request.clone());
        }
        free
    }

    /// Returns the next, if it was that request's turn.
    fn leave(&mut self, request: &Arc<Request>) -> Option<Arc<Request>> {
        let is_it = |other: &Arc<Request>| Arc::ptr_eq(other, request);
        if self.head.as_ref().is_some_and(is_it) {
            self.head = self.line.pop_front();
            return self.head.clone();
        }
        // When all are cancelled, the first of the line is the first to go.
        let place = self.line.iter().position(is_it)?;
        self.line.remove(place);
        None
    }
}

impl Descriptor {
    pub(super) fn new(id: u64, number: c_int, file: File) -> Descriptor {
        let kept = if file.kind == Kind::File { None } else { Kept::of(number) };
        Descriptor {
            id,
            file,
            kept,
            requests: Map::default(),
            lanes: Default::default(),
            writes: 0,
            syncs: Vec::new(),
            next_turn: 0,
            is_detached: false,
            closers: 0,
        }
    }

    /// Whether a request of that order would run at once.
    pub(super) fn is_free(&self, order: Order) -> bool {
        order.lane().is_none_or(|lane| self.lanes[lane].head.is_none())
    }

    /// Takes a request in that has its `turn`. Whether it is ready.
    pub(super) fn enter(&mut self, request: &Arc<Request>) -> bool {
        let writes_before = self.writes;
        self.writes += usize::from(request.is_write());
        self.requests.insert(request.cb.address(), request.clone());
        let now = match (request.order, request.order.lane()) {
            (_, Some(lane)) => self.lanes[lane].enter(request),
            (Order::Sync, _) if writes_before > 0 => {
                self.syncs.push(WaitingSync { request: request.clone(), behind: writes_before });
                false
            }
            _ => true,
        };
        now && request.stage.become_ready()
    }

    /// Cancels those that are wanted, as far as nothing of them has happened yet.
    pub(super) fn cancel(&mut self, wanted: impl Fn(&Request) -> bool) -> Cancelled {
        let mut cancelled = Cancelled::default();
        for request in self.requests.values().filter(|request| wanted(request)) {
            if !request.is_partly_written() && request.stage.cancel() {
                cancelled.requests.push(request.clone());
            } else {
                cancelled.some_run = true;
            }
        }
        // Told in the order in which they came.
        cancelled.requests.sort_unstable_by_key(|request| request.turn);
        for request in &cancelled.requests {
            let behind = self.leave(request, Err(libc::ECANCELED));
            cancelled.ready.extend(behind.next.into_iter().chain(behind.ready));
        }
        cancelled
    }

    /// Writes the result.
    pub(super) fn leave(&mut self, request: &Arc<Request>, outcome: Outcome) -> Behind {
        let mut behind = Behind::default();
        self.requests.remove(&request.cb.address());
        if request.is_write() {
            self.writes -= 1;
            behind.ready = self.syncs_behind(request);
        }
        if request.order == Order::Sync {
            self.syncs.retain(|sync| !Arc::ptr_eq(&sync.request, request));
        }
        if let Some(lane) = request.order.lane() {
            behind.next = self.lanes[lane].leave(request).filter(|next| next.stage.become_ready());
        }
        if self.requests.is_empty() && !self.is_detached {
            // Before the program can know that nothing is left: the other end of a pipe that it then closes
            // sees that at once.
            self.kept = None;
        }
        request.cb.finish(outcome);
        behind
    }

    /// A write has left. Returns the syncs that waited for nothing else, which are ready.
    fn syncs_behind(&mut self, write: &Request) -> Ready {
        for sync in self.syncs.iter_mut().filter(|sync| sync.request.turn > write.turn) {
            sync.behind -= 1;
        }
        if self.syncs.iter().all(|sync| sync.behind > 0) {
            return Ready::new();
        }
        let now = |sync: &WaitingSync| sync.behind == 0;
        let (now, later) = std::mem::take(&mut self.syncs).into_iter().partition::<Vec<_>, _>(now);
        self.syncs = later;
        now.into_iter().map(|sync| sync.request).filter(|sync| sync.stage.become_ready()).collect()
    }
}
