//! What each task is doing: for people, who ask what their program does.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::slot::Slot;
use crate::observe::backtrace::Backtrace;
use crate::observe::site::Site;
use crate::protocol::Cause;
use crate::protocol::core::SlotId;
use crate::protocol::task::Now;
use crate::spawned::{Id, Listed};

/// A task that has not ended, at one moment: see [`Handle::tasks`](crate::runtime::Handle::tasks).
///
/// Its `Display` is a line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its number.
    pub id: Id,
    /// Its name, if it was spawned by [`task::Builder`](crate::task::Builder) with one, and names are
    /// kept: see [`Builder::keep_tasks`](crate::runtime::Builder::keep_tasks).
    pub name: Option<String>,
    /// The file in which it was spawned.
    pub file: &'static str,
    /// The line there.
    pub line: u32,
    /// What it is doing.
    pub state: TaskState,
    /// How often it was polled, if that is kept.
    pub polls: Option<u64>,
    /// How long all its polls took together, the one that runs not counted; if that is kept.
    pub busy: Option<Duration>,
    /// The functions that it is in, if it is polled and its thread sleeps; always empty without the
    /// feature `backtrace`.
    pub backtrace: Backtrace,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TaskState {
    /// It waits to be woken.
    Waiting,
    /// It has been woken, and waits for its poll.
    Queued,
    /// It is polled, or its future is being dropped.
    Running(Running),
}

/// A poll of a task that is under way.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Running {
    /// The thread, by the kernel's number; 0 if it has just begun, or is about to end.
    pub thread: i32,
    /// The call that it is in, if it is in one that says so.
    pub call: Option<&'static Site>,
    /// When it began, if that is noted: with a flight recorder, a bound on stalls, or where tasks are
    /// kept.
    pub since: Option<Instant>,
    /// When and why its core was handed over to another thread, if it was.
    pub lost_core: Option<(Instant, Cause)>,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " (spawned at {}:{}) {}", self.file, self.line, self.state)?;
        if let Some(polls) = self.polls {
            write!(f, "; {polls} polls")?;
        }
        if let Some(busy) = self.busy {
            write!(f, ", {busy:.1?}")?;
        }
        match self.backtrace.is_empty() {
            true => Ok(()),
            false => write!(f, "; in the program: {}", self.backtrace),
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = match self {
            TaskState::Waiting => return f.write_str("waits"),
            TaskState::Queued => return f.write_str("is queued"),
            TaskState::Running(running) => running,
        };
        write!(f, "runs on thread {}", running.thread)?;
        if let Some(since) = running.since {
            write!(f, ", for {:.1?}", since.elapsed())?;
        }
        if let Some(site) = running.call {
            write!(f, ", in the call at {site}")?;
        }
        match running.lost_core {
            Some((since, cause)) => {
                write!(f, ", without its core for {:.1?} ({cause:?})", since.elapsed())
            }
            None => Ok(()),
        }
    }
}

/// So many lines have what is printed about single tasks.
const LINES: usize = 200;

impl Shared {
    /// All tasks that have not ended, by their numbers. Those of a `LocalSet` are its own.
    pub(crate) fn tasks(&self) -> Vec<TaskInfo> {
        let polls = self.polls_under_way();
        let mut listed = self.owned.list();
        listed.extend(self.locals.get().into_iter().flat_map(|locals| locals.list()));
        let mut tasks: Vec<_> = listed.iter().map(|task| self.task(task, &polls)).collect();
        tasks.sort_unstable_by_key(|task| task.id);
        tasks
    }

    fn task(&self, listed: &Listed, polls: &HashMap<u64, (Running, Backtrace)>) -> TaskInfo {
        let Listed { id, spawned_at, now } = *listed;
        let kept = self.watched.book.as_ref().and_then(|book| book.get(id.number()));
        let poll = polls.get(&id.number()).filter(|_| matches!(now, Now::Runs));
        let (running, backtrace) = poll.cloned().unwrap_or_default();
        TaskInfo {
            id,
            name: kept.as_ref().map(|kept| kept.name.to_string()).filter(|name| !name.is_empty()),
            file: spawned_at.file(),
            line: spawned_at.line(),
            state: match now {
                Now::Waits => TaskState::Waiting,
                Now::Queued => TaskState::Queued,
                Now::Runs => TaskState::Running(running),
            },
            polls: kept.as_ref().map(|kept| kept.polls),
            busy: kept.map(|kept| kept.busy),
            backtrace,
        }
    }

    /// By the number of the task.
    fn polls_under_way(&self) -> HashMap<u64, (Running, Backtrace)> {
        let holders = self.pool.holders().into_iter();
        let lost: HashMap<SlotId, _> =
            holders.map(|(slot, holding)| (slot, (holding.since, holding.cause))).collect();
        let poll = |(id, slot): (SlotId, &Slot)| {
            let task = slot.task.load(Ordering::Relaxed);
            let running = Running {
                thread: slot.tid.load(Ordering::Relaxed),
                call: slot.site.get(),
                since: self.began(slot),
                lost_core: lost.get(&id).copied(),
            };
            let backtrace =
                if task == 0 { Backtrace::default() } else { Backtrace::of(running.thread) };
            // What was found is of that poll, and not of the next.
            let same =
                slot.task.load(Ordering::Relaxed) == task && self.began(slot) == running.since;
            let backtrace = if same { backtrace } else { Backtrace::default() };
            (task != 0).then_some((task, (running, backtrace)))
        };
        self.slots.iter().filter_map(poll).collect()
    }

    /// When the poll of the thread in that slot began, if one runs, and that is noted.
    pub(crate) fn began(&self, slot: &Slot) -> Option<Instant> {
        let nanos = slot.begun.load(Ordering::Relaxed);
        (nanos != 0).then(|| self.watched.born + Duration::from_nanos(nanos))
    }

    /// All tasks in words: a line for each that runs or is queued, and one for all that wait and were
    /// spawned at one place.
    pub(crate) fn tasks_in_words(&self) -> String {
        let tasks = self.tasks();
        let (waiting, others): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|task| matches!(task.state, TaskState::Waiting));
        let mut text = format!(
            "{}: {} tasks, of which {} wait\n",
            self.config.thread_name,
            tasks.len(),
            waiting.len()
        );
        for task in others.iter().take(LINES) {
            let _infallible = writeln!(text, "  {task}");
        }
        if others.len() > LINES {
            let _infallible = writeln!(text, "  and {} more", others.len() - LINES);
        }
        let mut places: BTreeMap<_, Vec<&TaskInfo>> = BTreeMap::new();
        for task in waiting {
            places.entry((task.file, task.line)).or_default().push(task);
        }
        for ((file, line), tasks) in places.iter().take(LINES) {
            let _infallible = match tasks.as_slice() {
                [task] => writeln!(text, "  {task}"),
                more => {
                    writeln!(text, "  {} tasks (spawned at {file}:{line}) wait", more.len())
                }
            };
        }
        text
    }
}
