//! Spawned tasks: a future on the heap with its header and its handles.

mod awaiter;
mod caught;
mod header;
#[allow(unsafe_code, reason = "a reference to what the task's memory holds")]
mod header_ref;
mod join;
pub(crate) mod local;
mod owned;
#[cfg(feature = "tracing")]
pub(crate) mod traced;
#[cfg(not(feature = "tracing"))]
#[path = "traced_off.rs"]
pub(crate) mod traced;

use std::future::Future;
use std::ptr::NonNull;

pub(crate) use awaiter::poll_with_ours;
use caught::{Caught, Outcome};
pub use header::Id;
pub(crate) use header::{Header, Keeper, Origin, as_task, told};
use header_ref::HeaderRef;
pub use join::{AbortHandle, JoinError, JoinHandle};
pub(crate) use owned::Owned;

use crate::protocol::queue::Item;

/// A task that is ready to be polled.
pub(crate) type Runnable = async_task::Runnable<Header>;

/// What `async_task` makes of a future.
type Built<T> = (Runnable, async_task::Task<Outcome<T>, Header>);

/// A task of `header`'s keeper, which every thread may poll and drop. `schedule` is called with it
/// each time it is ready; one that captures nothing costs less.
pub(crate) fn build<F, S>(header: Header, future: F, schedule: S) -> Built<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: async_task::Schedule<Header> + Send + Sync + 'static,
{
    async_task::Builder::new().metadata(header).spawn(|header| caught(future, header), schedule)
}

/// The future that `async_task` makes a task of, with this metadata.
fn caught<F: Future>(future: F, header: &Header) -> Caught<F> {
    #[allow(unsafe_code, reason = "one promise of `HeaderRef`")]
    // SAFETY: it is kept in the task's future.
    let header = unsafe { HeaderRef::new(header) };
    Caught::new(future, header)
}

/// Starts a task: it is in the list of its keeper's, which this is, and queued. Or it comes too late:
/// then its future is dropped here, and the handle says that it was cancelled.
pub(crate) fn start<T>(owned: &Owned, (runnable, task): Built<T>) -> JoinHandle<T> {
    owned.is_coming();
    let handle = JoinHandle::new(task);
    if owned.add(&runnable.metadata().place, runnable.waker()) {
        runnable.schedule();
    } else {
        drop(runnable);
    }
    owned.is_spawned();
    handle
}

/// Leaves a task that is ready with its keeper.
pub(crate) fn inject(task: Runnable) {
    // It may be run and gone before `inject` returns.
    let keeper = task.metadata().keeper.clone();
    keeper.inject(task);
}

#[allow(unsafe_code, reason = "the one promise that lets tasks travel as pointers")]
// SAFETY: `async_task` gives the value up for a pointer, and takes it back from the same.
unsafe impl Item for Runnable {
    #[inline]
    fn into_raw(self) -> NonNull<()> {
        Runnable::into_raw(self)
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<()>) -> Self {
        // SAFETY: the caller's promise is what `async_task` asks for.
        unsafe { Runnable::from_raw(raw) }
    }
}
