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

mod descriptor;

pub(crate) use self::descriptor::{Behind, Cancelled, Order, Stage};

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use self::descriptor::Descriptor;
use crate::kept::Kept;
use crate::request::Request;
use crate::state;
use crate::user::{File, Kind, Outcome};

const SHARDS: usize = 16;

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

/// A request was taken in.
#[derive(Debug)]
pub(crate) struct Entered {
    /// It is its turn.
    pub(crate) ready: Option<Arc<Request>>,
    /// Those of another file that had the number before.
    pub(crate) cancelled: Cancelled,
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
        let file = self.lock(fd).by_number.get(&fd).map(|known| known.file);
        file.filter(|file| file.kind == Kind::File)
    }

    /// Whether a request that came now, for that file, would run at once.
    pub(crate) fn is_free(&self, fd: c_int, file: File, order: Order) -> bool {
        let shard = self.lock(fd);
        let known = shard.by_number.get(&fd).filter(|known| known.file == file);
        known.is_none_or(|known| known.is_free(order))
    }

    /// Takes a request in. `Err`: one with this control block is unfinished.
    pub(crate) fn enter(&self, mut request: Request) -> Result<Entered, ()> {
        let number = request.number;
        let mut shard = self.lock(number);
        let mut cancelled = Cancelled::default();
        if shard.by_number.get(&number).is_some_and(|known| known.file != request.file) {
            cancelled = self.detach(&mut shard, number);
        }
        let Known { by_number, next_id, .. } = &mut *shard;
        let known = by_number.entry(number).or_insert_with(|| {
            *next_id += 1;
            Descriptor::new(*next_id, number, request.file)
        });
        if known.requests.contains_key(&request.cb.address()) {
            return Err(());
        }
        request.cb.begin(state::generation());
        request.home = known.id;
        request.fd = known.kept.as_ref().map_or(number, Kept::number);
        request.turn = known.next_turn;
        known.next_turn += 1;
        let request = Arc::new(request);
        let now = known.enter(&request);
        // Ordering: Relaxed, here and wherever it is used; a descriptor is closed after what was started on
        // it, or the program's threads race.
        self.shard(number).count.fetch_add(1, Ordering::Relaxed);
        Ok(Entered { ready: now.then_some(request), cancelled })
    }

    /// The request that ran is finished.
    pub(crate) fn finish(&self, request: &Arc<Request>, outcome: Outcome) -> Behind {
        let mut shard = self.lock(request.number);
        let Some(known) = shard.find(request) else { return Behind::default() };
        let behind = known.leave(request, outcome);
        let rest = self.shard(request.number).left(known, 1).then(|| shard.take(request));
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
        if self.shard(fd).left(known, cancelled.requests.len()) {
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
        if known.file.kind != Kind::File || file != Some(known.file) {
            return Some((self.detach(&mut shard, fd), 0));
        }
        let until = known.next_turn;
        let cancelled = known.cancel(Request::is_read);
        if self.shard(fd).left(known, cancelled.requests.len()) {
            shard.by_number.remove(&fd);
        }
        Some((cancelled, until))
    }

    /// The number does not mean the descriptor any more, or will not in a moment.
    fn detach(&self, shard: &mut Known, fd: c_int) -> Cancelled {
        let Some(mut known) = shard.by_number.remove(&fd) else { return Cancelled::default() };
        let cancelled = known.cancel(|_| true);
        known.is_detached = true;
        if !self.shard(fd).left(&known, cancelled.requests.len()) {
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
            let mut old = known.requests.values().filter(|request| request.turn < until);
            let ready = old.clone().filter(|request| request.stage.is_ready());
            match ready.min_by_key(|request| request.turn) {
                Some(first) if first.stage.begin() => return Some(first.clone()),
                // The pump was first with this one.
                Some(_) => continue,
                None => drop(old.next()?),
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
    /// So many requests have left the descriptor. Whether there are none any more, and it is to go.
    fn left(&self, known: &Descriptor, count: usize) -> bool {
        self.count.fetch_sub(count, Ordering::Relaxed);
        if known.closers > 0 {
            self.gone.notify_all();
        }
        known.requests.is_empty()
    }

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
