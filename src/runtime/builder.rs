//! How a runtime is made.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Cause, Runtime, start};
use crate::primitive::quietly;
use crate::replay::Plan;
use crate::shared::{Config, Watch, Without};

/// How blocked threads are found.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::{Builder, Detector};
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Builder::new_multi_thread().detector(Detector::Monitor).build()?;
/// // The environment has the last word.
/// println!("found by {}", runtime.metrics().detector);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Detector {
    /// [`Perf`](Detector::Perf) where the kernel allows it, else [`Monitor`](Detector::Monitor).
    #[default]
    Auto,
    /// The kernel's context-switch records (`perf_event_open`), with the monitor behind them. A
    /// block is seen within some tens of microseconds, on a thread that makes such calls often; on
    /// others, as by the monitor. Where it is refused, the monitor does it all, and
    /// [`Metrics`](super::Metrics) says why: this and `Auto` are the same, to which a later version
    /// may add better ways.
    Perf,
    /// A thread that looks: at the cores' words, and at `/proc/self/task/TID/stat` of suspects.
    /// Needs no permission. A block is seen within some hundred microseconds, or within some ten
    /// milliseconds after a quiet time.
    Monitor,
    /// None: only calls that say `will_block` hand their core over. For comparisons: a task that
    /// waits for another one in a call may then wait for ever. Before its first socket such a
    /// runtime holds no file descriptor.
    Off,
}

/// Makes a [`Runtime`].
///
/// # Examples
///
/// ```
/// let runtime = threadlet::runtime::Builder::new_multi_thread()
///     .worker_threads(2)
///     .max_async_threads(64)
///     .build()?;
/// assert_eq!(runtime.block_on(async { 7 }), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    workers: Option<usize>,
    detector: Detector,
    min_spares: Option<usize>,
    trace: Option<PathBuf>,
    pub(super) config: Config,
}

impl Builder {
    /// A *multi-thread* runtime: threads of its own have its cores, one for each CPU unless
    /// [`worker_threads`](Self::worker_threads) says otherwise. The thread in `block_on` has none.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    /// assert_eq!(runtime.metrics().workers, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_multi_thread() -> Self {
        Builder::new(false)
    }

    /// A *current-thread* runtime: it has one core, at first on the thread in
    /// [`Runtime::block_on`], and tasks run while somebody is there. Before a task makes its first
    /// call through [`threadlet!`](crate::threadlet),
    /// [`spawn_blocking`](crate::task::spawn_blocking) or [`fs`](crate::fs), or when that thread
    /// blocks, the core moves to a spare thread, and stays with the spares from then on; that is
    /// why tasks are `Send` here too.
    ///
    /// So the future in `block_on` waits for no task's call. A block that nobody announced, or one
    /// in [`run`](crate::run), holds it up while it lasts, once in the life of the runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_current_thread().build()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_current_thread() -> Self {
        Builder::new(true)
    }

    fn new(current_thread: bool) -> Self {
        Builder {
            workers: None,
            detector: Detector::Auto,
            min_spares: None,
            trace: None,
            config: Config {
                current_thread,
                workers: 1,
                max_async_threads: 512,
                min_spares: 0,
                name: None,
                thread_name: "threadlet".to_owned(),
                thread_name_fn: None,
                stack_size: None,
                keep_alive: Duration::from_secs(10),
                start_paused: false,
                replay: Plan::default(),
                without: Without::default(),
                poll_times: false,
                schedule_latencies: false,
                rescue: true,
                rescue_after: Duration::from_micros(50),
                hog_after: Duration::from_millis(1),
                on_thread_start: None,
                on_thread_stop: None,
                on_thread_park: None,
                on_thread_unpark: None,
                on_handoff: None,
                watch: Watch::default(),
            },
        }
    }

    /// How many tasks run at once: the number of cores. Default: the number of CPUs this
    /// process may use. A current-thread runtime has one, whatever is said here (but not 0).
    pub fn worker_threads(&mut self, count: usize) -> &mut Self {
        self.workers = Some(count);
        self
    }

    /// How many *async threads* there may be at once: threads whose core was handed over because a
    /// call on them blocks (or computes for long). Default: 512.
    ///
    /// The word is that of the mail of 2007 that this crate goes back to, and has nothing to do
    /// with `async fn`; people from tokio find it as
    /// [`max_blocking_threads`](Self::max_blocking_threads). At the cap, calls of sites that
    /// blocked recently wait their turn. One *emergency* thread may go beyond it, so that the last
    /// running core is not lost. To change it while the runtime runs, see
    /// [`Runtime::set_max_async_threads`].
    pub fn max_async_threads(&mut self, count: usize) -> &mut Self {
        self.config.max_async_threads = count;
        self
    }

    /// tokio's name for [`max_async_threads`](Self::max_async_threads).
    ///
    /// Unlike there, the threads of the workers are among them while they are blocked; threads that
    /// are not blocked are not. Default: 512, as in tokio.
    pub fn max_blocking_threads(&mut self, count: usize) -> &mut Self {
        self.max_async_threads(count)
    }

    /// How many threads are kept ready to take over a core. Default: as many as cores, 2 at least.
    /// A block that finds none waits until one has been created. At least 1.
    pub fn min_spare_threads(&mut self, count: usize) -> &mut Self {
        self.min_spares = Some(count);
        self
    }

    /// The name of the threads; [`thread_name_fn`](Self::thread_name_fn) gives each its own.
    /// Default: `threadlet`. The kernel shows its first 15 bytes.
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Self {
        self.config.thread_name = name.into();
        self.config.thread_name_fn = None;
        self
    }

    /// The size of the threads' stacks, in bytes. Default: the standard library's. One that cannot
    /// be had is an error of [`build`](Self::build).
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Self {
        self.config.stack_size = Some(bytes);
        self
    }

    /// After how long without work a spare beyond [`min_spare_threads`](Self::min_spare_threads)
    /// ends. Default: 10 seconds. [`Duration::MAX`]: not before the runtime.
    ///
    /// What the kernel binds to a thread ends with it. A thread that has children waits for their
    /// end, so that none is killed that asked to die with its parent (`PR_SET_PDEATHSIG`); requests
    /// that a task gave to an `io_uring` are cancelled.
    pub fn thread_keep_alive(&mut self, keep_alive: Duration) -> &mut Self {
        self.config.keep_alive = keep_alive;
        self
    }

    /// How blocked threads are found. The environment variable `THREADLET_DETECTOR` (`auto`,
    /// `perf`, `monitor`, `off`) overrides it. Default: [`Detector::Auto`].
    pub fn detector(&mut self, detector: Detector) -> &mut Self {
        self.detector = detector;
        self
    }

    /// Whether polls that block without having said so lose their core too. Default: yes.
    pub fn rescue(&mut self, rescue: bool) -> &mut Self {
        self.config.rescue = rescue;
        self
    }

    /// For how long an unmarked poll must have blocked before it is rescued. Default, and the
    /// least: 50 us. When it is rescued is up to the monitor's next look, some milliseconds later
    /// as a rule: it looks the more seldom the less it finds, up to every 10 ms. Where rescues are
    /// frequent, and the detector is perf, the kernel tells of such a block, too: then a poll loses its
    /// core after this time, and at once if nearly all that fell asleep have slept for as long. An
    /// unmarked poll that computes for more than 10 ms loses its core as well.
    pub fn rescue_after(&mut self, after: Duration) -> &mut Self {
        self.config.rescue_after = after.max(Duration::from_micros(50));
        self
    }

    /// For how long a region may compute before its core is handed over. Default: 1 ms.
    pub fn hog_after(&mut self, after: Duration) -> &mut Self {
        self.config.hog_after = after;
        self
    }

    /// Called on each thread that the runtime starts to run tasks, when it starts.
    pub fn on_thread_start(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.config.on_thread_start = Some(Arc::new(f));
        self
    }

    /// Called on each thread that the runtime has started to run tasks, before it ends.
    pub fn on_thread_stop(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.config.on_thread_stop = Some(Arc::new(f));
        self
    }

    /// Called for each hand-off with its cause, soon after it, on a thread that runs tasks: if it
    /// blocks it holds up nobody but the next call of itself. (That hand-off is not told.)
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use threadlet::runtime::{Builder, Cause};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let rescued = Arc::new(AtomicU64::new(0));
    /// let counter = rescued.clone();
    /// let runtime = Builder::new_multi_thread()
    ///     .on_handoff(move |cause| {
    ///         if cause == Cause::Rescued {
    ///             counter.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     })
    ///     .build()?;
    /// # drop(runtime);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_handoff(&mut self, f: impl Fn(Cause) + Send + Sync + 'static) -> &mut Self {
        self.config.on_handoff = Some(Arc::new(f));
        self
    }

    /// Writes a timeline to a file: which thread had which core, each call with its site, each
    /// hand-off with its cause, each wait for a permit. Default: none, which costs nothing.
    ///
    /// The file is created by [`build`](Self::build), in place of what is there, and is complete
    /// when the runtime is dropped. (A builder that is used twice has both runtimes write to one
    /// file, which is of use to nobody.) [Perfetto](https://ui.perfetto.dev) opens it, and so does
    /// `chrome://tracing`: the form is theirs. Each call takes some microseconds longer, and about
    /// 150 bytes of the file.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let runtime = threadlet::runtime::Builder::new_multi_thread().trace("app.json").build()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn trace(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.trace = Some(path.into());
        self
    }

    /// Makes a runtime in which whoever asks for one of these panics. For a library whose own builder
    /// does so unless it is told otherwise.
    #[doc(hidden)]
    pub fn without(&mut self, sockets: bool, timers: bool) -> &mut Self {
        self.config.without = Without { sockets, timers };
        self
    }

    /// Makes the runtime and starts its threads.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if a count is zero or too large, or if
    /// `THREADLET_DETECTOR` is none of its words, or a clock is to stand, or a seed to decide, in a
    /// multi-thread runtime;
    /// otherwise what the operating system says of the
    /// threads or the file of the timeline. Nothing is left running then. What sockets need is made
    /// for the first of them, and if it cannot be had that socket says so.
    pub fn build(&mut self) -> io::Result<Runtime> {
        let mut config = self.config.clone();
        config.workers = match (self.config.current_thread, self.workers) {
            (_, Some(count)) => bounded("worker_threads", count, MAX_WORKERS)?,
            (true, None) => 1,
            (false, None) => std::thread::available_parallelism().map_or(1, usize::from),
        };
        if self.config.current_thread {
            config.workers = 1;
        }
        bounded("max_async_threads", config.max_async_threads, MAX_ASYNC)?;
        if config.thread_name.contains('\0') {
            let text = format!("thread_name is {:?}: it must not contain NUL", config.thread_name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        for (set, what) in
            [(config.start_paused, "start_paused"), (config.replay.is_set(), "deterministic")]
        {
            if set && !config.current_thread {
                let text =
                    format!("{what} needs one core: begin with `Builder::new_current_thread`");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        }
        let min_spares = self.min_spares.unwrap_or(config.workers.max(2));
        config.min_spares = bounded("min_spare_threads", min_spares, MAX_WORKERS)?;
        config.watch = config.watch.checked()?;
        let detector = from_environment()?.unwrap_or(self.detector);
        // Whatever a hook leaves behind, the builder can be used again.
        let mut result = Err(io::Error::other("the runtime panicked while it was built"));
        quietly(|| result = start(config, detector, self.trace.as_deref()));
        result
    }
}

const MAX_WORKERS: usize = 1 << 12;
const MAX_ASYNC: usize = 1 << 14;

// All of them at once have a slot each.
const _: () = assert!(MAX_WORKERS * 2 + MAX_ASYNC < crate::shared::slot::MAX_THREADS);

fn bounded(what: &str, count: usize, max: usize) -> io::Result<usize> {
    if (1..=max).contains(&count) {
        return Ok(count);
    }
    let text = format!("{what} is {count}: it must be from 1 to {max}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn from_environment() -> io::Result<Option<Detector>> {
    let Some(word) = std::env::var_os("THREADLET_DETECTOR") else { return Ok(None) };
    match word.to_str() {
        Some("") => Ok(None),
        Some("auto") => Ok(Some(Detector::Auto)),
        Some("perf") => Ok(Some(Detector::Perf)),
        Some("monitor") => Ok(Some(Detector::Monitor)),
        Some("off") => Ok(Some(Detector::Off)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("THREADLET_DETECTOR is {word:?}: it must be auto, perf, monitor or off"),
        )),
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("current_thread", &self.config.current_thread)
            .field("worker_threads", &self.workers)
            .field("max_async_threads", &self.config.max_async_threads)
            .field("detector", &self.detector)
            .finish_non_exhaustive()
    }
}
