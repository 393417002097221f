//! The requests that are not finished, by descriptor.
//!
//! A request that is answered at once never gets here. For each descriptor with others there is:
//!
//! * all of them, by the address of their control block: what `aio_cancel` looks through;
//! * two *lanes*, one for reads and one for writes, in which the requests run one after the other:
//!   for what has no position, and for writes that append or go to memory. All other requests run at
//!   once, in any order;
//! * the *syncs* that wait for writes: each for those that were unfinished when it came.
//!
//! A request *waits* for its turn, or is *ready*: with the pump, which has it begun when there is a
//! thread. Until then it can be cancelled, and whoever closes its descriptor may begin it as well; from
//! then on it *runs*. Its result is written under the lock, in the same breath in which it leaves the
//! table: so nobody finds it in neither of the two states.
//!
//! A descriptor belongs to an open file, not to its number. When the number is closed, or is seen to mean
//! something else, it is *detached*: what runs on it goes on, and the number starts anew. What becomes of
//! the rest is said in [`Table::close`].

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::kept::Kept;
use crate::request::Request;
use crate::state;
use crate::user::{File, Identity, Kind, Outcome};

const SHARDS: usize = 16;

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

/// Numbers and addresses need no hashing against an adversary, who is the program itself.
#[derive(Debug, Default)]
pub(crate) struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// How far a request has come.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

/// Becomes ready under the lock only.
const WAITS: u8 = 0;
/// Whoever changes this without the lock has the request begin.
const READY: u8 = 1;
const RUNS: u8 = 2;

impl Stage {
    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == READY
    }

    /// Its turn has come.
    fn make_ready(&self) {
        // Ordering: Relaxed; whoever begins it has it from the pump, or holds the lock.
        self.0.store(READY, Ordering::Relaxed);
    }

    /// From `READY`, and, if the caller has the lock, from `WAITS`: whoever gets `true` runs the request,
    /// or cancels it.
    fn take(&self, from: u8) -> bool {
        self.0.compare_exchange(from, RUNS, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whoever gets `true` runs the request: it was neither cancelled nor begun by another.
    pub(crate) fn begin(&self) -> bool {
        self.take(READY)
    }

    /// The caller has the lock. `false`: it runs.
    fn cancel(&self) -> bool {
        self.take(WAITS) || self.take(READY)
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
struct Descriptor {
    id: u64,
    kind: Kind,
    identity: Identity,
    /// What its requests run on, if it is no file.
    kept: Option<Kept>,
    requests: Map<usize, Arc<Request>>,
    lanes: [Lane; 2],
    /// How many of the requests are writes.
    writes: usize,
    syncs: Vec<WaitingSync>,
    next_turn: u64,
    /// Whether its number means something else now.
    is_detached: bool,
    /// How many wait in [`Table::next_before_close`].
    closers: usize,
}

#[derive(Debug, Default)]
struct Known {
    by_number: Map<c_int, Descriptor>,
    detached: Map<u64, Descriptor>,
    next_id: u64,
}

#[derive(Debug, Default)]
struct Shard {
    known: Mutex<Known>,
    /// How many requests there are.
    count: AtomicUsize,
    /// Where those wait who close a descriptor.
    gone: Condvar,
}

/// All of it, in shards.
#[derive(Debug)]
pub(crate) struct Table([Shard; SHARDS]);

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

/// A request was taken in.
#[derive(Debug)]
pub(crate) struct Entered {
    /// It is its turn.
    pub(crate) ready: Option<Arc<Request>>,
    /// Those of another file that had the number before.
    pub(crate) cancelled: Cancelled,
}

/// What is next when a request has left.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// The next in its lane, which is ready.
    pub(crate) next: Option<Arc<Request>>,
    pub(crate) ready: Ready,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table(std::array::from_fn(|_| Shard::default()))
    }

    fn shard(&self, fd: c_int) -> &Shard {
        &self.0[fd as usize % SHARDS]
    }

    fn lock(&self, fd: c_int) -> MutexGuard<'_, Known> {
        self.shard(fd).known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a descriptor stands for, if that is a file and there are requests on it. If it was closed
    /// unseen meanwhile, that is wrong.
    pub(crate) fn file(&self, fd: c_int) -> Option<File> {
        let shard = self.lock(fd);
        let known = shard.by_number.get(&fd).filter(|known| known.kind == Kind::File);
        known.map(|known| File { kind: known.kind, identity: known.identity })
    }

    /// Whether a request that came now, to the file that has this identity, would run at once.
    pub(crate) fn is_free(&self, fd: c_int, identity: Identity, order: Order) -> bool {
        let shard = self.lock(fd);
        let known = shard.by_number.get(&fd).filter(|known| known.identity == identity);
        let lane = known.and_then(|known| order.lane().map(|lane| &known.lanes[lane]));
        lane.is_none_or(|lane| lane.head.is_none())
    }

    /// Takes a request in. `Err`: one with this control block is unfinished.
    pub(crate) fn enter(&self, mut request: Request) -> Result<Entered, ()> {
        let number = request.number;
        let mut shard = self.lock(number);
        let mut cancelled = Cancelled::default();
        if shard.by_number.get(&number).is_some_and(|known| known.identity != request.identity) {
            cancelled = self.detach(&mut shard, number);
        }
        let Known { by_number, next_id, .. } = &mut *shard;
        let known = by_number.entry(number).or_insert_with(|| {
            *next_id += 1;
            Descriptor::new(*next_id, &request)
        });
        let Place::Vacant(place) = known.requests.entry(request.cb.address()) else {
            return Err(());
        };
        request.cb.begin(state::generation());
        request.home = known.id;
        request.fd = known.kept.as_ref().map_or(number, Kept::number);
        request.turn = known.next_turn;
        known.next_turn += 1;
        let request = Arc::new(request);
        let writes_before = known.writes;
        known.writes += usize::from(request.is_write());
        let now = match (request.order, request.order.lane()) {
            (_, Some(lane)) => known.lanes[lane].enter(&request),
            (Order::Sync, _) if writes_before > 0 => {
                known.syncs.push(WaitingSync { request: request.clone(), behind: writes_before });
                false
            }
            _ => true,
        };
        if now {
            request.stage.make_ready();
        }
        place.insert(request.clone());
        // Ordering: Relaxed; a descriptor is closed after what was started on it, or the program's threads
        // race.
        self.shard(number).count.fetch_add(1, Ordering::Relaxed);
        Ok(Entered { ready: now.then_some(request), cancelled })
    }

    /// The request that ran is finished.
    pub(crate) fn finish(&self, request: &Arc<Request>, outcome: Outcome) -> Behind {
        let mut shard = self.lock(request.number);
        let Some(known) = shard.find(request) else { return Behind::default() };
        let behind = known.leave(request, outcome);
        let rest = known.is_left_by(1, self.shard(request.number)).then(|| shard.take(request));
        drop(shard);
        // Closing may take long, and nobody waits for it.
        drop(rest);
        behind
    }

    /// Cancels what has not started: the request with that control block, or all of the descriptor.
    pub(crate) fn cancel(&self, fd: c_int, address: Option<usize>) -> Cancelled {
        let mut shard = self.lock(fd);
        let Some(known) = shard.by_number.get_mut(&fd) else { return Cancelled::default() };
        let cancelled =
            known.cancel(|request| address.is_none_or(|address| request.cb.address() == address));
        if known.is_left_by(cancelled.requests.len(), self.shard(fd)) {
            shard.by_number.remove(&fd);
        }
        cancelled
    }

    /// Whether a descriptor may have requests.
    pub(crate) fn may_have(&self, fd: c_int) -> bool {
        self.shard(fd).count.load(Ordering::Relaxed) > 0
    }

    /// The descriptors with requests.
    pub(crate) fn numbers(&self) -> Vec<c_int> {
        let known = |shard: &Shard| shard.count.load(Ordering::Relaxed) > 0;
        let numbers = |shard: &Shard| -> Vec<c_int> {
            let known = shard.try_lock();
            known.map_or_else(Vec::new, |known| known.by_number.keys().copied().collect())
        };
        self.0.iter().filter(|shard| known(shard)).flat_map(numbers).collect()
    }

    /// The descriptor is about to be closed. POSIX lets a request be cancelled then, or else has it
    /// complete as if the descriptor were open. Of a file the reads that have not started are cancelled;
    /// for the rest see [`next_before_close`](Self::next_before_close). Of anything else all that has not
    /// started is cancelled, and what runs goes on without the number.
    ///
    /// `file` is what the number means now: if it was closed unseen, what is known is of another.
    ///
    /// Returns the turn before which requests are left, for whoever closes. `None` from a signal handler
    /// that has interrupted whoever has the lock.
    pub(crate) fn close(&self, fd: c_int, file: Option<File>) -> Option<(Cancelled, u64)> {
        let mut shard = self.shard(fd).try_lock()?;
        let Some(known) = shard.by_number.get_mut(&fd) else {
            return Some((Cancelled::default(), 0));
        };
        let same = file.is_some_and(|file| file.identity == known.identity);
        if known.kind != Kind::File || !same {
            return Some((self.detach(&mut shard, fd), 0));
        }
        let until = known.next_turn;
        let cancelled = known.cancel(Request::is_read);
        if known.is_left_by(cancelled.requests.len(), self.shard(fd)) {
            shard.by_number.remove(&fd);
        }
        Some((cancelled, until))
    }

    /// The number does not mean the descriptor any more, or will not in a moment.
    fn detach(&self, shard: &mut Known, fd: c_int) -> Cancelled {
        let Some(mut known) = shard.by_number.remove(&fd) else { return Cancelled::default() };
        let cancelled = known.cancel(|_| true);
        known.is_detached = true;
        if !known.is_left_by(cancelled.requests.len(), self.shard(fd)) {
            shard.detached.insert(known.id, known);
        }
        cancelled
    }

    /// For whoever is about to close a file: a request to be run first, which has begun; `None` when there
    /// is none of a turn before `until` any more. Waits while those that are left run elsewhere.
    ///
    /// Not left to the pump, all of whose threads may be in calls that end only after this.
    pub(crate) fn next_before_close(&self, fd: c_int, until: u64) -> Option<Arc<Request>> {
        let mut shard = self.lock(fd);
        loop {
            let known = shard.by_number.get_mut(&fd)?;
            let old = known.requests.values().filter(|request| request.turn < until);
            let first = old.min_by_key(|request| (!request.stage.is_ready(), request.turn))?;
            if first.stage.is_ready() {
                match first.stage.begin() {
                    true => return Some(first.clone()),
                    // The pump was first.
                    false => continue,
                }
            }
            known.closers += 1;
            let id = known.id;
            shard = self.shard(fd).gone.wait(shard).unwrap_or_else(PoisonError::into_inner);
            let known = shard.by_number.get_mut(&fd).filter(|known| known.id == id)?;
            known.closers -= 1;
        }
    }
}

impl Shard {
    /// `None`: the lock stays taken, as it does for a signal handler that has interrupted its holder.
    fn try_lock(&self) -> Option<MutexGuard<'_, Known>> {
        for _ in 0..100 {
            match self.known.try_lock() {
                Ok(known) => return Some(known),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }
}

impl Known {
    fn find(&mut self, request: &Request) -> Option<&mut Descriptor> {
        let known = self.by_number.get_mut(&request.number);
        match known.filter(|known| known.id == request.home) {
            Some(known) => Some(known),
            None => self.detached.get_mut(&request.home),
        }
    }

    fn take(&mut self, request: &Request) -> Option<Descriptor> {
        match self.by_number.entry(request.number) {
            Place::Occupied(known) if known.get().id == request.home => Some(known.remove()),
            _ => self.detached.remove(&request.home),
        }
    }
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
    fn new(id: u64, request: &Request) -> Descriptor {
        let kept = if request.kind == Kind::File { None } else { Kept::of(request.number) };
        Descriptor {
            id,
            kind: request.kind,
            identity: request.identity,
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

    /// So many requests have left. Whether there are none any more, and it is to go.
    fn is_left_by(&mut self, count: usize, shard: &Shard) -> bool {
        shard.count.fetch_sub(count, Ordering::Relaxed);
        if self.closers > 0 {
            shard.gone.notify_all();
        }
        self.requests.is_empty()
    }

    fn cancel(&mut self, wanted: impl Fn(&Request) -> bool) -> Cancelled {
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
    fn leave(&mut self, request: &Arc<Request>, outcome: Outcome) -> Behind {
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
            behind.next = self.lanes[lane].leave(request).filter(is_made_ready);
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
        now.into_iter().map(|sync| sync.request).filter(is_made_ready).collect()
    }
}

/// Whether a request that waits has become ready; not if it is being cancelled with those before it.
fn is_made_ready(request: &Arc<Request>) -> bool {
    let waits = request.stage.0.load(Ordering::Relaxed) == WAITS;
    if waits {
        request.stage.make_ready();
    }
    waits
}
