//! Starting threads, how many there are, and waiting until there are none.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Shared;
use super::leftover::{Accepted, drop_tasks};
use crate::sys::thread::set_timer_slack;

/// What a thread is to its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It can hold a core: whoever is the last of these to end empties the queues.
    Runner,
    /// The runtime's end waits for it.
    Helper,
}

impl Shared {
    /// Starts a thread of this runtime, under the name of its threads and `suffix`.
    ///
    /// # Errors
    ///
    /// What the operating system says; nothing has changed then.
    pub(crate) fn start_thread(
        self: &Arc<Self>,
        role: Role,
        suffix: &str,
        stack_size: Option<usize>,
        body: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> io::Result<()> {
        let name = format!("{}{suffix}", self.config.thread_name());
        let mut builder = std::thread::Builder::new().name(name);
        if let Some(size) = stack_size {
            builder = builder.stack_size(size);
        }
        self.threads.starting(role);
        let mine = self.clone();
        let spawned = builder.spawn(move || {
            let _vital = Vital::begin();
            // Whoever starts a thread may have another: the monitor has, and starts the spares.
            set_timer_slack(mine.timer_slack);
            body(&mine);
            mine.thread_ends(role);
        });
        match spawned {
            Ok(handle) => {
                self.threads.started(handle, || !self.is_shutdown());
                Ok(())
            }
            Err(error) => {
                // Another thread may have ended meanwhile, and have left its tasks to this one.
                self.count_out(role);
                Err(error)
            }
        }
    }

    fn thread_ends(self: &Arc<Self>, role: Role) {
        let runs_tasks = role == Role::Runner;
        if runs_tasks && self.is_shutdown() {
            // Before this thread is counted out, so that whoever waits for the threads finds the
            // tasks gone; and again by the last one out, for what came in between.
            drop_tasks(self, Accepted::Run);
        }
        self.count_out(role);
    }

    fn count_out(self: &Arc<Self>, role: Role) {
        if self.threads.ended(role, || !self.is_shutdown()) && self.is_shutdown() {
            drop_tasks(self, Accepted::Run);
        }
    }
}

/// The threads of a runtime.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Started and not yet ended.
    live: usize,
    /// Of those, the ones that can hold a core.
    runners: usize,
    handles: Vec<JoinHandle<()>>,
}

impl State {
    /// Threads that have ended are forgotten when another starts or ends, so that their stacks go,
    /// too. Not joined: a thread that has returned may still run destructors of thread-locals,
    /// which are the user's.
    ///
    /// Where the runtime ends, whoever ends it joins them all, destructors and all: then nobody is
    /// forgotten. It is asked under this lock: who has ended with the runtime has had the lock after
    /// the end was said, and so whoever finds that thread ended knows of it, too.
    fn forget_ended(&mut self, may_forget: impl FnOnce() -> bool) {
        if may_forget() {
            self.handles.retain(|handle| !handle.is_finished());
        }
    }
}

impl Threads {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a thread is spawned.
    fn starting(&self, role: Role) {
        let mut state = self.lock();
        state.live += 1;
        state.runners += usize::from(role == Role::Runner);
    }

    /// The thread has been spawned.
    fn started(&self, handle: JoinHandle<()>, may_forget: impl FnOnce() -> bool) {
        let mut state = self.lock();
        state.forget_ended(may_forget);
        state.handles.push(handle);
    }

    /// The thread could not be spawned, or ends. `true`: no runner is left.
    fn ended(&self, role: Role, may_forget: impl FnOnce() -> bool) -> bool {
        let runner = role == Role::Runner;
        let mut state = self.lock();
        state.live -= 1;
        state.runners -= usize::from(runner);
        state.forget_ended(may_forget);
        self.changed.notify_all();
        runner && state.runners == 0
    }

    /// How many threads can hold a core now.
    pub(crate) fn runners(&self) -> usize {
        self.lock().runners
    }

    /// Waits until all threads have said goodbye, for at most `limit`. `false`: some have not. What
    /// is left of those that have may be destructors of thread-locals.
    pub(crate) fn wait_for_all(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.lock();
        while state.live > 0 {
            state = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    /// After that: waits until nothing is left of them. Those destructors are the user's, and so
    /// nothing to wait for where there is a limit.
    pub(crate) fn join_all(&self) {
        let handles = std::mem::take(&mut self.lock().handles);
        handles.into_iter().for_each(|handle| drop(handle.join()));
    }
}

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a thread that some runtime has started; in a destructor of its thread-locals,
/// too.
pub(crate) fn is_of_a_runtime() -> bool {
    OURS.get()
}

/// The runtime's own code on its own threads does not unwind: a thread that went missing would take
/// a core, a permit or the watch over all others with it, and every wait with that. Dropped while
/// panicking, this ends the process.
#[derive(Debug)]
struct Vital(());

impl Vital {
    /// By a thread that a runtime has just started.
    fn begin() -> Vital {
        OURS.set(true);
        Vital(())
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = b"threadlet: a thread of the runtime panicked (see above): this is a bug\n";
            let _ = std::io::stderr().write_all(text);
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The story: a spare that was started while the runtime ended had one forgotten that was at its
    /// destructors, and nobody waited for it.
    #[test]
    fn who_starts_or_ends_with_the_runtime_forgets_nobody() {
        let threads = Threads::default();
        let ended = || {
            let handle = std::thread::spawn(|| ());
            while !handle.is_finished() {
                std::thread::yield_now();
            }
            handle
        };
        threads.starting(Role::Helper);
        threads.started(ended(), || false);
        threads.starting(Role::Helper);
        threads.started(ended(), || false);
        threads.ended(Role::Helper, || false);
        assert_eq!(threads.lock().handles.len(), 2, "while the runtime ends");
        threads.ended(Role::Helper, || true);
        assert_eq!(threads.lock().handles.len(), 0, "otherwise");
    }
}
