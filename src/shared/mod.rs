//! What all threads of one runtime share.
//!
//! | module | what it is |
//! |---|---|
//! | `config` | what the builder was told |
//! | `slot` | a thread's place in the table: what others may know and do about it |
//! | `threads` | how many threads there are, and waiting until there are none |
//! | `entered` | which runtimes have been entered on a thread |
//! | `handoff_hook` | who calls the hook that wants to know of each hand-off |
//! | `sentinel` | whether somebody waits for the kernel's edges, and who is to do so next |
//! | `turns` | whose turn it is, where a test replays |
//! | `leftover` | what becomes of tasks that are queued when the runtime ends |
//! | `tasks` | what each task is doing |
//! | `told` | what the runtime says on the standard error stream |
//! | `watched` | what is kept for whoever wants to know what the runtime does |
//! | this one | the data of one runtime |

mod config;
pub(crate) mod entered;
mod handoff_hook;
pub(crate) mod leftover;
mod rescues;
mod sentinel;
pub(crate) mod slot;
pub(crate) mod tasks;
pub(crate) mod threads;
mod told;
#[cfg_attr(not(feature = "test-util"), path = "turns_off.rs")]
pub(crate) mod turns;
mod watched;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Instant;

pub(crate) use self::config::{Config, Hook, Watch, Without};
use self::handoff_hook::Untold;
use self::rescues::Rescues;
use self::slot::{Slot, Slots};
use self::threads::Threads;
use self::turns::MaybeTurns;
pub(crate) use self::watched::{Alarm, Watched};
use crate::detect::edges::Edges;
use crate::driver::{self, Driver, TimersOf};
use crate::observe::polls::Queued;
use crate::observe::profile::SiteEvents;
use crate::observe::trace::Trace;
use crate::primitive::park::Unparked;
use crate::primitive::{Mutex, Padded};
use crate::protocol::Cause;
use crate::protocol::core::{SlotId, State, Suspect};
use crate::protocol::idle::{Idle, Sleeper};
use crate::protocol::monitor_sleep::MonitorSleep;
use crate::protocol::pool::{Claim, Pool, Retake, Todo};
use crate::protocol::queue::{Injector, Lifo, LocalQueue};
use crate::protocol::watch::SentinelWatch;
use crate::spawned::local::Locals;
use crate::spawned::{Header, Keeper, Owned, Runnable};

/// How blocked threads are found, as it turned out at start.
#[derive(Clone, Debug)]
pub(crate) struct Detection {
    /// The sentinel runs, and threads open rings.
    pub(crate) perf: bool,
    /// The monitor retakes cores.
    pub(crate) monitor: bool,
    /// Why not the better one.
    pub(crate) reason: Option<String>,
}

/// What belongs to one seat beside its word. The holder of the core pushes; see the queues.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) queue: LocalQueue<Runnable>,
    pub(crate) lifo: Lifo<Runnable>,
    /// Polls so far; written by the holder of its core. It belongs to the seat and not to the
    /// thread, whose turn may be over after one poll.
    pub(crate) tick: AtomicU32,
    /// Tasks in a row that came from the LIFO slot; written by the holder of its core. It belongs
    /// to the seat for the same reason: each of many short turns would begin with the LIFO slot,
    /// and what is in the queue would wait for ever.
    pub(crate) lifo_streak: AtomicU32,
    /// The monitor asks for a look at timers and I/O behind the poll that runs.
    pub(crate) overdue: AtomicBool,
    /// Tasks stolen by this seat; written by the holder of its core.
    pub(crate) steals: AtomicU64,
    /// How often the seat went to sleep, and woke from that; written by the holder of its core.
    pub(crate) naps: AtomicU64,
    /// Since when it is awake, in nanoseconds since the runtime was built; the same.
    awake_since: AtomicU64,
    /// For how long it was awake before, in nanoseconds; the same.
    pub(crate) awake: AtomicU64,
    /// When the runtime was built.
    born: Instant,
}

impl Seat {
    fn new() -> Self {
        Seat {
            queue: LocalQueue::new(),
            lifo: Lifo::new(),
            tick: AtomicU32::new(0),
            lifo_streak: AtomicU32::new(0),
            overdue: AtomicBool::new(false),
            steals: AtomicU64::new(0),
            naps: AtomicU64::new(0),
            awake_since: AtomicU64::new(0),
            awake: AtomicU64::new(0),
            born: Instant::now(),
        }
    }

    /// By the holder of the core, before it is put to sleep: because there is nothing to run, or
    /// because nobody is there to run it.
    pub(crate) fn sleeps(&self, for_want_of_work: bool) {
        let now = self.age();
        let awake = now.saturating_sub(self.awake_since.load(Ordering::Relaxed));
        self.awake.store(self.awake.load(Ordering::Relaxed) + awake, Ordering::Relaxed);
        if for_want_of_work {
            self.naps.store(self.naps.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// By the holder of the core, which has slept.
    pub(crate) fn wakes(&self) {
        self.awake_since.store(self.age(), Ordering::Relaxed);
        let naps = self.naps.load(Ordering::Relaxed);
        self.naps.store(naps.next_multiple_of(2), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Counts that are touched seldom.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) wasted: AtomicU64,
    pub(crate) sentinel_wakeups: AtomicU64,
    pub(crate) spare_wakeups: AtomicU64,
    pub(crate) unprotected: AtomicU64,
    pub(crate) spawn_failures: AtomicU64,
    pub(crate) ring_faults: AtomicU64,
    pub(crate) rings: AtomicUsize,
    /// How often a thread wanted a ring.
    pub(crate) rings_wanted: AtomicUsize,
    /// Spares whose threads have been started and have not arrived yet.
    pub(crate) spares_coming: AtomicUsize,
}

/// One runtime. What is written again and again stands apart from what each poll reads.
pub(crate) struct Shared {
    me: Weak<Shared>,
    /// The runtime's number.
    pub(crate) id: NonZeroU64,
    pub(crate) config: Config,
    pub(crate) detection: Detection,
    pub(crate) pool: Pool,
    pub(crate) seats: Box<[Padded<Seat>]>,
    pub(crate) injector: Padded<Injector<Runnable>>,
    /// Wakers that are due, for whoever has a core.
    pub(crate) due: Padded<Injector<Waker>>,
    /// At the end: calls that were accepted, and are to run when the other tasks are gone.
    pub(crate) accepted: Mutex<VecDeque<Runnable>>,
    pub(crate) idle: Padded<Idle>,
    pub(crate) owned: Owned,
    /// Of a `LocalRuntime`: its thread's tasks, which are all but those that make calls.
    pub(crate) locals: OnceLock<Arc<Locals>>,
    pub(crate) driver: Padded<Mutex<Driver>>,
    pub(crate) driver_handle: driver::Handle,
    /// Of each part.
    pub(crate) timers: Box<[TimersOf]>,
    pub(crate) slots: Slots,
    pub(crate) events: Padded<Mutex<HashMap<u32, SiteEvents>>>,
    pub(crate) counters: Padded<Counters>,
    pub(crate) threads: Threads,
    /// When tasks were queued, if that is to be known.
    pub(crate) queued: Option<Queued>,
    /// Where the timeline goes, if there is to be one.
    pub(crate) trace: Option<Trace>,
    pub(crate) watched: Watched,
    /// Polls that were found asleep.
    pub(crate) rescues: Padded<Rescues>,
    /// The rings of the threads, once one of them wants to open one.
    pub(crate) edges: OnceLock<Arc<Edges>>,
    /// The thread that waits for them; it has no core, and is on no list.
    pub(crate) watch: SentinelWatch,
    /// Why there is no sentinel although the kernel would allow it.
    pub(crate) sentinel_failure: OnceLock<String>,
    /// Why the monitor could not read the state of a thread, the first time.
    unreadable: OnceLock<String>,
    /// What the hook that wants to know of each hand-off is still to be told.
    untold: Untold,
    /// Why a spare could not be started, the last time.
    pub(crate) spawn_failure: Mutex<Option<String>>,
    pub(crate) monitor_sleep: MonitorSleep,
    /// Where a test replays: whose turn it is.
    pub(crate) turns: MaybeTurns,
    /// In a current-thread runtime: that core waits for a thread to come into `block_on`.
    pub(crate) at_home: AtomicBool,
    /// Threads in `block_on` beside the one that has that core: to be told when it has gone home.
    pub(crate) beside: Mutex<Vec<Waker>>,
    /// The timer slack of whoever built it, which its threads have, too; in nanoseconds.
    pub(crate) timer_slack: u64,
    /// How many forks lay between the first process and this one when it was built.
    forks: usize,
    shutdown: AtomicBool,
}

/// The next number for a runtime, or what is one to its tasks.
pub(crate) fn next_id() -> NonZeroU64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    NonZeroU64::new(number).expect("2^64 runtimes are not reached")
}

// A panic leaves a runtime as it was: no user code runs under its locks.
impl UnwindSafe for Shared {}
impl RefUnwindSafe for Shared {}

impl Shared {
    pub(crate) fn new(
        me: Weak<Shared>,
        config: Config,
        detection: Detection,
        driver: Driver,
        driver_handle: driver::Handle,
        trace: Option<Trace>,
        watched: Watched,
    ) -> Self {
        Shared {
            me,
            id: next_id(),
            pool: Pool::new(config.workers, config.max_async_threads, config.min_spares),
            seats: (0..config.workers).map(|_| Padded(Seat::new())).collect(),
            injector: Padded(Injector::new()),
            due: Padded(Injector::new()),
            accepted: Mutex::default(),
            idle: Padded(Idle::new(config.workers)),
            owned: Owned::new(),
            locals: OnceLock::new(),
            driver: Padded(Mutex::new(driver)),
            timers: TimersOf::all(&driver_handle),
            slots: Slots::new(),
            events: Padded(Mutex::new(HashMap::new())),
            counters: Padded::default(),
            threads: Threads::default(),
            queued: config.schedule_latencies.then(Queued::new),
            trace,
            watched,
            rescues: Padded(Rescues::default()),
            edges: OnceLock::new(),
            watch: SentinelWatch::new(),
            sentinel_failure: OnceLock::new(),
            unreadable: OnceLock::new(),
            untold: Untold::default(),
            spawn_failure: Mutex::new(None),
            monitor_sleep: MonitorSleep::new(),
            at_home: AtomicBool::new(config.current_thread && !config.replay.is_set()),
            turns: MaybeTurns::new(&config.replay, config.max_async_threads, driver_handle.now()),
            driver_handle,
            beside: Mutex::new(Vec::new()),
            timer_slack: crate::sys::thread::timer_slack(),
            forks: crate::sys::fork::forks(),
            shutdown: AtomicBool::new(false),
            config,
            detection,
        }
    }

    /// Puts a task into the injector and wakes a seat for it.
    pub(crate) fn inject(&self, task: Runnable) {
        if self.is_of_parent() {
            // Nobody runs it here, and a lock may be held by a thread that is not there.
            return std::mem::forget(task);
        }
        self.is_queued(&task);
        self.injector.push(task);
        self.announce_work();
    }

    /// A task goes into a queue. Those of one thread's own tasks are not counted.
    #[inline]
    pub(crate) fn is_queued(&self, task: &Runnable) {
        if let Some(queued) = &self.queued {
            queued.enters(task.header().id.number());
        }
    }

    /// After a push into what all seats share: somebody looks after it.
    fn announce_work(&self) {
        // Its fence stands between the push and the look at the flag below.
        self.notify();
        if self.is_shutdown() {
            if let Some(shared) = self.me.upgrade() {
                leftover::came_late(&shared);
            }
        }
    }

    /// Has a thread with a core call wakers. They are foreign code, which may block: not on a
    /// thread that others count on, such as the monitor or a spare that is on the list; and one
    /// that blocks holds up none of those behind it, because they wait here and not with the thread
    /// that is stuck.
    pub(crate) fn wake_soon(&self, wakers: impl ExactSizeIterator<Item = Waker>) {
        if wakers.len() == 0 {
            return;
        }
        self.due.push_batch(wakers);
        self.announce_work();
    }

    /// After a push: wakes a sleeping seat, if one is needed.
    #[inline]
    pub(crate) fn notify(&self) {
        if let Some(sleeper) = self.idle.notify() {
            self.wake_sleeper(sleeper);
        }
    }

    /// Wakes a thread that was taken off the list of sleepers. Not the one that the seat's word
    /// names by now: the sleeper may have woken by itself and have left, and then that is nobody.
    #[cold]
    pub(crate) fn wake_sleeper(&self, sleeper: Sleeper) {
        self.unpark(self.slots.get(sleeper.slot));
    }

    /// Wakes a thread, wherever it sleeps.
    pub(crate) fn unpark(&self, slot: &Slot) {
        match slot.parker.unpark() {
            Unparked::Awake | Unparked::Woken => {}
            Unparked::InDriver => self.driver_handle.unpark(),
        }
    }

    /// Whether every core sleeps, or has no thread.
    pub(crate) fn nobody_awake(&self) -> bool {
        (0..self.seats.len()).all(|seat| self.pool.word(seat).load().state() == State::Idle)
    }

    /// Whether any queue holds a task, or a waker is due.
    pub(crate) fn any_work(&self) -> bool {
        self.injector.len() > 0
            || self.due.len() > 0
            || self.seats.iter().any(|seat| seat.queue.len() > 0)
    }

    /// A thief's claim, for a spare or for the thief itself, which is the sentinel then; returns what
    /// became of it.
    pub(crate) fn retake(&self, claim: Claim, taker: Option<SlotId>) -> Retake {
        let answer = self.ask_pool(|pool, todo| pool.retake(claim, taker, todo));
        if matches!(answer, Retake::NoPermit | Retake::NoSpare) {
            // The claim is good until the call returns, and the thread has to know of it then. (The
            // thief's own suspicion is not settled yet: there is no gap.)
            self.slots.get(claim.observed).suspicion.raise(Suspect::Stalled);
            self.empty_lifo(claim.seat);
        }
        answer
    }

    /// A core is stalled: what is in its queue others can steal, and what is in its LIFO slot goes
    /// where they can.
    pub(crate) fn empty_lifo(&self, seat: usize) {
        if let Some(task) = self.seats[seat].lifo.take() {
            self.inject(task);
        }
    }

    /// Has the pool decide something, and then does what follows from that. The pool takes its lock
    /// in its own methods; what `decide` does beside calling one is done without it.
    pub(crate) fn ask_pool<R>(&self, decide: impl FnOnce(&Pool, &mut Todo) -> R) -> R {
        let mut todo = Todo::default();
        let answer = decide(&self.pool, &mut todo);
        self.carry_out(todo);
        answer
    }

    fn carry_out(&self, todo: Todo) {
        // The sentinel is on no list, so only by itself can it have been given a core.
        for (spare, _) in todo.handed.iter().filter(|(spare, _)| !self.watch.is_kept_by(*spare)) {
            self.unpark(self.slots.get(*spare));
            self.counters.spare_wakeups.fetch_add(1, Ordering::Relaxed);
        }
        for (_, claim) in todo.handed.iter().filter(|(_, claim)| claim.cause == Cause::Hog) {
            self.slots.get(claim.observed).slow_down();
        }
        if let Some(trace) = &self.trace {
            todo.handed.iter().for_each(|(_, claim)| trace.handoff(claim.seat, claim.cause));
        }
        if todo.want_spare {
            self.ring_monitor();
        }
        self.wake_soon(todo.granted.into_iter());
        if !todo.handed.is_empty() {
            self.tell_hook(todo.handed.iter().map(|(_, claim)| (claim.observed, claim.cause)));
        }
    }

    /// The monitor cannot read the state of a thread.
    pub(crate) fn note_unreadable(&self, error: &io::Error) {
        self.unreadable.get_or_init(|| {
            format!(
                "the state of a thread cannot be read in /proc/self/task ({error}): that it is blocked \
                 is told by its CPU clock, some milliseconds later"
            )
        });
    }

    /// Why blocked threads are not found in a better way, in words.
    pub(crate) fn detector_reason(&self) -> Option<String> {
        let reasons =
            [self.detection.reason.as_ref(), self.sentinel_failure.get(), self.unreadable.get()];
        let text = reasons.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ");
        (!text.is_empty()).then_some(text)
    }

    /// Has the monitor look at once.
    pub(crate) fn ring_monitor(&self) {
        self.monitor_sleep.ring();
    }

    /// A seat has woken: the monitor, if it sleeps, must watch it.
    pub(crate) fn wake_monitor(&self) {
        self.monitor_sleep.seat_woke();
    }

    /// The core of a current-thread runtime waits for a thread: whoever is in `block_on` may take
    /// it.
    pub(crate) fn go_home(&self) {
        let beside = self.beside.lock();
        // Ordering: Release, so that whoever takes the core sees what was done with it. Partners: the
        // swaps in `block_on` and `start_at_home`.
        self.at_home.store(true, Ordering::Release);
        // All of them: one that is just leaving would not pass it on. They are wakers of
        // `block_on`, and no foreign code.
        beside.iter().for_each(Waker::wake_by_ref);
    }

    /// Whether this is a copy in a child of `fork`.
    pub(crate) fn is_of_parent(&self) -> bool {
        self.forks != crate::sys::fork::forks()
    }

    /// Whether the runtime is being shut down.
    #[inline]
    pub(crate) fn is_shutdown(&self) -> bool {
        // Ordering: Acquire. Partner: the Release in `begin_shutdown`.
        self.shutdown.load(Ordering::Acquire)
    }

    /// `true` for the one that begins the shutdown.
    pub(crate) fn begin_shutdown(&self) -> bool {
        let first = !self.shutdown.swap(true, Ordering::AcqRel);
        // Partner: the fence in `notify`, after a push into the injector. Either that push is seen
        // by whoever empties the queues last, or the pusher sees the flag.
        fence(Ordering::SeqCst);
        first
    }

    /// Changes what is known of a site.
    pub(crate) fn with_events<R>(&self, id: u32, f: impl FnOnce(&mut SiteEvents) -> R) -> R {
        f(self.events.lock().entry(id).or_default())
    }

    /// All calls of a site, by all threads.
    pub(crate) fn calls(&self, id: u32) -> u64 {
        self.slots.iter().map(|(_, slot)| slot.counts.get(id)).sum()
    }
}

impl Keeper for Shared {
    fn inject(&self, task: Runnable) {
        Shared::inject(self, task);
    }

    #[inline]
    fn is_ending(&self) -> bool {
        self.is_shutdown()
    }

    fn list(&self) -> &Owned {
        &self.owned
    }

    fn is_of_parent(&self) -> bool {
        Shared::is_of_parent(self)
    }

    fn ended(&self, header: &Header) -> bool {
        let Some(owned) = self.owned() else { return false };
        if let Some(book) = &self.watched.book {
            book.ended(header.id);
        }
        owned.remove(header)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.config.thread_name).finish_non_exhaustive()
    }
}
