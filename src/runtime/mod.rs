//! A runtime, its builder, and the handles to it.
//!
//! The words that stand here:
//!
//! | word | what it is |
//! |---|---|
//! | worker | one of a fixed number of places where tasks run |
//! | core | the right to run a worker's tasks: some thread has it, and it is handed over when that thread blocks |
//! | site, region | a place in the source where a call is made in place; one such call |
//! | async thread | a thread whose core was handed over (the word has nothing to do with `async fn`); it holds a permit |
//! | spare | a thread that waits for a core |
//! | root future | the future that is given to `block_on` |

mod block_on;
mod builder;
pub(crate) mod entry;
mod export;
mod handle;
mod id;
mod local;
mod metrics;
mod options;
#[cfg_attr(not(feature = "test-util"), path = "replayed_off.rs")]
mod replayed;
mod report;
#[cfg(feature = "test-util")]
pub(crate) mod seeds;
#[cfg(feature = "test-util")]
mod start_paused;
mod verdict;
mod watch;

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use builder::{Builder, Detector};
pub use export::{MetricFamily, MetricKind, MetricSeries, MetricValue, write_prometheus};
pub use handle::{EnterGuard, Handle, RuntimeFlavor, TryCurrentError};
pub use id::Id;
pub use local::{LocalOptions, LocalRuntime};
pub use metrics::{Blocked, Metrics, SiteStats};
pub use report::{Report, report};
pub use verdict::{Cure, Verdict};

pub use crate::shared::tasks::{Running, TaskInfo, TaskState};

use crate::call::in_place::spawn_call;
use crate::context;
pub use crate::observe::backtrace::{Backtrace, Frame};
pub use crate::observe::profile::Histogram;
pub use crate::observe::site::Site;
use crate::observe::trace::Trace;
use crate::primitive::{Mutex, StaticRef};
pub use crate::protocol::Cause;
use crate::scheduler::{monitor, replayed as replay, shutdown, spare, spawn, watcher};
use crate::shared::threads;
use crate::shared::{Config, Detection, Shared, Watched};
use crate::spawned::{JoinHandle, Origin};
use crate::sys::fork::PerFork;
use crate::{detect, driver, sys};

pub(crate) const NO_RUNTIME: &str = "there is no threadlet runtime here: call this in a task, \
     inside `block_on`, or while the guard of `Handle::enter` lives";

/// A runtime: its cores, its threads, its timers and its I/O.
///
/// Dropping it shuts it down and waits for its threads: tasks are dropped at their next `.await`,
/// calls that have started run to their end, and so does what
/// [`spawn_blocking`](Self::spawn_blocking) has accepted. To bound the wait, use
/// [`shutdown_timeout`](Self::shutdown_timeout) or
/// [`shutdown_background`](Self::shutdown_background).
///
/// On a thread of a runtime, its own or another, it does not wait: in a task, in a hook, in the
/// `block_on` of a current-thread runtime. Nor does the copy that a child of `fork` has: in the child
/// nothing of a runtime goes on, and one made in the poll of a task is to call `exec` or `_exit` in
/// that poll. If it returns from it, it ends, with a line that says so and the status 101.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::Runtime;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new()?;
/// let task = runtime.spawn(async { threadlet::threadlet!(std::fs::read("/etc/hosts")) });
/// let hosts = runtime.block_on(task)??;
/// assert!(!hosts.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    /// How long `drop` waits for the threads; `None`: until they have ended.
    patience: Option<Duration>,
}

impl Runtime {
    /// A runtime with the defaults of [`Builder::new_multi_thread`].
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Runtime> {
        Builder::new_multi_thread().build()
    }

    /// Runs a future to its end on the calling thread, with this runtime entered.
    ///
    /// In a multi-thread runtime the calling thread is no worker: an in-place call in `future`
    /// itself is a plain call (spawn what is to be guarded). In a current-thread runtime it is the
    /// one worker there is, if no other thread has its core, and runs the tasks as well, until one
    /// of them makes a call: see [`Builder::new_current_thread`]. On a worker thread the wait
    /// counts as a call that blocks.
    ///
    /// It returns when `future` has ended; tasks that go on do so. Dropping the runtime then waits
    /// for calls that have started, and for what `spawn_blocking` has accepted, without a limit: see
    /// [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// # Panics
    ///
    /// If `future` does.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Runtime::new()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on::block_on(&self.handle.shared, future)
    }

    /// Spawns a task on this runtime. See [`task::spawn`](crate::task::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a closure that may block, on this runtime. See
    /// [`task::spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Runtime::new()?;
    /// let reading = runtime.spawn_blocking(|| std::fs::read("/etc/hosts"));
    /// assert!(runtime.block_on(reading)?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn_call(&self.handle.shared, f, Origin::caller())
    }

    /// Makes this the current runtime of the calling thread while the guard lives.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Runtime::new()?;
    /// let _entered = runtime.enter();
    /// // A plain thread, which may spawn now.
    /// let task = threadlet::spawn(async { 7 });
    /// assert_eq!(runtime.block_on(task)?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// A handle, to be cloned and kept. It does not keep the runtime running.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Figures of this runtime.
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// Who is blocked now. See [`Handle::blocked`].
    pub fn blocked(&self) -> Vec<Blocked> {
        self.handle.blocked()
    }

    /// What is known of each call site. See [`Handle::sites`].
    pub fn sites(&self) -> Vec<SiteStats> {
        self.handle.sites()
    }

    /// Changes how many threads may be blocked at once. A lower cap interrupts nothing: it takes
    /// effect as calls return.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Runtime::new()?;
    /// runtime.set_max_async_threads(64);
    /// assert_eq!(runtime.metrics().permits_free, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_max_async_threads(&self, count: usize) {
        assert!(count > 0, "max_async_threads is 0: it must be at least 1");
        self.handle.shared.ask_pool(|pool, todo| pool.set_cap(count, todo));
        replay::set_cap(&self.handle.shared, count);
    }

    /// Shuts down, and waits for the threads for at most `limit` (on a thread of a runtime, not at
    /// all). Calls that still block then go on by themselves; their threads end when they return.
    /// What [`spawn_blocking`](Self::spawn_blocking) has accepted counts as one, started or not.
    /// Destructors of thread-locals of threads that have ended are not waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Runtime::new()?;
    /// runtime.spawn_blocking(|| std::thread::sleep(Duration::from_secs(3600)));
    /// // An hour is too long to wait for.
    /// runtime.shutdown_timeout(Duration::from_millis(10));
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_timeout(mut self, limit: Duration) {
        self.patience = Some(limit);
    }

    /// Shuts down without waiting.
    pub fn shutdown_background(mut self) {
        self.patience = Some(Duration::ZERO);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.handle.shared.is_of_parent() {
            // This is the copy in a child of `fork`: it has no threads, and its descriptors are the
            // parent's as well.
            return;
        }
        shutdown::begin(&self.handle.shared);
        let is_replayed = self.handle.shared.turns.is_some();
        if is_replayed && on_a_runtime_thread() {
            replay::abandon(&self.handle.shared);
        }
        if !on_a_runtime_thread() {
            if is_replayed {
                replay::finish(&self.handle.shared);
            }
            shutdown::wait(&self.handle.shared, self.patience);
        }
        report::ended(&self.handle.shared);
        if let Some(trace) = &self.handle.shared.trace {
            trace.end();
        }
    }
}

/// Waiting for threads on one of them, or on another runtime's worker, could wait for ever.
fn on_a_runtime_thread() -> bool {
    threads::is_of_a_runtime() || context::with(|thread| thread.is_some())
}

/// Which of the runtime's cores polls here: a number below
/// [`num_workers`](Metrics::num_workers). `None` outside a poll, in a poll that has lost its core,
/// in a call ([`threadlet!`](crate::threadlet), `spawn_blocking`), which may lose it, and in a root
/// future that has none.
///
/// A task may be polled by another one next time; and it may lose this one while it goes on, if it
/// blocks without having said so.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::worker_index;
///
/// threadlet::block_on(async {
///     assert_eq!(worker_index(), Some(0));
/// });
/// assert_eq!(worker_index(), None);
/// ```
pub fn worker_index() -> Option<usize> {
    context::polling_seat()
}

/// Runs a future to its end on a new runtime of one core, and shuts that down.
///
/// For examples, tests and small programs; others build a [`Runtime`] or use
/// [`#[threadlet::main]`](crate::main). Inside a runtime it uses that one.
///
/// # Panics
///
/// If the runtime cannot be built, or `future` panics.
///
/// # Examples
///
/// ```
/// let sum = threadlet::block_on(async {
///     let seven = threadlet::spawn(async { 7 });
///     seven.await.unwrap() + 1
/// });
/// assert_eq!(sum, 8);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match Handle::try_current() {
        Ok(handle) => handle.block_on(future),
        Err(_) => {
            let runtime = Builder::new_current_thread().build();
            runtime.expect("the runtime cannot be built").block_on(future)
        }
    }
}

/// Whether an error of a socket says that the runtime it belongs to has been shut down.
///
/// # Examples
///
/// ```
/// use threadlet::net::TcpListener;
/// use threadlet::runtime::{Runtime, is_rt_shutdown_err};
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new()?;
/// let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
/// drop(runtime);
/// let error = threadlet::block_on(listener.accept()).unwrap_err();
/// assert!(is_rt_shutdown_err(&error));
/// # Ok(())
/// # }
/// ```
pub fn is_rt_shutdown_err(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<driver::RuntimeGone>())
}

/// The runtime for calls from outside any: started once, and never shut down. A child of `fork` has
/// none of its threads, and starts one of its own.
pub(crate) fn global() -> Handle {
    try_global().expect("the global runtime cannot be started")
}

/// [`global`], for those who can say that it cannot be started.
pub(crate) fn try_global() -> io::Result<Handle> {
    static GLOBAL: StaticRef<(usize, Runtime)> = StaticRef::new();
    // It takes milliseconds, and a child that was forked meanwhile must not wait for it.
    static STARTING: PerFork<Mutex<()>> = PerFork::new();
    let forks = context::forks();
    let started = || GLOBAL.get().filter(|(before, _)| *before == forks);
    if let Some((_, runtime)) = started() {
        return Ok(runtime.handle.clone());
    }
    count_forks();
    let _one = STARTING.get().lock();
    if let Some((_, runtime)) = started() {
        return Ok(runtime.handle.clone());
    }
    let runtime = Builder::new_multi_thread().thread_name("threadlet-global").build()?;
    let handle = runtime.handle.clone();
    GLOBAL.set(Some(Box::leak(Box::new((forks, runtime)))));
    Ok(handle)
}

/// From here on a child of `fork` knows that it is one. Without the handler, one that goes on
/// running tasks is on its own.
fn count_forks() {
    let _registered = sys::fork::on_fork_in_child(context::forget_after_fork);
}

/// A task of the user's: on the cores, or, in a [`LocalRuntime`], on its thread.
pub(crate) fn spawn_on<F>(
    shared: &Arc<Shared>,
    future: F,
    origin: Origin<'_>,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match shared.locals.get() {
        None => spawn::spawn(shared, future, origin),
        Some(tasks) => tasks.spawn(future, origin),
    }
}

/// Starts everything a runtime consists of, or nothing.
fn start(config: Config, detector: Detector, trace: Option<&Path>) -> io::Result<Runtime> {
    count_forks();
    let trace = trace.map(Trace::create).transpose()?;
    let (driver, driver_handle) = driver::new(config.workers);
    let is_replayed = config.replay.is_set();
    if config.start_paused || is_replayed {
        driver_handle.begin_stopped();
    }
    // There is nothing to be found: who blocks is decided, and says so.
    let detection = choose(if is_replayed { Detector::Off } else { detector });
    let watched = Watched::new(&config.watch)?;
    let shared = Arc::new_cyclic(|me| {
        Shared::new(me.clone(), config, detection, driver, driver_handle, trace, watched)
    });
    let runtime = Runtime { handle: Handle { shared }, patience: None };
    let shared = &runtime.handle.shared;
    if shared.detection.monitor {
        if let Err(error) = sys::stat::ThreadStat::open(sys::thread::tid()) {
            shared.note_unreadable(&error);
        }
    }
    if !shared.config.current_thread {
        for seat in 0..shared.config.workers {
            let slot = shared.slots.allocate().expect("bounded by the builder");
            shared.pool.word(seat).assign(slot);
            spare::start(shared, slot, false)
                .map_err(|error| not_created("a worker thread", &error))?;
        }
    }
    if is_replayed {
        replay::start(shared).map_err(|error| not_created("the thread", &error))?;
        report::began(shared);
        return Ok(runtime);
    }
    // It makes the spares.
    monitor::start(shared).map_err(|error| not_created("the monitor's thread", &error))?;
    if shared.watched.is_on() {
        watcher::start(shared).map_err(|error| not_created("the watcher's thread", &error))?;
        watch::began(shared);
    }
    report::began(shared);
    Ok(runtime)
}

/// The operating system's own words ("Resource temporarily unavailable") do not say of what.
fn not_created(what: &str, error: &io::Error) -> io::Error {
    let text = format!("{what} of the runtime cannot be created: {error}");
    io::Error::new(error.kind(), text)
}

fn choose(detector: Detector) -> Detection {
    let monitor = |reason| Detection { perf: false, monitor: true, reason };
    match detector {
        Detector::Off => Detection { perf: false, monitor: false, reason: None },
        Detector::Monitor => monitor(None),
        Detector::Auto | Detector::Perf => match detect::probe::perf() {
            Ok(()) => Detection { perf: true, monitor: true, reason: None },
            Err(reason) => monitor(Some(reason.clone())),
        },
    }
}
