//! The requests of one descriptor: in which order they run, and how one leaves.

use std::collections::VecDeque;

use super::map::Map;
use crate::duplicates::Duplicate;
use crate::primitive::{Arc, AtomicUsize};
use crate::request::{Order, Request, Stage, Submission};
use crate::sys::{Kind, Link, Outcome, Target};

/// The lane of an order, if it has one.
fn lane_of(order: Order) -> Option<usize> {
    match order {
        Order::ReadLane => Some(0),
        Order::WriteLane => Some(1),
        Order::Free | Order::AfterWrites => None,
    }
}

#[derive(Debug)]
struct WaitingSync {
    request: Arc<Request>,
    /// How many writes that came before it are unfinished.
    writes_left: usize,
}

/// One request of a lane is ready or runs, and the rest stands in the line.
#[derive(Debug, Default)]
struct Lane {
    head: Option<Arc<Request>>,
    line: VecDeque<Arc<Request>>,
}

/// A descriptor with requests: an open file, under the number that meant it when they were made.
#[derive(Debug)]
pub(super) struct Descriptor {
    /// What names it: its number may come to mean another.
    pub(super) id: u64,
    pub(super) target: Target,
    /// What its requests run on, if it is no file.
    duplicate: Option<Duplicate>,
    /// All of them, by the address of their control block.
    pub(super) requests: Map<usize, Arc<Request>>,
    /// The reads and the writes that run one after the other.
    lanes: [Lane; 2],
    /// How many of the requests are writes.
    writes: usize,
    syncs: Vec<WaitingSync>,
    /// The turn of the next request to come.
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

/// Those whose turn has come because a request has left.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    /// The next in its lane.
    pub(crate) next: Option<Arc<Request>>,
    /// Those that waited for no other write.
    pub(crate) syncs: Ready,
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
        let position = self.line.iter().position(is_it)?;
        self.line.remove(position);
        None
    }
}

impl Descriptor {
    /// One that a request is made on.
    pub(super) fn new(id: u64, submission: &Submission) -> Descriptor {
        let &Submission { number, target, .. } = submission;
        let duplicate = if target.kind == Kind::File { None } else { Duplicate::of(number) };
        Descriptor {
            id,
            target,
            duplicate,
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
        lane_of(order).is_none_or(|lane| self.lanes[lane].head.is_none())
    }

    /// Takes a request in. Returns it if it is its turn.
    pub(super) fn enter(&mut self, submission: Submission) -> Option<Arc<Request>> {
        let order = submission.order;
        let request = Arc::new(Request {
            descriptor: self.id,
            fd: self.duplicate.as_ref().map_or(submission.number, Duplicate::number),
            turn: self.next_turn,
            stage: Stage::default(),
            more: AtomicUsize::new(0),
            link: Link::default(),
            submission,
        });
        self.next_turn += 1;
        self.requests.insert(request.address(), request.clone());
        let writes_left = self.writes;
        self.writes += usize::from(request.is_write());
        let now = match (order, lane_of(order)) {
            (_, Some(lane)) => self.lanes[lane].enter(&request),
            (Order::AfterWrites, _) if writes_left > 0 => {
                self.syncs.push(WaitingSync { request: request.clone(), writes_left });
                false
            }
            _ => true,
        };
        (now && request.stage.become_ready()).then_some(request)
    }

    /// Cancels those that are wanted, as far as nothing of them has happened yet.
    pub(super) fn cancel(&mut self, wanted: impl Fn(&Request) -> bool) -> Cancelled {
        let mut cancelled = Cancelled::default();
        for request in self.requests.values().filter(|request| wanted(request)) {
            if !request.is_partly_written() && request.stage.cancel() {
                cancelled.requests.push(request.clone());
            } else if !request.stage.is_done() {
                cancelled.some_run = true;
            }
        }
        // Told in the order in which they came.
        cancelled.requests.sort_unstable_by_key(|request| request.turn);
        for request in &cancelled.requests {
            let followers = self.leave(request, Some(Err(libc::ECANCELED)));
            cancelled.ready.extend(followers.next.into_iter().chain(followers.syncs));
        }
        cancelled
    }

    /// Writes the result, if that is not done yet.
    pub(super) fn leave(&mut self, request: &Arc<Request>, outcome: Option<Outcome>) -> Followers {
        let mut followers = Followers::default();
        let order = request.submission.order;
        self.requests.remove(&request.address());
        if request.is_write() {
            self.writes -= 1;
            followers.syncs = self.syncs_behind(request);
        }
        if order == Order::AfterWrites {
            self.syncs.retain(|sync| !Arc::ptr_eq(&sync.request, request));
        }
        if let Some(lane) = lane_of(order) {
            let next = self.lanes[lane].leave(request);
            followers.next = next.filter(|next| next.stage.become_ready());
        }
        if self.requests.is_empty() && !self.is_detached {
            // Before the program can know that nothing is left: the other end of a pipe that it
            // then closes sees that at once.
            self.duplicate = None;
        }
        if let Some(outcome) = outcome {
            request.submission.cb.finish(outcome);
        }
        followers
    }

    /// A write has left. Returns the syncs that waited for nothing else, which are ready.
    fn syncs_behind(&mut self, write: &Request) -> Ready {
        for sync in self.syncs.iter_mut().filter(|sync| sync.request.turn > write.turn) {
            sync.writes_left -= 1;
        }
        if self.syncs.iter().all(|sync| sync.writes_left > 0) {
            return Ready::new();
        }
        let now = |sync: &WaitingSync| sync.writes_left == 0;
        let (now, later) = std::mem::take(&mut self.syncs).into_iter().partition::<Vec<_>, _>(now);
        self.syncs = later;
        now.into_iter().map(|sync| sync.request).filter(|sync| sync.stage.become_ready()).collect()
    }
}
