//! What the builder was told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::primitive::quietly;
use crate::protocol::Cause;
use crate::replay::Plan;

/// A function that the user wants called.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

/// A function that names a thread.
pub(crate) type NameFn = Arc<dyn Fn() -> String + Send + Sync>;

/// A function that the user wants called at each hand-off.
pub(crate) type HandoffHook = Arc<dyn Fn(Cause) + Send + Sync>;

/// What a runtime lacks. One that this crate's users make lacks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Without {
    pub(crate) sockets: bool,
    pub(crate) timers: bool,
}

/// What the builder was told.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) current_thread: bool,
    pub(crate) workers: usize,
    pub(crate) max_async_threads: usize,
    pub(crate) min_spares: usize,
    /// The runtime's own name.
    pub(crate) name: Option<String>,
    /// The name of the threads, and of the runtime where it speaks of itself.
    pub(crate) thread_name: String,
    /// What names the threads instead.
    pub(crate) thread_name_fn: Option<NameFn>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) keep_alive: Duration,
    /// The clock stands at first, for a test.
    pub(crate) start_paused: bool,
    /// A seed decides all that is open, for a test.
    pub(crate) replay: Plan,
    /// What is not there for whoever asks for it.
    pub(crate) without: Without,
    /// Polls are timed.
    pub(crate) poll_times: bool,
    /// Tasks are timed from a queue to their poll.
    pub(crate) schedule_latencies: bool,
    pub(crate) rescue: bool,
    pub(crate) rescue_after: Duration,
    pub(crate) hog_after: Duration,
    pub(crate) on_thread_start: Option<Hook>,
    pub(crate) on_thread_stop: Option<Hook>,
    pub(crate) on_thread_park: Option<Hook>,
    pub(crate) on_thread_unpark: Option<Hook>,
    pub(crate) on_handoff: Option<HandoffHook>,
    pub(crate) watch: Watch,
}

/// What is to be kept, and told, of what the runtime does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// The size of the flight recorder, in bytes.
    pub(crate) recorder: Option<usize>,
    /// Where it is written by itself.
    pub(crate) directory: Option<PathBuf>,
    /// When a poll is to be told of.
    pub(crate) stall_after: Option<Duration>,
    /// At which signal the tasks are told, and the recorder is written.
    pub(crate) signal: Option<i32>,
    /// The recorder is written when somebody panics.
    pub(crate) on_panic: bool,
    /// Names, polls and times of tasks are kept.
    pub(crate) tasks: bool,
}

impl Config {
    /// The name of the next thread. What names it is foreign code.
    pub(super) fn thread_name(&self) -> String {
        let Some(name) = &self.thread_name_fn else { return self.thread_name.clone() };
        let mut answer = None;
        quietly(|| answer = Some(name()));
        let good = answer.filter(|name| !name.contains('\0'));
        good.unwrap_or_else(|| "threadlet".to_owned())
    }
}
