//! Spawned tasks: a future on the heap with its header and its handles.

pub(crate) mod book;
#[allow(unsafe_code, reason = "the memory of a task, by its handle")]
mod handle;
mod header;
mod join;
#[allow(unsafe_code, reason = "references to keepers, counted by hand")]
mod kept;
pub(crate) mod local;
#[allow(unsafe_code, reason = "tasks in linked lists")]
mod owned;
#[allow(unsafe_code, reason = "the memory of a task")]
mod raw;
#[cfg(feature = "tracing")]
pub(crate) mod traced;
#[cfg(not(feature = "tracing"))]
#[path = "traced_off.rs"]
pub(crate) mod traced;

use std::future::Future;
use std::sync::Arc;

pub use header::Id;
pub(crate) use header::{Birth, Header, Keeper, Origin, as_task, told};
pub use join::{AbortHandle, JoinError, JoinHandle};
pub(crate) use kept::close;
pub(crate) use owned::{Listed, Owned};
use raw::Built;
pub(crate) use raw::{Runnable, Schedule, TaskRef};

/// Spawns a task of `keeper`'s, which every thread may poll and drop, and which `S` schedules.
pub(crate) fn spawn<S, F, K>(
    birth: Birth,
    keeper: &Arc<K>,
    owned: &Owned,
    future: F,
) -> JoinHandle<F::Output>
where
    S: Schedule,
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    K: Keeper + 'static,
{
    #[allow(unsafe_code, reason = "the one promise of `build`")]
    // SAFETY: the future and its output are `Send`.
    let built = unsafe { raw::build::<F, K, S>(birth, keeper, future) };
    start(owned, built)
}

/// Starts a task: it is in the list of its keeper's, which this is, and queued. Or it comes too late:
/// then its future is dropped here, and the handle says that it was cancelled.
fn start<T>(owned: &Owned, (runnable, handle): Built<T>) -> JoinHandle<T> {
    owned.is_coming();
    let handle = JoinHandle::new(handle);
    if owned.add(&runnable) {
        runnable.schedule();
    } else {
        #[allow(unsafe_code, reason = "the one promise of `stays_out`")]
        // SAFETY: the list has refused it, and nobody tries again.
        unsafe {
            runnable.stays_out();
        }
        drop(runnable);
    }
    owned.is_spawned();
    handle
}

#[cfg(test)]
mod tests;
