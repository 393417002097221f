//! How many threads there are, and waiting until there are none.

use std::collections::VecDeque;
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
    handles: VecDeque<JoinHandle<()>>,
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

    /// The thread has been spawned. Handles of threads that have ended since are joined on the
    /// way, so that a runtime with many short spares does not collect them.
    pub(crate) fn started(&self, handle: JoinHandle<()>) {
        let mut state = self.lock();
        while state.handles.front().is_some_and(JoinHandle::is_finished) {
            if let Some(ended) = state.handles.pop_front() {
                let _ = ended.join();
            }
        }
        state.handles.push_back(handle);
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
        // They have all said goodbye: what is left of them is a few instructions.
        handles.into_iter().for_each(|handle| drop(handle.join()));
        true
    }
}

/// The runtime's own code on its own threads does not unwind: a thread that went missing would take
/// a core, a permit or the watch over all others with it, and every wait with that. Dropped while
/// panicking, this ends the process.
#[derive(Debug)]
pub(crate) struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("threadlet: a thread of the runtime panicked (see above): this is a bug");
            std::process::abort();
        }
    }
}
