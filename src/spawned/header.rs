//! What a task knows of itself. It stands in the task's own allocation, where `async_task` keeps it
//! beside the future.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Runnable;
use super::owned::{Owned, Place};

/// The number of a task: unique among the tasks of all runtimes of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(NonZeroU64);

impl Id {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Id(NonZeroU64::new(number).expect("2^64 tasks are not reached"))
    }

    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a task comes from, and what it was named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) place: &'static Location<'static>,
    /// Nothing: it has no name.
    pub(crate) name: &'a str,
}

impl Origin<'static> {
    /// The caller's place.
    #[track_caller]
    #[inline]
    pub(crate) fn caller() -> Self {
        Self::at(Location::caller())
    }

    #[inline]
    pub(crate) fn at(place: &'static Location<'static>) -> Self {
        Origin { place, name: "" }
    }
}

thread_local! {
    static TOLD: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Runs `f` as part of a task that this thread does not poll as one of a runtime's own: the poll of
/// a local task, or the drop of what a task has left. `None`: as part of none, in a root future.
pub(crate) fn as_task<R>(id: Option<Id>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Id>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TOLD.set(self.0);
        }
    }
    let _restore = Restore(TOLD.replace(id));
    f()
}

/// The task that [`as_task`] was told of.
pub(crate) fn told() -> Option<Id> {
    TOLD.get()
}

/// Whose task it is: a runtime's, or a set's that stays on one thread.
pub(crate) trait Keeper: Send + Sync {
    /// Puts a task that is ready where others find it.
    fn inject(&self, task: Runnable);

    /// It is being shut down: no future of its is to be polled again, but those of accepted calls.
    fn is_ending(&self) -> bool;

    /// The list of those alive; none in a child of `fork`, where a lock may be held by a thread that
    /// is not there.
    fn owned(&self) -> Option<&Owned>;

    /// A task's future is gone.
    fn ended(&self, place: &Place) {
        if let Some(owned) = self.owned() {
            owned.remove(place);
        }
    }
}

/// A task's own data, beside its future.
pub(crate) struct Header {
    pub(crate) id: Id,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) keeper: Arc<dyn Keeper>,
    /// Its place in the keeper's list.
    pub(super) place: Place,
    /// It runs though its runtime is shut down before its first poll.
    accepted: bool,
    aborted: AtomicBool,
    ended: AtomicBool,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Header {
    /// `hint` says in which part of the keeper's list its place is to be.
    pub(crate) fn new(
        keeper: Arc<dyn Keeper>,
        hint: Option<usize>,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        let (aborted, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let (id, place) = (Id::next(), Place::new(hint));
        Header { id, spawned_at, keeper, place, accepted: false, aborted, ended }
    }

    /// That of a call that runs even if its runtime is shut down before it has started.
    pub(crate) fn accepted(self) -> Self {
        Header { accepted: true, ..self }
    }

    /// Whether it is to run after all that.
    #[inline]
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted && !self.is_aborted()
    }

    /// The task was aborted, or its runtime is being shut down: its future is not to be polled.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.is_aborted() || (self.keeper.is_ending() && !self.accepted)
    }

    /// From here on the task is dropped instead of polled.
    pub(crate) fn abort(&self) {
        // Ordering: Release. Partner: the Acquire of `is_aborted`. The wake that follows gets the
        // task into a queue, and with it to a thread that looks here.
        self.aborted.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// The task's future is gone.
    pub(super) fn end(&self) {
        // Ordering: Release. Partner: the Acquire of `is_ended`.
        self.ended.store(true, Ordering::Release);
        self.keeper.ended(&self.place);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// A waker of the task; `None` if its future is gone, or in a child of `fork`.
    pub(super) fn waker(&self) -> Option<std::task::Waker> {
        self.keeper.owned()?.waker(&self.place)
    }
}
