//! What a task knows of itself. It stands in the task's own allocation, before the future.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::handle::Awaiter;
use super::owned::{Links, Owned, SHARDS};
use super::raw::{Runnable, Table};
use crate::protocol::task::TaskWord;

/// Those that a task is born with: the right to run, the handle, the list of those alive.
const REFERENCES: u64 = 3;

/// The number of a task: unique among the tasks of all runtimes of the process. Of two that the same
/// thread has spawned, the later has the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(NonZeroU64);

/// How many numbers a thread takes at a time, so that spawners seldom meet at the counter.
const BLOCK: u64 = 64;

thread_local! {
    /// This thread's next number. At the edge of a block it has none.
    static NEXT_HERE: Cell<u64> = const { Cell::new(0) };
}

impl Id {
    pub(crate) fn next() -> Self {
        static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);
        let mut number = NEXT_HERE.get();
        if number.is_multiple_of(BLOCK) {
            // None has the number 0.
            number = NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed).max(1);
        }
        NEXT_HERE.set(number + 1);
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

    /// The list of those alive.
    fn list(&self) -> &Owned;

    /// Whether this is a child of the process whose it is.
    fn is_of_parent(&self) -> bool {
        false
    }

    /// The list of those alive; none in a child of `fork`, where a lock may be held by a thread that
    /// is not there.
    fn owned(&self) -> Option<&Owned> {
        (!self.is_of_parent()).then(|| self.list())
    }

    /// A task's future is gone. Returns whether it was in that list.
    fn ended(&self, header: &Header) -> bool {
        self.owned().is_some_and(|owned| owned.remove(header))
    }
}

/// What a task is born with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    pub(crate) id: Id,
    pub(crate) spawned_at: &'static Location<'static>,
    tag: u8,
}

/// The tag of a task's word: in which part of its keeper's list it stands, and two flags.
const SHARD: u8 = SHARDS as u8 - 1;
const ACCEPTED: u8 = 1 << 6;
const LOCAL: u8 = 1 << 7;
const _: () = assert!(SHARDS.is_power_of_two() && SHARD < ACCEPTED);

impl Birth {
    /// `hint` says in which part of its keeper's list its place is to be: threads with different
    /// hints do not meet.
    pub(crate) fn new(hint: Option<usize>, spawned_at: &'static Location<'static>) -> Self {
        // Those without one take turns; where exactly does not matter.
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let hint = hint.unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed).into());
        Birth { id: Id::next(), spawned_at, tag: (hint % SHARDS) as u8 }
    }

    /// That of a call that runs even if its runtime is shut down before it has started.
    pub(crate) fn accepted(self) -> Self {
        Birth { tag: self.tag | ACCEPTED, ..self }
    }

    /// That of a task that only one thread may run and drop.
    pub(super) fn local(self) -> Self {
        Birth { tag: self.tag | LOCAL, ..self }
    }

    #[cfg(feature = "tracing")]
    pub(super) fn is_accepted(self) -> bool {
        self.tag & ACCEPTED != 0
    }
}

/// A task's own data, before its future.
pub(crate) struct Header {
    pub(super) word: TaskWord,
    pub(super) table: &'static Table,
    /// Of the type that the table knows; see `kept`.
    pub(super) keeper: NonNull<()>,
    pub(crate) id: Id,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(super) links: Links,
    pub(super) awaiter: Awaiter,
}

#[allow(unsafe_code, reason = "what the pointer points to is a `Keeper`")]
// SAFETY: a keeper may be used, and dropped, by all threads. The rest is `Sync` by itself.
unsafe impl Sync for Header
where
    TaskWord: Sync,
    Links: Sync,
    Awaiter: Sync,
{
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Header {
    pub(super) fn new(birth: Birth, table: &'static Table, keeper: NonNull<()>) -> Self {
        let Birth { id, spawned_at, tag } = birth;
        let (word, links) = (TaskWord::new(tag, REFERENCES), Links::new());
        Header { word, table, keeper, id, spawned_at, links, awaiter: Awaiter::new() }
    }

    /// Whether it is a task of the keeper at this place.
    #[inline]
    pub(crate) fn is_of(&self, keeper: *const ()) -> bool {
        ptr::eq(self.keeper.as_ptr(), keeper)
    }

    /// Whether it is to run though its runtime is shut down.
    #[inline]
    pub(crate) fn is_accepted(&self) -> bool {
        self.word.tag() & ACCEPTED != 0
    }

    /// Whether only one thread may run and drop it.
    pub(super) fn is_local(&self) -> bool {
        self.word.tag() & LOCAL != 0
    }

    /// In which part of the keeper's list it stands.
    pub(super) fn shard(&self) -> usize {
        usize::from(self.word.tag() & SHARD)
    }
}
