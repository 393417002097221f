//! The requests that are not finished, by descriptor.
//!
//! A request that is answered at once never gets here. For each descriptor with others there is:
//!
//! * all of them, by the address of their control block: what `aio_cancel` looks through;
//! * two *lanes*, one for reads and one for writes, in which the requests run one after the other:
//!   for what has no position, and for writes that append. All other requests run at once, in any
//!   order;
//! * the *syncs* that wait for writes: each for those that were unfinished when it came.
//!
//! A descriptor that is closed takes along what is queued on it, or waits for it: see [`Table::close`].
//!
//! A request is *queued* until a thread takes it up, and can be cancelled as long; from then on it
//! *runs*. Its result is written under the lock, in the same breath in which it leaves the table: so
//! nobody finds it in neither of the two states.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::request::Request;
use crate::user::Outcome;

const SHARDS: usize = 64;

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

#[derive(Debug)]
struct Entry {
    request: Arc<Request>,
    runs: bool,
    /// When it came.
    number: u64,
}

#[derive(Debug)]
struct WaitingSync {
    request: Arc<Request>,
    number: u64,
    /// How many writes with a smaller number are unfinished.
    behind: usize,
}

#[derive(Debug, Default)]
struct Lane {
    busy: bool,
    line: VecDeque<Arc<Request>>,
}

#[derive(Debug, Default)]
struct Descriptor {
    requests: Map<usize, Entry>,
    lanes: [Lane; 2],
    /// How many of the requests are writes.
    writes: usize,
    syncs: Vec<WaitingSync>,
    next_number: u64,
    /// How many wait in [`Table::close`].
    closers: usize,
}

#[derive(Debug, Default)]
struct Shard {
    descriptors: Mutex<Map<c_int, Descriptor>>,
    /// How many requests there are.
    count: AtomicUsize,
    /// Where those wait who close a descriptor.
    gone: Condvar,
}

/// All of it, in shards.
#[derive(Debug)]
pub(crate) struct Table([Shard; SHARDS]);

/// What has to be started once the lock is free.
pub(crate) type Ready = Vec<Arc<Request>>;

/// What became of the requests that were to be cancelled.
#[derive(Debug, Default)]
pub(crate) struct Cancelled {
    pub(crate) requests: Vec<Arc<Request>>,
    /// Whether some run and cannot be.
    pub(crate) some_run: bool,
    pub(crate) ready: Ready,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table(std::array::from_fn(|_| Shard::default()))
    }

    fn shard(&self, fd: c_int) -> &Shard {
        &self.0[fd as usize % SHARDS]
    }

    fn lock(&self, fd: c_int) -> MutexGuard<'_, Map<c_int, Descriptor>> {
        self.shard(fd).descriptors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request with that control block is unfinished.
    pub(crate) fn has(&self, fd: c_int, address: usize) -> bool {
        self.lock(fd).get(&fd).is_some_and(|known| known.requests.contains_key(&address))
    }

    /// Whether a request that came now would run at once.
    pub(crate) fn is_free(&self, fd: c_int, order: Order) -> bool {
        let lane = order.lane();
        !self.lock(fd).get(&fd).is_some_and(|known| lane.is_some_and(|lane| known.lanes[lane].busy))
    }

    /// Takes a request in; true if it is to be started. `Err`: one with this control block is
    /// unfinished.
    pub(crate) fn enter(&self, request: &Arc<Request>) -> Result<bool, ()> {
        let mut shard = self.lock(request.fd);
        let known = shard.entry(request.fd).or_default();
        let number = known.next_number;
        match known.requests.entry(request.cb.address()) {
            Place::Occupied(_) => return Err(()),
            Place::Vacant(place) => {
                request.cb.begin();
                place.insert(Entry { request: request.clone(), runs: false, number });
                // Ordering: Relaxed; a descriptor is closed after what was started on it, or the
                // program's threads race.
                self.shard(request.fd).count.fetch_add(1, Ordering::Relaxed);
            }
        }
        known.next_number += 1;
        let writes_before = known.writes;
        known.writes += usize::from(request.is_write());
        let now = match (request.order, request.order.lane()) {
            (_, Some(lane)) => known.lanes[lane].enter(request),
            (Order::Sync, _) if writes_before > 0 => {
                let request = request.clone();
                known.syncs.push(WaitingSync { request, number, behind: writes_before });
                false
            }
            _ => true,
        };
        Ok(now)
    }

    /// Marks a request as running; false: it was cancelled meanwhile.
    pub(crate) fn begin(&self, request: &Arc<Request>) -> bool {
        let mut shard = self.lock(request.fd);
        let Some(known) = shard.get_mut(&request.fd) else { return false };
        known.begin(request)
    }

    /// The request that ran is finished. Returns the next in its lane, which runs from now on, and
    /// what is to be started.
    pub(crate) fn finish(
        &self,
        request: &Arc<Request>,
        outcome: Outcome,
    ) -> (Option<Arc<Request>>, Ready) {
        let mut shard = self.lock(request.fd);
        let Some(known) = shard.get_mut(&request.fd) else { return (None, Ready::new()) };
        let ready = known.leave(request, outcome);
        let next = known.next_in_lane(request.order);
        self.left(&mut shard, request.fd, 1);
        (next, ready)
    }

    /// A request that was cancelled had its turn. Returns the next in its lane.
    pub(crate) fn pass_on(&self, request: &Request) -> Option<Arc<Request>> {
        let mut shard = self.lock(request.fd);
        let known = shard.get_mut(&request.fd)?;
        let next = known.next_in_lane(request.order);
        self.left(&mut shard, request.fd, 0);
        next
    }

    /// So many requests have left the table.
    fn left(&self, shard: &mut Map<c_int, Descriptor>, fd: c_int, count: usize) {
        self.shard(fd).count.fetch_sub(count, Ordering::Relaxed);
        let Place::Occupied(known) = shard.entry(fd) else { return };
        if known.get().closers > 0 {
            self.shard(fd).gone.notify_all();
        }
        if known.get().is_idle() {
            known.remove();
        }
    }

    /// Cancels what has not started: the request with that control block, or all of the descriptor.
    pub(crate) fn cancel(&self, fd: c_int, address: Option<usize>) -> Cancelled {
        let mut shard = self.lock(fd);
        let Some(known) = shard.get_mut(&fd) else { return Cancelled::default() };
        let cancelled =
            known.cancel(|request| address.is_none_or(|address| request.cb.address() == address));
        self.left(&mut shard, fd, cancelled.requests.len());
        cancelled
    }

    /// Whether a descriptor may have requests.
    pub(crate) fn may_have(&self, fd: c_int) -> bool {
        self.shard(fd).count.load(Ordering::Relaxed) > 0
    }

    /// The descriptor is about to be closed. POSIX lets a request be cancelled then, or else has it
    /// complete as if the descriptor were open. Here reads that have not started are cancelled, and
    /// so is all that has not started on a stream.
    ///
    /// `None` from a signal handler that has interrupted whoever has the lock.
    pub(crate) fn close(&self, fd: c_int) -> Option<Cancelled> {
        let shard = (0..100).find_map(|_| {
            match self.shard(fd).descriptors.try_lock() {
                Ok(shard) => return Some(shard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
            None
        });
        let mut shard = shard?;
        let Some(known) = shard.get_mut(&fd) else { return Some(Cancelled::default()) };
        let stream = known.is_stream();
        let cancelled = known.cancel(|request| stream || request.is_read());
        self.left(&mut shard, fd, cancelled.requests.len());
        Some(cancelled)
    }

    /// Waits for what is left on a descriptor that is about to be closed: on a file that takes a
    /// device's time, on a stream it might be for ever, and is not waited for.
    pub(crate) fn wait(&self, fd: c_int) {
        let mut shard = self.lock(fd);
        let Some(known) = shard.get_mut(&fd) else { return };
        // Those that another thread makes meanwhile are not ours.
        let until = known.next_number;
        while let Some(known) = shard.get_mut(&fd) {
            if known.is_stream() || !known.requests.values().any(|entry| entry.number < until) {
                return;
            }
            known.closers += 1;
            shard = self.shard(fd).gone.wait(shard).unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = shard.get_mut(&fd) {
                known.closers = known.closers.saturating_sub(1);
            }
        }
    }
}

impl Lane {
    /// True: it is its turn.
    fn enter(&mut self, request: &Arc<Request>) -> bool {
        if self.busy {
            self.line.push_back(request.clone());
        }
        !std::mem::replace(&mut self.busy, true)
    }
}

impl Descriptor {
    fn begin(&mut self, request: &Arc<Request>) -> bool {
        let entry = self.requests.get_mut(&request.cb.address());
        // Another request with the same control block may have come behind one that was cancelled.
        let own = entry.filter(|entry| Arc::ptr_eq(&entry.request, request));
        own.map(|entry| entry.runs = true).is_some()
    }

    fn cancel(&mut self, wanted: impl Fn(&Request) -> bool) -> Cancelled {
        let mut cancelled = Cancelled::default();
        let mut queued = Vec::new();
        for entry in self.requests.values().filter(|entry| wanted(&entry.request)) {
            if entry.runs {
                cancelled.some_run = true;
            } else {
                queued.push((entry.number, entry.request.clone()));
            }
        }
        // Told in the order in which they came.
        queued.sort_unstable_by_key(|(number, _)| *number);
        for (_, request) in queued {
            cancelled.ready.extend(self.leave(&request, Err(libc::ECANCELED)));
            cancelled.requests.push(request);
        }
        cancelled
    }

    fn is_stream(&self) -> bool {
        self.requests.values().any(|entry| entry.request.is_on_stream())
    }

    /// Writes the result. Returns the syncs that waited for nothing else.
    fn leave(&mut self, request: &Arc<Request>, outcome: Outcome) -> Ready {
        let Some(entry) = self.requests.remove(&request.cb.address()) else { return Ready::new() };
        let mut ready = Ready::new();
        if request.is_write() {
            self.writes -= 1;
            for sync in self.syncs.iter_mut().filter(|sync| sync.number > entry.number) {
                sync.behind -= 1;
            }
            if self.syncs.iter().any(|sync| sync.behind == 0) {
                let (now, later) =
                    std::mem::take(&mut self.syncs).into_iter().partition(|sync| sync.behind == 0);
                self.syncs = later;
                let now: Vec<WaitingSync> = now;
                ready.extend(now.into_iter().map(|sync| sync.request));
            }
        }
        if request.order == Order::Sync {
            self.syncs.retain(|sync| !Arc::ptr_eq(&sync.request, request));
        }
        request.cb.finish(outcome);
        ready
    }

    fn next_in_lane(&mut self, order: Order) -> Option<Arc<Request>> {
        let lane = order.lane()?;
        while let Some(request) = self.lanes[lane].line.pop_front() {
            if self.begin(&request) {
                return Some(request);
            }
        }
        self.lanes[lane].busy = false;
        None
    }

    fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.lanes.iter().all(|lane| !lane.busy)
    }
}
