//! Programs that are drawn from a seed, run on a runtime whose kernel and luck are drawn from it as
//! well, and what must hold whatever comes.
//!
//! | what | where it is looked at |
//! |---|---|
//! | every task that is spawned ends, and all its steps are done, unless it was aborted or its runtime shut down | `Cast::at_rest`, and each handle |
//! | its future is dropped, once | `Life` |
//! | a step is done by one thread at a time | `Life::on_stage` |
//! | the threads without a core are never more than the cap, and the emergency thread | `Cast::look_back`, by the pool's own peak |
//! | in the end every permit is back, nobody waits at the gate, no core is stalled | `Cast::look_back` |
//! | nobody sleeps for good while there is work | the world: a run comes to its end within bounded steps and time |
//! | what `spawn_blocking` has accepted runs, shutdown or not | `Cast::look_back` |
//! | a shutdown ends all threads | the world: a run ends when all have |
//!
//! And all that the crate asserts of itself in builds with debug assertions: the states of a core's
//! word, the sums of permits, the rights to run a task.

mod plan;
mod play;

use std::kernel;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::Duration;

use std::{Luck, Outcome, note};

use self::plan::{End, Plan, US};
use self::play::{Cast, Flag, HINTLESS, PLACE, SITES, play, spawn};
use crate::observe::site::{Habit, Site};
use crate::runtime::{Builder, Detector, Runtime};
use crate::shared::Shared;
use crate::spawned::{Birth, JoinHandle};
use crate::time::sleep;

impl Cast {
    fn new(flags: usize) -> Arc<Self> {
        Arc::new(Cast {
            flags: (0..flags).map(|_| Flag::default()).collect(),
            made: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            ran: AtomicUsize::new(0),
        })
    }

    /// Whether all that was begun has ended, whoever waited for it.
    fn is_over(&self) -> bool {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        count(&self.made) == count(&self.dropped) && count(&self.ran) >= count(&self.accepted)
    }

    /// All that was to be done has been done; the runtime still runs.
    fn at_rest(&self, shared: &Shared, plan: &Plan) {
        // Those that were detached, and what is on its way back.
        while !self.is_over() || shared.pool.is_anyone_coreless() || shared.pool.anyone_behind() {
            kernel::block(50 * US);
        }
        let counts = shared.pool.counts();
        assert_eq!(counts.free, plan.cap, "every permit is back: {counts:?}");
    }

    fn look_back(&self, shared: &Shared, plan: &Plan) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        let counts = shared.pool.counts();
        assert!(
            counts.peak <= plan.cap + 1,
            "more threads without a core than permits: {counts:?}"
        );
        assert_eq!(count(&self.made), count(&self.dropped), "each future is dropped, once");
        // (At home there may be no thread of the runtime's that could run it.)
        let ran = plan.current_thread || count(&self.ran) >= count(&self.accepted);
        assert!(ran, "what was accepted runs");
    }
}

/// What has come to pass: that none of it is left out, whatever else is, is a test's to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cores handed over, by cause: blocked, hog, predicted, rescued.
    pub handed_over: [u64; 4],
    /// Claims that found no permit or no spare.
    pub stalled: u64,
    /// The emergency thread was there.
    pub emergencies: u64,
    /// Edges that the sentinel heard.
    pub edges: u64,
    /// Hand-offs for which nobody had to be woken: the sentinel's own.
    pub by_sentinel: u64,
    /// Calls that passed the gate without a permit in sight.
    pub unprotected: u64,
    /// Threads that were refused, and rings that were not in order.
    pub refused: u64,
    pub ring_faults: u64,
    /// Runtimes that were shut down while tasks were alive.
    pub early_ends: u64,
}

impl Tally {
    fn of(shared: &Shared, plan: &Plan) -> Self {
        let (counts, counters) = (shared.pool.counts(), &shared.counters);
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let handed_over: u64 = counts.handoffs.iter().sum();
        Tally {
            handed_over: counts.handoffs,
            stalled: counts.stalled_total,
            emergencies: u64::from(counts.peak > plan.cap),
            edges: count(&counters.sentinel_wakeups),
            by_sentinel: handed_over.saturating_sub(count(&counters.spare_wakeups)),
            unprotected: count(&counters.unprotected),
            refused: count(&counters.spawn_failures),
            ring_faults: count(&counters.ring_faults),
            early_ends: u64::from(plan.end != End::AtRest),
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Tally) {
        let causes = self.handed_over.iter_mut().zip(other.handed_over);
        causes.for_each(|(sum, one)| *sum += one);
        self.stalled += other.stalled;
        self.emergencies += other.emergencies;
        self.edges += other.edges;
        self.by_sentinel += other.by_sentinel;
        self.unprotected += other.unprotected;
        self.refused += other.refused;
        self.ring_faults += other.ring_faults;
        self.early_ends += other.early_ends;
    }
}

/// A runtime as the plan has it.
fn build(plan: &Plan) -> Runtime {
    loop {
        let mut builder = match plan.current_thread {
            true => Builder::new_current_thread(),
            false => Builder::new_multi_thread(),
        };
        let built = builder
            .worker_threads(plan.workers)
            .max_async_threads(plan.cap)
            .min_spare_threads(plan.spares)
            .detector(if plan.perf { Detector::Perf } else { Detector::Monitor })
            .rescue(plan.rescue)
            .thread_keep_alive(Duration::from_micros(plan.keep_alive))
            .build();
        match built {
            Ok(runtime) => return runtime,
            Err(error) => {
                note(|| format!("not built: {error}"));
                kernel::block(100 * US);
            }
        }
    }
}

fn perform(plan: &Plan, tally: &Mutex<Tally>) {
    if plan.warm {
        SITES.iter().for_each(Site::warm);
    }
    let runtime = build(plan);
    let shared = runtime.handle().shared.clone();
    let cast = Cast::new(plan.flags);
    // A thread of the program's own, which spawns what it spawns whenever it does.
    let (handle, mine, outside) = (runtime.handle().clone(), cast.clone(), plan.outside.clone());
    let outside = (!outside.is_empty()).then(|| {
        let mut body = Some(move || {
            let mut tasks = Vec::new();
            for (nth, steps) in outside.into_iter().enumerate() {
                let all = steps.len();
                let task = spawn(&handle, play(mine.clone(), format!("o{nth}"), steps));
                tasks.push((task, all));
            }
            tasks
        });
        start(&mut body)
    });
    let tasks = plan.tasks.clone();
    let (mine, handle, end) = (cast.clone(), runtime.handle().clone(), plan.end);
    let root = async move {
        let mut spawned = Vec::new();
        for (nth, steps) in tasks.into_iter().enumerate() {
            let all = steps.len();
            spawned.push((spawn(&handle, play(mine.clone(), nth.to_string(), steps)), all));
        }
        match end {
            End::Early { after, .. } => sleep(Duration::from_micros(after)).await,
            End::AtRest => all_done(spawned).await,
        }
    };
    runtime.block_on(root);
    match plan.end {
        End::AtRest => {
            if let Some(outside) = outside {
                runtime.block_on(all_done(outside.join().expect("it does not panic")));
            }
            if plan.current_thread {
                // Whatever nobody waits for goes on while somebody is there.
                let waits = async {
                    while !cast.is_over() {
                        sleep(Duration::from_micros(50)).await;
                    }
                };
                runtime.block_on(waits);
            }
            cast.at_rest(&shared, plan);
            drop(runtime);
        }
        End::Early { waits, .. } => {
            note(|| "the runtime is shut down".to_owned());
            // Nobody is to wait for what does not come any more.
            let flags = cast.clone();
            let mut raise = Some(move || flags.flags.iter().for_each(Flag::raise));
            let raises = start(&mut raise);
            if waits {
                drop(runtime);
            } else {
                runtime.shutdown_background();
            }
            raises.join().expect("it does not panic");
            if let Some(outside) = outside {
                drop(outside.join());
            }
            crate::scheduler::shutdown::wait(&shared, None);
        }
    }
    cast.look_back(&shared, plan);
    *tally.lock().unwrap() = Tally::of(&shared, plan);
}

/// A thread of the program's own. It tries until it has one.
fn start<T: Send + 'static>(
    body: &mut Option<impl FnOnce() -> T + Send + 'static>,
) -> thread::JoinHandle<T> {
    let body = Arc::new(Mutex::new(body.take()));
    loop {
        let mine = body.clone();
        let started = thread::Builder::new().name("program".into()).spawn(move || {
            let body = mine.lock().unwrap().take().expect("one thread was started");
            body()
        });
        match started {
            Ok(handle) => return handle,
            Err(_) => kernel::block(10 * US),
        }
    }
}

async fn all_done(tasks: Vec<(JoinHandle<usize>, usize)>) {
    for (task, all) in tasks {
        let done = task.await;
        assert_eq!(done.expect("it is not cancelled"), all, "a task does all its steps");
    }
}

/// The lists in which a runtime keeps its tasks (`spawned::owned`).
const LISTS: usize = 16;

/// What earlier runs have left in the process: nothing that a run could tell.
fn forget() {
    for site in Site::all() {
        while site.habit() != Habit::Stays {
            site.learn(false);
        }
        while site.record().is_warm() {
            site.cool();
        }
    }
    // Threads of the program's own take the lists of tasks in turns, by a count.
    while !HINTLESS.load(Ordering::Relaxed).is_multiple_of(LISTS) {
        let _ = Birth::new(None, PLACE);
        HINTLESS.fetch_add(1, Ordering::Relaxed);
    }
}

/// The process asks and makes some things once: before the first run, so that no run is the first.
fn warm_up() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match std::is_within() {
            true => std::fail(&panic.to_string()),
            false => before(panic),
        }));
        let made =
            ["spawn_blocking", "(a poll that did not say so)"].map(|text| Site::at(PLACE, text));
        SITES.iter().chain(made).for_each(|site| _ = site.id());
        let mut plan = Plan::of(0, false);
        (plan.settings.luck, plan.perf, plan.current_thread) = (Luck::default(), true, false);
        (plan.tasks, plan.outside) = (Vec::new(), Vec::new());
        perform_in_world(0, plan);
    });
}

fn perform_in_world(seed: u64, plan: Plan) -> (Outcome, Tally) {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (settings, mine) = (plan.settings.clone(), tally.clone());
    let outcome = std::run(seed, settings, move || perform(&plan, &mine));
    forget();
    let tally = *tally.lock().unwrap();
    (outcome, tally)
}

/// Runs what `seed` says, to its end. What is wrong ends the process.
pub fn run(seed: u64, told: bool) -> (Outcome, Tally) {
    warm_up();
    let plan = Plan::of(seed, told);
    if told {
        eprintln!("{plan:#?}");
    }
    perform_in_world(seed, plan)
}
