//! The requests that are not finished, by descriptor.
//!
//! A request that is answered at once never gets here. For each descriptor with others there is:
//!
//! * all of them, by the address of their control block: what `aio_cancel` looks through;
//! * two *lanes*, one for reads and one for writes, in which the requests run one after the other:
//!   for what has no position, and for writes that append or go to memory. All other requests run
//!   at once, in any order;
//! * the *syncs* that wait for writes: each for those that were unfinished when it came.
//!
//! A request *waits* for its turn, or is *ready*: with the pump, which has it begun when there is a
//! thread. Until then it can be cancelled, and whoever closes its descriptor may begin it as well;
//! from then on it *runs*. Its result is written under the lock, in the same breath in which it
//! leaves the table: so nobody finds it in neither of the two states. (But one that the kernel's
//! own queue has finished has its result first, written by a signal handler perhaps, and is *done*
//! until it leaves; `keep` sees to that before the next request is made.)
//!
//! A descriptor belongs to an open file, not to its number. When the number is closed, or is seen
//! to mean something else, it is *detached*: what runs on it goes on, and the number starts anew.
//! What becomes of the rest is said in [`Table::close`].

mod descriptor;
mod map;

pub(crate) use self::descriptor::{Cancelled, Followers};

use std::collections::hash_map::Entry;
use std::ffi::c_int;

use self::descriptor::Descriptor;
use self::map::Map;
use crate::generation;
use crate::primitive::{Arc, AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering, weakened};
use crate::request::{Order, Request, Submission};
use crate::sys::{self, Kind, Outcome, Target};

const SHARDS: usize = 16;

/// The descriptors that have requests.
#[derive(Debug, Default)]
struct Descriptors {
    by_number: Map<c_int, Descriptor>,
    /// Those whose number means something else now, by their id.
    detached: Map<u64, Descriptor>,
    last_id: u64,
}

#[derive(Debug, Default)]
struct Shard {
    descriptors: Mutex<Descriptors>,
    /// How many requests there are. Whoever sees none does not look any further.
    count: AtomicUsize,
    /// What those sleep on who close a descriptor. It changes under the lock.
    gone: AtomicU32,
}

/// What is to be done before a file is closed.
#[derive(Debug)]
pub(crate) enum Closing {
    /// To run this request first, which has begun.
    Run(Arc<Request>),
    /// To wait for those that run elsewhere, by [`Table::wait_before_close`], and to ask again.
    Wait(Waits),
    /// Nothing is left.
    Nothing,
}

/// One who waits for others before a file is closed.
#[derive(Debug)]
pub(crate) struct Waits {
    /// The descriptor that it counts in.
    id: u64,
    /// What the shard's word was then.
    gone: u32,
}

/// All of it, in shards by the number of the descriptor.
#[derive(Debug)]
pub(crate) struct Table(Box<[Shard]>);

/// A request was taken in.
#[derive(Debug)]
pub(crate) struct Entered {
    /// It is its turn.
    pub(crate) ready: Option<Arc<Request>>,
    /// Those of another file that had the number before.
    pub(crate) cancelled: Cancelled,
}

/// How often a lock is tried that may be taken for good: for a second or more.
const LOCK_TURNS: u32 = 10_000;

/// A request was not taken in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// One with its control block is unfinished.
    Unfinished,
    /// One with its control block is done, and on its way out.
    Soon(Box<Submission>),
}

impl Table {
    pub(crate) fn new() -> Table {
        Table((0..SHARDS).map(|_| Shard::default()).collect())
    }

    fn shard(&self, fd: c_int) -> &Shard {
        &self.0[fd as usize % SHARDS]
    }

    fn lock(&self, fd: c_int) -> MutexGuard<'_, Descriptors> {
        self.shard(fd).descriptors.lock()
    }

    /// What a descriptor stood for when there came requests on it, if there are. If it was closed
    /// unseen meanwhile, that is wrong.
    pub(crate) fn target(&self, fd: c_int) -> Option<Target> {
        self.lock(fd).by_number.get(&fd).map(|descriptor| descriptor.target)
    }

    /// Whether a request that came now, for that target, would run at once.
    pub(crate) fn is_free(&self, fd: c_int, target: Target, order: Order) -> bool {
        let all = self.lock(fd);
        let descriptor = all.by_number.get(&fd).filter(|known| known.target == target);
        descriptor.is_none_or(|descriptor| descriptor.is_free(order))
    }

    /// Takes a request in.
    pub(crate) fn enter(&self, submission: Submission) -> Result<Entered, Refused> {
        let Submission { cb, number, target, .. } = submission;
        let mut all = self.lock(number);
        let mut cancelled = Cancelled::default();
        if all.by_number.get(&number).is_some_and(|known| known.target != target) {
            cancelled = self.detach(&mut all, number);
        }
        let Descriptors { by_number, last_id, .. } = &mut *all;
        let descriptor = by_number.entry(number).or_insert_with(|| {
            *last_id += 1;
            Descriptor::new(*last_id, &submission)
        });
        if let Some(before) = descriptor.requests.get(&cb.address()) {
            return Err(match before.stage.is_done() {
                true => Refused::Soon(Box::new(submission)),
                false => Refused::Unfinished,
            });
        }
        cb.begin(generation::current());
        let ready = descriptor.enter(submission);
        // Ordering: Relaxed, without a partner; a descriptor is closed after what was started on
        // it, or the program's threads race.
        self.shard(number).count.fetch_add(1, Ordering::Relaxed);
        Ok(Entered { ready, cancelled })
    }

    /// The request that ran is finished.
    pub(crate) fn finish(&self, request: &Arc<Request>, outcome: Outcome) -> Followers {
        self.leave(request, Some(outcome))
    }

    /// The same for one that the kernel's queue has finished, and whose result is written.
    pub(crate) fn finish_done(&self, request: &Arc<Request>) -> Followers {
        self.leave(request, None)
    }

    /// The kernel's queue had the request, and has not done all of it: it is ready again.
    pub(crate) fn take_back(&self, request: &Arc<Request>) {
        let number = request.submission.number;
        let mut all = self.lock(number);
        request.stage.return_to_ready();
        if all.find(request).is_some_and(|descriptor| descriptor.closers > 0) {
            self.shard(number).wake_closers();
        }
    }

    fn leave(&self, request: &Arc<Request>, outcome: Option<Outcome>) -> Followers {
        let number = request.submission.number;
        let mut all = self.lock(number);
        let Some(descriptor) = all.find(request) else { return Followers::default() };
        let followers = descriptor.leave(request, outcome);
        let rest = self.shard(number).left(descriptor, 1).then(|| all.take(request));
        drop(all);
        // Closing may take long, and nobody waits for it.
        drop(rest);
        followers
    }

    /// Cancels what has not started: the request with that control block, or all of the descriptor.
    pub(crate) fn cancel(&self, fd: c_int, address: Option<usize>) -> Cancelled {
        let mut all = self.lock(fd);
        self.cancel_where(&mut all, fd, |request| {
            address.is_none_or(|address| request.address() == address)
        })
    }

    /// The same for those that are wanted, of what the number means now.
    fn cancel_where(
        &self,
        all: &mut Descriptors,
        fd: c_int,
        wanted: impl Fn(&Request) -> bool,
    ) -> Cancelled {
        let Some(descriptor) = all.by_number.get_mut(&fd) else { return Cancelled::default() };
        let cancelled = descriptor.cancel(wanted);
        if self.shard(fd).left(descriptor, cancelled.requests.len()) {
            all.by_number.remove(&fd);
        }
        cancelled
    }

    /// Whether a descriptor may have requests.
    pub(crate) fn may_have(&self, fd: c_int) -> bool {
        self.shard(fd).any()
    }

    /// The descriptors with requests.
    pub(crate) fn numbers(&self) -> Vec<c_int> {
        let numbers = |shard: &Shard| -> Vec<c_int> {
            let all = shard.try_lock();
            all.map_or_else(Vec::new, |all| all.by_number.keys().copied().collect())
        };
        self.0.iter().filter(|shard| shard.any()).flat_map(numbers).collect()
    }

    /// The descriptor is about to be closed. POSIX lets a request be cancelled then, or else has it
    /// complete as if the descriptor were open. Of a file the reads that have not started are
    /// cancelled; for the rest see [`next_before_close`](Self::next_before_close). Of anything else
    /// all that has not started is cancelled, and what runs goes on without the number.
    ///
    /// `target` is what the number means now, if that may be looked at: if it was closed unseen, what
    /// is known is of another.
    ///
    /// Returns the turn before which requests are left, for whoever closes. `None` from a signal
    /// handler that has interrupted whoever has the lock.
    pub(crate) fn close(
        &self,
        fd: c_int,
        target: Option<Option<Target>>,
    ) -> Option<(Cancelled, u64)> {
        let mut all = self.shard(fd).try_lock()?;
        let Some(descriptor) = all.by_number.get(&fd) else {
            return Some((Cancelled::default(), 0));
        };
        let is_other = target.is_some_and(|target| target != Some(descriptor.target));
        if descriptor.target.kind != Kind::File || is_other {
            return Some((self.detach(&mut all, fd), 0));
        }
        let until = descriptor.next_turn;
        Some((self.cancel_where(&mut all, fd, Request::is_read), until))
    }

    /// The number does not mean the descriptor any more, or will not in a moment.
    fn detach(&self, all: &mut Descriptors, fd: c_int) -> Cancelled {
        let Some(mut descriptor) = all.by_number.remove(&fd) else { return Cancelled::default() };
        let cancelled = descriptor.cancel(|_| true);
        descriptor.is_detached = true;
        if !self.shard(fd).left(&descriptor, cancelled.requests.len()) {
            all.detached.insert(descriptor.id, descriptor);
        }
        cancelled
    }

    /// For whoever is about to close a file, with signals blocked: what becomes of the requests of a
    /// turn before `until`. `waited`: as it was said the last time.
    ///
    /// Not left to the pump, all of whose threads may be in calls that end only after this.
    pub(crate) fn next_before_close(
        &self,
        fd: c_int,
        until: u64,
        waited: Option<Waits>,
    ) -> Closing {
        let mut all = self.lock(fd);
        let mut of = waited.map(|waits| waits.id);
        loop {
            let descriptor = all.by_number.get_mut(&fd);
            let same = |descriptor: &&mut Descriptor| of.is_none_or(|id| descriptor.id == id);
            let Some(descriptor) = descriptor.filter(same) else { return Closing::Nothing };
            descriptor.closers -= usize::from(of.take().is_some());
            let mut old = descriptor.requests.values().filter(|request| request.turn < until);
            let ready = old.clone().filter(|request| request.stage.is_ready());
            match ready.min_by_key(|request| request.turn) {
                Some(first) if first.stage.begin() => return Closing::Run(first.clone()),
                // The pump was first with this one.
                Some(_) => continue,
                None if old.next().is_none() => return Closing::Nothing,
                None => {}
            }
            descriptor.closers += 1;
            // Ordering: Relaxed, under the lock, under which it is written.
            let gone = self.shard(fd).gone.load(Ordering::Relaxed);
            return Closing::Wait(Waits { id: descriptor.id, gone });
        }
    }

    /// Sleeps until one of the descriptor's requests has left, or is ready again; or for no reason.
    /// Without the lock: what a signal handler does meanwhile may need it.
    pub(crate) fn wait_before_close(&self, fd: c_int, waits: &Waits) {
        let _waited = sys::wait(&self.shard(fd).gone, waits.gone, None);
    }
}

impl Shard {
    fn any(&self) -> bool {
        // Ordering: Acquire. Partner: the subtraction in `left`; with its count a request's result
        // is seen.
        self.count.load(weakened!("c-count", Ordering::Acquire)) > 0
    }

    /// So many requests have left the descriptor. Whether there are none any more, and it is to go.
    fn left(&self, descriptor: &Descriptor, count: usize) -> bool {
        // Ordering: Release. Partner: the load in `any`. (A later one, of this or of another
        // thread, goes on with what it released.)
        self.count.fetch_sub(count, Ordering::Release);
        if descriptor.closers > 0 {
            self.wake_closers();
        }
        descriptor.requests.is_empty()
    }

    /// Under the lock: whoever waits to close looks again.
    fn wake_closers(&self) {
        // Ordering: Relaxed, as in `next_before_close`: whoever reads the old value there comes before
        // this, and is found asleep by the kernel, or does not fall asleep.
        self.gone.fetch_add(1, Ordering::Relaxed);
        sys::wake(&self.gone);
    }

    /// `None`: the lock stays taken, as it does for a signal handler that has interrupted its
    /// holder. A holder that has lost its CPU, on a machine where many want one, is waited for.
    fn try_lock(&self) -> Option<MutexGuard<'_, Descriptors>> {
        for turn in 0..LOCK_TURNS {
            match self.descriptors.try_lock() {
                Some(all) => return Some(all),
                None => sys::yield_or_sleep(turn),
            }
        }
        None
    }
}

impl Descriptors {
    /// Whose request it is.
    fn find(&mut self, request: &Request) -> Option<&mut Descriptor> {
        let descriptor = self.by_number.get_mut(&request.submission.number);
        match descriptor.filter(|descriptor| descriptor.id == request.descriptor) {
            Some(descriptor) => Some(descriptor),
            None => self.detached.get_mut(&request.descriptor),
        }
    }

    /// The same, and it is there no longer.
    fn take(&mut self, request: &Request) -> Option<Descriptor> {
        match self.by_number.entry(request.submission.number) {
            Entry::Occupied(entry) if entry.get().id == request.descriptor => Some(entry.remove()),
            _ => self.detached.remove(&request.descriptor),
        }
    }
}
