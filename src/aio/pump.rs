//! The pump: closures that may block, run by a few tasks that never wait for anything else, or by
//! a few threads.
//!
//! A task per request would pay a hand-off per request: each new task's call blocks on a core, and
//! the core has to go. So the requests stand in a line, and up to `limit` *runners* take them from
//! it, each a task whose body is region after region. The first of them that blocks costs the
//! runner its core; from then on the runner goes on, without yielding, on the coreless thread it is
//! on, where a region is a plain call (see `Thread::renew_budget`: a task whose calls go on
//! blocking may stay, one whose calls do not goes back to the cores). Under load this is threads
//! doing synchronous I/O; without load there are none.
//!
//! # Who runs
//!
//! * A request that comes calls *one* runner: a lingering one if there is one, else a new one, if
//!   there are fewer than the limit. Nobody is called while as many are on their way as there are
//!   requests in the line.
//! * A runner that takes a request and leaves others behind calls the next one. So runners are
//!   started one by one, as fast as they get to run, and a line of calls that do not block is
//!   worked off by as many runners as there are cores.
//! * A runner that finds the line empty ends; but without a core it *lingers* first: the next
//!   request then costs the wake of one thread, instead of that of a worker and of the spare that
//!   takes its core over. Before that it lets others have the CPU and *looks* again, and counts as
//!   on its way meanwhile: a request that comes then costs no wake at all. It does neither while
//!   others wait for its permit.
//! * Requests that do not block, one now and one then, would find no runner each time. So when some
//!   runners in a row were missed soon after they ended, the next one hands its core over to
//!   linger. (At a depth of 1 that took a third of the CPU off a short call, and doubled their
//!   number.)
//!
//! # Nothing is lost
//!
//! A runner is counted from the moment it is called, and whatever becomes of it (it ends; its
//! runtime drops it, before its first poll or between two requests), its `Drop` counts it out and
//! *then* looks at the line, under one lock. So a request that was pushed while the runner was
//! counted, and called nobody for that reason, is seen there.
//!
//! A runner whose runtime shuts down is followed by one on the global runtime, which never does. If
//! that cannot be started, the thread at hand runs what is in the line.
//!
//! # Without a runtime
//!
//! Where nobody but the pump uses its threads ([`Pump::on_threads`]), the runners are those
//! threads, and all of the above holds but what is said of cores: a runner lingers for as long as
//! its maker says, and then its thread ends. A thread that cannot be started is no loss while there
//! is another runner, which looks at the line before it is counted out; whoever is told so counts
//! itself out under the lock under which it has seen that other one, and calls nobody, who could
//! not be started either.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::call::gate::{Options, Pass, gate};
use crate::call::in_place::turn;
use crate::call::region::run_at;
use crate::context;
use crate::observe::site::Site;
use crate::primitive::Mutex;
use crate::primitive::quietly;
use crate::runtime::{self, Handle};
use crate::spawned::Origin;

/// How long a thread without a core waits for the next request.
const LINGER: Duration = Duration::from_millis(1);

/// How often a runner without a core lets others have the CPU before it lingers. Whoever waited for
/// the request that it has just finished may be about to bring the next; to sleep and be woken for
/// that is dearer.
const YIELDS: usize = 2;

/// How many runners may be on their way to their first request.
const STARTING_MAX: usize = 2;

/// After so many runners in a row that ended and were missed soon after, one gives its core away to
/// linger.
const MISSED_MAX: u32 = 4;

static SITE: Site = Site::new(file!(), line!(), column!(), "aio");
static LINGER_SITE: Site = Site::new(file!(), line!(), column!(), "aio linger");

type Job = Box<dyn FnOnce() + Send>;

/// Runs closures that may block: started first in first out, ended in any order, on a bounded
/// number of threads.
///
/// It needs no runtime on the caller's side. The closures run on the current one, if that has worker
/// threads, or on the global one; or on threads of the pump's own ([`on_threads`](Self::on_threads)).
/// What is left when a runtime shuts down is run on the global one. A closure that panics ends
/// itself and nothing else.
///
/// In a runtime without a detector nobody would find out that a closure blocks; so there all of
/// them run on threads without a core.
///
/// Dropping the pump does not keep what was submitted from being run.
///
/// In a child of `fork` a pump of the parent must not be used: its threads are not there.
pub struct Pump {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Lingering runners wait here for [`State::wakes`].
    linger: Condvar,
    /// Where its runners come from, if not from a runtime.
    threads: Option<Threads>,
}

/// Where a pump has threads from that belong to no runtime.
///
/// A thread that is short of stack, or that may be cancelled, can be one that calls
/// [`submit`](Pump::submit): that does no more than these functions do.
#[cfg_attr(not(any(test, feature = "raw")), allow(dead_code, reason = "`raw` shows it"))]
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    /// Starts a thread for [`Runner::run`]. If none can be had, [`Runner::run_here`] is called in
    /// place of that.
    pub start: fn(Runner),
    /// For how long one waits for the next request before it ends.
    pub linger: fn() -> Duration,
    /// Lets others have the CPU.
    pub yield_now: fn(),
}

/// `idle + wakes` runners are in [`Shared::linger`]; they, those `starting` and those `looking` are
/// among the `runners`.
struct State {
    line: VecDeque<Job>,
    limit: usize,
    /// All that were called and have not been counted out.
    runners: usize,
    /// Those that have not taken their first look at the line.
    starting: usize,
    /// Those that linger and were not called.
    idle: usize,
    /// Calls to lingering runners that none has heard yet.
    wakes: usize,
    /// Those that let others have the CPU, and look at the line when they have it again.
    looking: usize,
    /// When a runner last ended because there was nothing to do.
    ended: Option<Instant>,
    /// How many in a row were missed within [`LINGER`] of that.
    missed: u32,
}

/// What a runner is to do.
enum Next {
    Run(Job),
    /// Give the core away, and ask again.
    Linger,
    End,
}

/// Whom a request needs.
#[must_use]
enum Call {
    Nobody,
    Lingering,
    New,
}

impl Pump {
    /// A pump that runs at most `limit` closures at once. It starts no thread.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    pub fn new(limit: usize) -> Pump {
        Pump::made_of(limit, None)
    }

    /// The same on threads of its own, which end when they have had nothing to do for a while. No
    /// runtime is needed then, and none is started.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    #[cfg(any(test, doc, feature = "raw"))]
    pub fn on_threads(threads: Threads, limit: usize) -> Pump {
        Pump::made_of(limit, Some(threads))
    }

    fn made_of(limit: usize, threads: Option<Threads>) -> Pump {
        assert!(limit > 0, "a pump with a limit of 0 would run nothing");
        let state = State {
            line: VecDeque::new(),
            limit,
            runners: 0,
            starting: 0,
            idle: 0,
            wakes: 0,
            ended: None,
            missed: 0,
            looking: 0,
        };
        let shared = Shared { state: Mutex::new(state), linger: Condvar::new(), threads };
        Pump { shared: Arc::new(shared) }
    }

    /// Has the closure run as soon as fewer than the limit run, and all that came before it have
    /// been started.
    ///
    /// It returns at once, but for one case: no thread runs what is in the line, and none can be
    /// started, as the system refuses it (to the global runtime, where that is needed). Then the
    /// calling thread runs it. So do not hold a lock here that the closure takes.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let call = {
            let mut state = self.shared.state.lock();
            state.line.push_back(Box::new(job));
            state.call()
        };
        self.shared.answer(call);
    }

    /// Changes the limit. A lower one interrupts nothing.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    pub fn set_limit(&self, limit: usize) {
        assert!(limit > 0, "a pump with a limit of 0 would run nothing");
        let call = {
            let mut state = self.shared.state.lock();
            state.limit = limit;
            state.call()
        };
        self.shared.answer(call);
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Pump")
            .field("limit", &state.limit)
            .field("waiting", &state.line.len())
            .field("runners", &state.runners)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Counts the one that is called as on its way.
    fn call(&mut self) -> Call {
        if self.line.len() <= self.wakes + self.starting + self.looking {
            return Call::Nobody;
        }
        if self.idle > 0 {
            self.idle -= 1;
            self.wakes += 1;
            return Call::Lingering;
        }
        if self.runners < self.limit && self.starting < STARTING_MAX {
            self.runners += 1;
            self.starting += 1;
            if let Some(ended) = self.ended.take() {
                self.missed = if ended.elapsed() < LINGER { self.missed + 1 } else { 0 };
            }
            return Call::New;
        }
        Call::Nobody
    }
}

impl Shared {
    fn answer(self: &Arc<Self>, call: Call) {
        match call {
            Call::Nobody => {}
            Call::Lingering => self.linger.notify_one(),
            Call::New => self.start(),
        }
    }

    /// Starts a runner that is counted already.
    fn start(self: &Arc<Self>) {
        let shared = self.clone();
        let runner = Runner { shared, starting: true, last_resort: false, counted: true };
        match (&self.threads, current_with_workers()) {
            (Some(threads), _) => (threads.start)(runner),
            (None, Some(handle)) => runner.spawn_on(&handle),
            (None, None) => runner.spawn_on_global(),
        }
    }

    /// For how long a runner waits that has nothing to do, and is in nobody's way.
    fn linger(&self) -> Duration {
        self.threads.map_or(LINGER, |threads| (threads.linger)())
    }

    /// Lets others have the CPU.
    fn yield_now(&self) {
        match self.threads {
            Some(threads) => (threads.yield_now)(),
            None => thread::yield_now(),
        }
    }
}

/// The current runtime, if its tasks run whatever the calling thread does next.
fn current_with_workers() -> Option<Handle> {
    Handle::try_current().ok().filter(is_fit)
}

/// Whether tasks of that runtime run whatever the calling thread does next.
fn is_fit(handle: &Handle) -> bool {
    !handle.shared.config.current_thread && !handle.shared.is_shutdown()
}

/// Takes the requests of a pump from their line, one after the other.
pub struct Runner {
    shared: Arc<Shared>,
    starting: bool,
    /// It was given to the global runtime: if that drops it, there is nobody else.
    last_resort: bool,
    /// Among the runners of its pump.
    counted: bool,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("starting", &self.starting).finish_non_exhaustive()
    }
}

impl Runner {
    /// On a thread of its own: until there has been nothing to do for a while.
    #[cfg(any(test, doc, feature = "raw"))]
    pub fn run(mut self) {
        while let Next::Run(job) = self.next(Stand::Coreless) {
            quietly(job);
        }
    }

    /// On a thread that has called [`Pump::submit`], as no other is to be had: until the line is
    /// empty. (If the pump has another thread, that comes to the line again, and nothing is done.)
    pub fn run_here(mut self) {
        if self.is_left_to_others() {
            return;
        }
        while let Next::Run(job) = self.next(Stand::Hurried) {
            quietly(job);
        }
        // A request that comes between the last look and this finds the same trouble as this one
        // did, and its own thread.
        drop(self);
    }

    /// Whether it was counted out, as there are other threads.
    fn is_left_to_others(&mut self) -> bool {
        let mut state = self.shared.state.lock();
        if self.shared.threads.is_none() || state.runners == 1 {
            return false;
        }
        state.runners -= 1;
        state.starting -= usize::from(std::mem::take(&mut self.starting));
        self.counted = false;
        true
    }

    fn spawn_on(self, handle: &Handle) {
        let task = crate::scheduler::spawn::spawn(&handle.shared, self.live(), Origin::caller());
        // Detached.
        drop(task);
    }

    fn spawn_on_global(mut self) {
        match runtime::try_global() {
            Ok(handle) => {
                self.last_resort = true;
                self.spawn_on(&handle);
            }
            Err(_) => self.run_here(),
        }
    }

    /// In a task.
    async fn live(mut self) {
        loop {
            let pass = match is_watched() {
                true => turn(gate(&SITE, Options::DEFAULT).await),
                false => Pass::WillBlock,
            };
            match self.next(Stand::of_this_thread()) {
                Next::Run(job) => quietly(|| run_at(&SITE, pass, job)),
                Next::Linger if give_core_away() => {}
                Next::Linger | Next::End => return,
            }
            if context::with(|thread| thread.is_none_or(|thread| thread.shared.is_shutdown())) {
                return;
            }
        }
    }

    /// What this runner, whose thread stands so, is to do.
    fn next(&mut self, stand: Stand) -> Next {
        let mut state = self.shared.state.lock();
        if std::mem::take(&mut self.starting) {
            state.starting -= 1;
        }
        let mut until = None;
        let mut yields = 0;
        loop {
            if state.runners > state.limit {
                return Next::End;
            }
            if let Some(job) = state.line.pop_front() {
                let call = state.call();
                drop(state);
                self.shared.answer(call);
                return Next::Run(job);
            }
            match stand {
                Stand::Coreless => {}
                Stand::WithCore if state.missed >= MISSED_MAX => {
                    state.missed = 0;
                    return Next::Linger;
                }
                Stand::WithCore | Stand::Hurried => {
                    state.ended = Some(Instant::now());
                    return Next::End;
                }
            }
            if yields < YIELDS {
                yields += 1;
                state.looking += 1;
                drop(state);
                self.shared.yield_now();
                state = self.shared.state.lock();
                state.looking -= 1;
                continue;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + self.shared.linger());
            state.idle += 1;
            while state.wakes == 0 {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    state.idle -= 1;
                    return Next::End;
                }
                let woken = self.shared.linger.wait_timeout(state, left);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
            state.wakes -= 1;
        }
    }
}

/// Whether somebody finds out when a call on this thread blocks.
fn is_watched() -> bool {
    context::with(|thread| thread.is_none_or(|thread| thread.shared.detection.monitor))
}

/// Whom it would cost something if a runner waited on its thread.
#[derive(Clone, Copy)]
enum Stand {
    /// Nobody: it has no core.
    Coreless,
    /// The other tasks of its core.
    WithCore,
    /// Those who wait for its permit, or for its runtime to end; or it is none of our threads.
    Hurried,
}

impl Stand {
    fn of_this_thread() -> Stand {
        context::with(|thread| match thread.filter(|thread| thread.poll.active.get()) {
            Some(thread) if thread.shared.pool.anyone_behind() => Stand::Hurried,
            Some(thread) if thread.shared.is_shutdown() => Stand::Hurried,
            Some(thread) if thread.is_coreless() => Stand::Coreless,
            Some(_) => Stand::WithCore,
            None => Stand::Hurried,
        })
    }
}

/// Hands the core over, as a call that is known to block does. `false`: nobody can take it.
fn give_core_away() -> bool {
    run_at(&LINGER_SITE, Pass::WillBlock, || {
        context::with(|thread| {
            let coreless = thread.filter(|thread| thread.is_coreless());
            coreless.inspect(|thread| thread.stay_coreless()).is_some()
        })
    })
}

impl Drop for Runner {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let call = {
            let mut state = self.shared.state.lock();
            state.runners -= 1;
            if self.starting {
                state.starting -= 1;
            }
            state.call()
        };
        match call {
            // The global runtime took nobody.
            Call::New if self.starting && self.last_resort => {
                let shared = self.shared.clone();
                let last = Runner { shared, starting: true, last_resort: true, counted: true };
                last.run_here();
            }
            call => self.shared.answer(call),
        }
    }
}

#[cfg(test)]
mod tests;
