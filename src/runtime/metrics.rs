//! What a runtime can tell of itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Cause;
use super::verdict::{self, Verdict};
use crate::observe::polls::Polls;
use crate::observe::profile::{Blocks, Counts, Histogram, SiteEvents};
use crate::observe::site::Site;
use crate::shared::{Seat, Shared};
use crate::spawned::Id;
use crate::sys::whereabouts::{Doing, call_text};

/// Figures of a runtime, taken one after the other while it runs.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::Handle;
///
/// threadlet::block_on(async {
///     let metrics = Handle::current().metrics();
///     println!("found by {}: {:?}", metrics.detector, metrics.detector_reason);
///     println!("{} threads are blocked, {} at most", metrics.async_threads, metrics.async_threads_peak);
///     println!("{} calls wait for a permit", metrics.gate_waiters);
/// });
/// ```
///
/// The fields are as of the call. The methods have tokio's names, and look again each time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// How many tasks run at once: the number of cores.
    pub workers: usize,
    /// How blocked threads are found: `perf`, `monitor` or `off`.
    pub detector: &'static str,
    /// Why not a better way, in words.
    pub detector_reason: Option<String>,
    /// In-place calls so far, whether they blocked or not.
    pub regions: u64,
    /// Cores handed over because a region blocked.
    pub handoffs_blocked: u64,
    /// Cores handed over because a region computed for long.
    pub handoffs_hog: u64,
    /// Cores handed over before the call.
    pub handoffs_predicted: u64,
    /// Cores handed over because a poll blocked or computed without having said so.
    pub handoffs_rescued: u64,
    /// Hand-offs after which the call returned at once: the thread had only waited for a CPU.
    pub handoffs_wasted: u64,
    /// Edges the sentinel was woken for.
    pub sentinel_wakeups: u64,
    /// Spares woken to take a core. The sentinel is awake when it takes one, and does not count.
    pub spare_wakeups: u64,
    /// Threads that go on without a core: the call, the rest of its poll, and the task, as long as
    /// its calls block.
    pub async_threads: usize,
    /// The most of them at once so far.
    pub async_threads_peak: usize,
    /// Permits nobody holds.
    pub permits_free: usize,
    /// Calls that wait for a permit.
    pub gate_waiters: usize,
    /// Calls that ran at the cap without a permit in sight.
    pub regions_unprotected: u64,
    /// Cores that were found blocked and could not be handed over at once.
    pub regions_stalled: u64,
    /// Threads waiting for a core. The sentinel, which takes its core itself, is not among them.
    pub spares: usize,
    /// Threads that could not be created.
    pub thread_spawn_failures: u64,
    /// Rings that were refused or failed; their threads are the monitor's.
    pub ring_faults: u64,
    /// Tasks that have not ended.
    pub tasks_alive: usize,
    /// Tasks in the shared queue.
    pub injector_depth: usize,
    /// Tasks that a worker took from another's queue.
    pub steals: u64,
    pub(super) shared: Arc<Shared>,
}

impl Metrics {
    /// How many workers there are, now as ever: [`workers`](Self::workers).
    pub fn num_workers(&self) -> usize {
        self.shared.seats.len()
    }

    /// Tasks that have not ended, now. A closure of
    /// [`spawn_blocking`](crate::task::spawn_blocking) is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Handle;
    ///
    /// threadlet::block_on(async {
    ///     let metrics = Handle::current().metrics();
    ///     let task = threadlet::spawn(std::future::pending::<()>());
    ///     assert_eq!((metrics.tasks_alive, metrics.num_alive_tasks()), (0, 1));
    ///     task.abort();
    /// });
    /// ```
    pub fn num_alive_tasks(&self) -> usize {
        self.shared.owned.alive()
    }

    /// Tasks in the shared queue, now.
    pub fn global_queue_depth(&self) -> usize {
        self.shared.injector.len()
    }

    /// For how long a worker was awake, until it last went to sleep; whichever threads had its core
    /// meanwhile. Workers are counted from 0.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.seat(worker).awake.load(Ordering::Relaxed))
    }

    /// How often a worker has gone to sleep because there was nothing to run.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_park_count(&self, worker: usize) -> u64 {
        self.worker_park_unpark_count(worker).div_ceil(2)
    }

    /// How often a worker has gone to sleep, and woken from that: odd while it sleeps.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn worker_park_unpark_count(&self, worker: usize) -> u64 {
        self.seat(worker).naps.load(Ordering::Relaxed)
    }

    /// How long polls took, of tasks that are not bound to one thread: from the start of a poll to
    /// its end on whichever thread, calls that block in it included. `None` if
    /// [`Builder::enable_metrics_poll_time_histogram`](super::Builder::enable_metrics_poll_time_histogram)
    /// was not called.
    pub fn poll_times(&self) -> Option<Histogram> {
        self.shared.config.poll_times.then(|| self.sum(|polls| &polls.times))
    }

    /// How long tasks waited from when they were woken (or spawned) to their poll; of many at once a
    /// sample. `None` if
    /// [`Builder::enable_metrics_schedule_latency_histogram`](super::Builder::enable_metrics_schedule_latency_histogram)
    /// was not called.
    pub fn schedule_latencies(&self) -> Option<Histogram> {
        self.shared.config.schedule_latencies.then(|| self.sum(|polls| &polls.waits))
    }

    fn sum(&self, of: impl Fn(&Polls) -> &Counts) -> Histogram {
        let mut sum = Histogram::default();
        let threads = self.shared.slots.iter();
        threads
            .filter_map(|(_, slot)| slot.polls.get())
            .for_each(|polls| of(polls).add_to(&mut sum));
        sum
    }

    #[track_caller]
    fn seat(&self, worker: usize) -> &Seat {
        let seats = &self.shared.seats;
        assert!(worker < seats.len(), "there is no worker {worker}: there are {}", seats.len());
        &seats[worker]
    }
}

/// A thread that is blocked (or computes) in a call, with its core gone or stalled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Blocked {
    /// The site of the call; `None` if it had not said that it may block.
    pub site: Option<&'static Site>,
    /// Where the task was spawned, as `file:line`; `None` for the root future.
    pub spawned_at: Option<String>,
    /// The task's number.
    pub task: Option<Id>,
    /// The thread's number, as the kernel has it.
    pub thread: i32,
    /// Since when its core is gone; `None` if the core is stalled with it.
    pub since: Option<Instant>,
    /// Why its core was, or is to be, handed over.
    pub cause: Cause,
}

/// One line: where, since when, and why.
impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}, ", self.thread)?;
        match (self.site, &self.spawned_at) {
            (Some(site), _) => write!(f, "at {site}")?,
            (None, Some(place)) => write!(f, "in a task spawned at {place}")?,
            (None, None) => f.write_str("in the root future")?,
        }
        match self.since {
            Some(since) => write!(f, ", for {:?} ({:?})", since.elapsed(), self.cause),
            None => write!(f, ", with its core ({:?})", self.cause),
        }
    }
}

/// What is known of one site of a runtime: a row of the blocking profiler, which is always on.
///
/// The rows of unmarked polls that were rescued stand at the place where their task was spawned,
/// and have no calls.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SiteStats {
    /// The file, as the compiler names it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The expression, or the name of the function called there.
    pub text: &'static str,
    /// The text of its group's expression, if its calls wait for a place in one.
    pub group: Option<&'static str>,
    /// Calls so far, in tasks (and in the root of a current-thread runtime).
    pub calls: u64,
    /// Of those, the ones whose thread kept its core, or had none to lose (see `coreless`).
    pub inline: u64,
    /// Calls of [`fs`](crate::fs) in other executors that were done at once, without a runtime of
    /// ours: in the whole process. They are not among the `calls`.
    pub asked: u64,
    /// Of the calls, the ones whose core was handed over, for whatever cause.
    pub handed_over: u64,
    /// Hand-offs because the call was seen to block.
    pub blocked: u64,
    /// Hand-offs because the call computed for long.
    pub hogged: u64,
    /// Hand-offs before the call.
    pub predicted: u64,
    /// Hand-offs of unmarked polls.
    pub rescued: u64,
    /// Of those, of polls that computed; the others blocked.
    pub computed: u64,
    /// What an unmarked poll slept in: the name of a system call, or `a page fault`; of the first that
    /// was seen, and if the kernel tells.
    pub slept_in: Option<String>,
    /// Calls that blocked on a thread that had no core to lose: noted at sites whose calls nearly
    /// always block.
    pub coreless: u64,
    /// Waits in front of the call, for a permit or for a place in a group.
    pub waits: u64,
    /// All these waits together.
    pub waited: Duration,
    /// The longest of them.
    pub longest_wait: Duration,
    /// For how long the calls blocked. Hogs are in none of it, nor are calls that kept their core,
    /// those that blocked too briefly to be noticed included.
    ///
    /// A time counts from the hand-off to the return of the call: what the detector needed to notice
    /// is not in it. (That of a call handed over first is the whole call, whether or not it blocks;
    /// so is that of one on a thread without a core.)
    pub block_times: Histogram,
    /// The longest time from a hand-off to the return of the call, hogs included.
    pub longest_block: Duration,
    /// For how long those that computed, marked or not, did so after they had lost their core.
    pub computing: Duration,
    /// When the first that blocked lost its core, and when the last returned.
    pub(super) blocked_within: Option<(Instant, Instant)>,
}

impl SiteStats {
    fn new(
        site: &'static Site,
        calls: u64,
        events: &SiteEvents,
        coreless: Option<&Blocks>,
    ) -> Self {
        let [blocked, hogged, predicted, rescued] =
            Cause::ALL.map(|cause| events.handoffs[cause as usize]);
        let handed_over = blocked + hogged + predicted + rescued;
        let mut block_times = events.blocks.clone();
        if let Some(coreless) = coreless {
            block_times.add(&coreless.times);
        }
        // The first to block have a core.
        let last = coreless.and_then(|coreless| coreless.last);
        let blocked_within = events
            .blocked_within
            .map(|(first, returned)| (first, last.map_or(returned, |last| returned.max(last))));
        SiteStats {
            file: site.file(),
            line: site.line(),
            text: site.text(),
            group: site.group(),
            calls,
            inline: calls.saturating_sub(handed_over),
            asked: site.asked(),
            handed_over,
            blocked,
            hogged,
            predicted,
            rescued,
            computed: events.computed,
            slept_in: site.slept_in().and_then(|doing| match doing {
                Doing::Call(number) => Some(call_text(number)),
                Doing::Fault => Some("a page fault".to_owned()),
                Doing::Running | Doing::Asleep => None,
            }),
            coreless: coreless.map_or(0, |coreless| coreless.times.count()),
            waits: events.waits.count,
            waited: events.waits.total,
            longest_wait: events.waits.longest,
            longest_block: block_times.longest().max(events.hogs.longest),
            block_times,
            computing: events.hogs.total,
            blocked_within,
        }
    }

    /// Adds what another runtime knows of the same site.
    pub(crate) fn add(&mut self, other: &SiteStats) {
        self.calls += other.calls;
        self.inline += other.inline;
        // That of the process, whichever runtime tells.
        self.asked = self.asked.max(other.asked);
        self.handed_over += other.handed_over;
        self.blocked += other.blocked;
        self.hogged += other.hogged;
        self.predicted += other.predicted;
        self.rescued += other.rescued;
        self.computed += other.computed;
        self.slept_in = self.slept_in.take().or_else(|| other.slept_in.clone());
        self.coreless += other.coreless;
        self.waits += other.waits;
        self.waited = self.waited.saturating_add(other.waited);
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.block_times.add(&other.block_times);
        self.longest_block = self.longest_block.max(other.longest_block);
        self.computing = self.computing.saturating_add(other.computing);
        self.blocked_within = match (self.blocked_within, other.blocked_within) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
    }

    /// What it has cost so far: for how long its calls blocked or computed on threads that had no
    /// core, and waited for their turn.
    pub fn cost(&self) -> Duration {
        [self.block_times.total(), self.computing, self.waited]
            .into_iter()
            .fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Of its calls, the ones that blocked: 0 to 1. 0 if there were none.
    pub fn blocking_share(&self) -> f64 {
        let blocked = self.blocked + self.predicted + self.coreless;
        if self.calls == 0 { 0.0 } else { (blocked as f64 / self.calls as f64).min(1.0) }
    }

    /// How many of its calls were blocked at once, on average, from the first that blocked to the
    /// last. 0 if none has.
    pub fn blocked_at_once(&self) -> f64 {
        let Some((first, last)) = self.blocked_within else { return 0.0 };
        let within = last.saturating_duration_since(first).as_secs_f64();
        if within > 0.0 { self.block_times.total().as_secs_f64() / within } else { 0.0 }
    }

    /// What may be done about it, in words: see [`Verdict`].
    pub fn verdict(&self) -> Verdict {
        verdict::of(self)
    }
}

pub(crate) fn metrics(shared: &Arc<Shared>) -> Metrics {
    let counters = &shared.counters;
    let pool = shared.pool.counts();
    let [blocked, hog, predicted, rescued] = Cause::ALL.map(|cause| pool.handoffs[cause as usize]);
    let detection = &shared.detection;
    let perf = detection.perf && shared.sentinel_failure.get().is_none();
    Metrics {
        workers: shared.seats.len(),
        detector: match (perf, detection.monitor) {
            (true, _) => "perf",
            (false, true) => "monitor",
            (false, false) => "off",
        },
        detector_reason: shared.detector_reason(),
        regions: shared.slots.iter().map(|(_, slot)| slot.counts.total()).sum(),
        handoffs_blocked: blocked,
        handoffs_hog: hog,
        handoffs_predicted: predicted,
        handoffs_rescued: rescued,
        handoffs_wasted: counters.wasted.load(Ordering::Relaxed),
        sentinel_wakeups: counters.sentinel_wakeups.load(Ordering::Relaxed),
        spare_wakeups: counters.spare_wakeups.load(Ordering::Relaxed),
        async_threads: pool.async_threads,
        async_threads_peak: pool.peak,
        permits_free: pool.free,
        gate_waiters: pool.gate,
        regions_unprotected: counters.unprotected.load(Ordering::Relaxed),
        regions_stalled: pool.stalled_total,
        spares: pool.spares,
        thread_spawn_failures: counters.spawn_failures.load(Ordering::Relaxed),
        ring_faults: counters.ring_faults.load(Ordering::Relaxed),
        tasks_alive: shared.owned.alive(),
        injector_depth: shared.injector.len(),
        steals: shared.seats.iter().map(|seat| seat.steals.load(Ordering::Relaxed)).sum(),
        shared: shared.clone(),
    }
}

pub(crate) fn blocked(shared: &Shared) -> Vec<Blocked> {
    let (holders, stalled) = shared.pool.blocked();
    let gone = holders.into_iter().map(|(id, holding)| (id, Some(holding.since), holding.cause));
    let stalled = stalled.into_iter().map(|claim| (claim.observed, None, claim.cause));
    gone.chain(stalled)
        .map(|(id, since, cause)| {
            let slot = shared.slots.get(id);
            Blocked {
                site: slot.site.get(),
                spawned_at: slot.spawned_at.get().map(|p| format!("{}:{}", p.file(), p.line())),
                task: Id::from_number(slot.task.load(Ordering::Relaxed)),
                thread: slot.tid.load(Ordering::Relaxed),
                since,
                cause,
            }
        })
        .collect()
}

/// The sites of calls that were done without any runtime.
pub(crate) fn asked() -> Vec<SiteStats> {
    let asked = Site::all().into_iter().filter(|site| site.asked() > 0);
    asked.map(|site| SiteStats::new(site, 0, &SiteEvents::default(), None)).collect()
}

pub(crate) fn sites(shared: &Shared) -> Vec<SiteStats> {
    let events = shared.events.lock().clone();
    let nothing = SiteEvents::default();
    let mut coreless = HashMap::new();
    shared.slots.iter().for_each(|(_, slot)| slot.coreless.add_to(&mut coreless));
    let stats = Site::all().into_iter().filter_map(|site| {
        let known = events.get(&site.id());
        let calls = shared.calls(site.id());
        (calls > 0 || known.is_some()).then(|| {
            SiteStats::new(site, calls, known.unwrap_or(&nothing), coreless.get(&site.id()))
        })
    });
    stats.collect()
}
