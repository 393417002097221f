//! How many threads there are, and waiting until there are none.

use std::cell::Cell;
use std::io::Write;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The threads of a runtime, monitor and sentinel included.
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
    spawned: u64,
}

impl Threads {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a thread is spawned.
    pub(crate) fn starting(&self, runner: bool) {
        let mut state = self.lock();
        state.live += 1;
        state.runners += usize::from(runner);
        state.spawned += 1;
    }

    /// The thread has been spawned. Those that have ended since are forgotten on the way, so that
    /// their stacks go, too. Not joined: a thread that has returned may still run destructors of
    /// thread-locals, which are the user's.
    pub(crate) fn started(&self, handle: JoinHandle<()>) {
        let mut state = self.lock();
        state.handles.retain(|handle| !handle.is_finished());
        state.handles.push(handle);
    }

    /// The thread could not be spawned, or ends. `true`: no runner is left.
    pub(crate) fn ended(&self, runner: bool) -> bool {
        let mut state = self.lock();
        state.live -= 1;
        state.runners -= usize::from(runner);
        self.changed.notify_all();
        runner && state.runners == 0
    }

    /// How many threads can hold a core now.
    pub(crate) fn runners(&self) -> usize {
        self.lock().runners
    }

    /// Waits until all threads have ended, for at most `limit`. `false`: some have not.
    pub(crate) fn join_all(&self, limit: Option<Duration>) -> bool {
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
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        // They have all said goodbye. What is left of them may be destructors of thread-locals: the
        // user's, and so nothing to wait for where there is a limit.
        if limit.is_none() {
            handles.into_iter().for_each(|handle| drop(handle.join()));
        }
        true
    }
}

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a thread that some runtime has started; in a destructor of its thread-locals, too.
pub(crate) fn is_of_a_runtime() -> bool {
    OURS.get()
}

/// The runtime's own code on its own threads does not unwind: a thread that went missing would take
/// a core, a permit or the watch over all others with it, and every wait with that. Dropped while
/// panicking, this ends the process.
#[derive(Debug)]
pub(crate) struct Vital(());

impl Vital {
    /// By a thread that a runtime has just started.
    pub(crate) fn begin() -> Vital {
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
