//! A task's header, by whoever keeps the task's memory.

use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use super::header::Header;

/// The header of a task, for as long as its memory is kept.
///
/// `async_task` keeps a task in one allocation: its state, the metadata, which is our header, and the
/// future. The metadata is there before the future is made, does not move, and is dropped with the
/// allocation: when the task's runnable, its handle and all its wakers are gone (a unit test holds
/// it). The future is dropped before that.
#[derive(Debug)]
pub(super) struct HeaderRef(NonNull<Header>);

// SAFETY: it stands for a `&Header`, and a header is looked at by all threads.
unsafe impl Send for HeaderRef where Header: Sync {}
// SAFETY: as above.
unsafe impl Sync for HeaderRef where Header: Sync {}

// A header is whole behind any panic: no foreign code touches it.
impl UnwindSafe for HeaderRef {}
impl RefUnwindSafe for HeaderRef {}

impl HeaderRef {
    /// # Safety
    ///
    /// `header` is the metadata of a task, and the answer is kept in that task's future, or beside
    /// its handle or a waker of it, and not used any more when that is gone.
    pub(super) unsafe fn new(header: &Header) -> Self {
        HeaderRef(NonNull::from(header))
    }

    /// The same for another place.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new).
    pub(super) unsafe fn again(&self) -> Self {
        HeaderRef(self.0)
    }
}

impl Deref for HeaderRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: the promise of `new`: the allocation is kept, and the header in it is only dropped
        // with it. It is only ever borrowed as shared.
        unsafe { self.0.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    /// What the promises above rest on.
    #[test]
    fn the_metadata_is_dropped_with_the_last_of_a_tasks_references() {
        let metadata = Arc::new(());
        let seen = metadata.clone();
        let (runnable, task) =
            async_task::Builder::new().metadata(metadata).spawn(|_| async {}, drop);
        let place = Arc::as_ptr(runnable.metadata());
        let (first, second) = (runnable.waker(), runnable.waker());
        runnable.run();
        assert_eq!(Arc::as_ptr(task.metadata()), place, "it has not moved");
        assert_eq!(Arc::strong_count(&seen), 2, "the task has ended, and has its handle");
        drop(task);
        assert_eq!(Arc::strong_count(&seen), 2, "the handle is gone, and there are wakers");
        first.wake();
        assert_eq!(Arc::strong_count(&seen), 2, "one of them is gone");
        drop(second);
        assert_eq!(Arc::strong_count(&seen), 1);
    }

    #[test]
    fn the_handle_alone_keeps_the_metadata() {
        let metadata = Arc::new(());
        let seen = metadata.clone();
        let builder = async_task::Builder::new().metadata(metadata);
        let (runnable, task) = builder.spawn(|_| async {}, drop);
        drop(runnable);
        let task = task.fallible();
        assert_eq!(Arc::strong_count(&seen), 2, "the task was cancelled");
        drop(task);
        assert_eq!(Arc::strong_count(&seen), 1);
    }
}
