//! All tasks of a runtime that have not ended: so that shutdown can reach those that sleep.
//!
//! They stand in doubly linked lists, whose links are in the tasks' headers: to spawn and to end a
//! task allocates nothing here. Each list has a lock, under which alone its tasks' links are touched;
//! a task says by its tag which list is its own. The list has a reference to each of its tasks.

use std::cell::Cell;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::header::{Header, Id};
use super::raw::{Runnable, TaskRef};
use crate::primitive::{Mutex, Padded};
use crate::protocol::task::Now;

pub(super) const SHARDS: usize = 16;

/// How many are woken at once at the end: so few that they are still in the cache when they are
/// dropped.
const AT_ONCE: usize = 128;

/// All live tasks, in a few lists so that spawners seldom meet.
#[derive(Debug)]
pub(crate) struct Owned {
    shards: [Padded<Part>; SHARDS],
    /// At the end: the first list in which some may have to be woken still.
    next: Mutex<usize>,
    /// Spawns between their first step and their last, for the check at shutdown only: a shared
    /// cache line on the way of every spawn.
    #[cfg(debug_assertions)]
    under_way: AtomicUsize,
}

/// A task, as a list of those alive has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) id: Id,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) now: Now,
}

#[derive(Debug)]
struct Part {
    list: Mutex<Shard>,
    /// Who has the keeper, of those that belong here: see `kept`. It shares the line of the lock, which
    /// they take anyway.
    kept: AtomicUsize,
}

/// The two lists of a shard. Which one a task is in, nobody has to know but who is at the head.
#[derive(Debug)]
struct Shard {
    alive: Head,
    /// Alive, too, and woken at the end.
    woken: Head,
    count: usize,
    spawned: u64,
    ended: u64,
    /// It counts for one in [`Part::kept`].
    keeps: bool,
    closed: bool,
}

type Node = NonNull<Header>;
type Head = Option<Node>;

// SAFETY: the pointers are references to tasks, and whoever has the shard may use their links.
unsafe impl Send for Shard where Header: Sync {}

/// A task's neighbours in its list.
#[derive(Debug)]
pub(super) struct Links {
    /// [`OUT`] in that of a task that is in no list: not yet, or not any more.
    before: Cell<Option<Node>>,
    behind: Cell<Option<Node>>,
}

/// No task is there.
const OUT: Option<Node> = Some(NonNull::dangling());

// SAFETY: they are touched under the lock of the shard alone.
unsafe impl Sync for Links {}
// SAFETY: as above.
unsafe impl Send for Links {}

impl Links {
    pub(super) fn new() -> Self {
        Links { before: Cell::new(OUT), behind: Cell::new(None) }
    }
}

impl Owned {
    pub(crate) fn new() -> Self {
        Owned {
            shards: [const { Padded(Part::new()) }; SHARDS],
            next: Mutex::new(0),
            #[cfg(debug_assertions)]
            under_way: AtomicUsize::new(0),
        }
    }

    fn shard(&self, header: &Header) -> &Mutex<Shard> {
        &self.shards[header.shard()].list
    }

    /// How many have the keeper, of those that belong there.
    #[inline]
    pub(super) fn kept(&self, shard: usize) -> &AtomicUsize {
        &self.shards[shard].kept
    }

    /// A task is about to be added.
    pub(crate) fn is_coming(&self) {
        #[cfg(debug_assertions)]
        self.under_way.fetch_add(1, Ordering::SeqCst);
    }

    /// Adds a task that has not been scheduled yet, with a reference that it was born with. `false`:
    /// the runtime is shutting down. The caller drops the task, and that reference.
    #[must_use]
    pub(super) fn add(&self, task: &Runnable) -> bool {
        let part = &self.shards[task.header().shard()];
        let mut shard = part.list.lock();
        if shard.closed {
            return false;
        }
        if !shard.keeps {
            shard.keeps = true;
            // Ordering: Relaxed, as in `kept::keep`; and not the first, for the task is counted.
            part.kept.fetch_add(1, Ordering::Relaxed);
        }
        shard.spawned += 1;
        shard.count += 1;
        push(&mut shard.alive, task.pointer());
        true
    }

    /// The spawn that began with `is_coming` is over: the task is in a queue, or gone.
    pub(crate) fn is_spawned(&self) {
        #[cfg(debug_assertions)]
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }

    /// After `close`, with every thread out: whether a task lives that nobody will ever drop. One
    /// that is being spawned by some other thread is dropped by that.
    #[cfg(debug_assertions)]
    pub(crate) fn anyone_stranded(&self) -> bool {
        // In this order: a spawn that ends in between takes its task along.
        let under_way = self.under_way.load(Ordering::SeqCst);
        self.alive() > under_way
    }

    /// The task has ended and its future is gone. `true`: it was in a list, whose reference is the
    /// caller's now.
    pub(crate) fn remove(&self, header: &Header) -> bool {
        let mut shard = self.shard(header).lock();
        if header.links.before.get() == OUT {
            // It came too late to be added.
            return false;
        }
        shard.unlink(header);
        shard.ended += 1;
        shard.count -= 1;
        true
    }

    /// No task may be added to that part from here on. `true`: it counts itself no more, and the caller
    /// counts it out.
    #[must_use]
    pub(super) fn close(&self, shard: usize) -> bool {
        let mut shard = self.shards[shard].list.lock();
        shard.closed = true;
        std::mem::take(&mut shard.keeps)
    }

    /// After that: calls `wake` with some more that live. `false`: all of them have had their turn,
    /// and `wake` has returned for each. No foreign code runs in it.
    pub(crate) fn wake_some(&self, wake: impl FnOnce(Vec<TaskRef>)) -> bool {
        let mut next = self.next.lock();
        while let Some(shard) = self.shards.get(*next) {
            let tasks = shard.list.lock().some_to_wake();
            if !tasks.is_empty() {
                wake(tasks);
                return true;
            }
            *next += 1;
        }
        false
    }

    /// Those that have not ended.
    pub(super) fn left(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        for shard in &self.shards {
            let shard = shard.list.lock();
            for head in [shard.alive, shard.woken] {
                let nodes = std::iter::successors(head, |node| header(node).links.behind.get());
                // SAFETY: the list has a reference, and this is under its lock.
                tasks.extend(nodes.map(|node| unsafe { TaskRef::new(node) }));
            }
        }
        tasks
    }

    /// What those that have not ended are doing.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let mut tasks = Vec::new();
        for shard in &self.shards {
            let shard = shard.list.lock();
            tasks.reserve(shard.count);
            for head in [shard.alive, shard.woken] {
                let nodes = std::iter::successors(head, |node| header(node).links.behind.get());
                tasks.extend(nodes.map(|node| {
                    let Header { id, spawned_at, .. } = *header(&node);
                    Listed { id, spawned_at, now: header(&node).word.now() }
                }));
            }
        }
        tasks
    }

    /// How many tasks have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.shards.iter().map(|shard| shard.list.lock().count).sum()
    }

    /// Whether tasks spawned = ended (finished, panicked or cancelled) + alive.
    #[cfg(debug_assertions)]
    pub(crate) fn adds_up(&self) -> bool {
        let adds_up = |shard: &Shard| {
            let (alive, woken) = (length(shard.alive), length(shard.woken));
            alive + woken == shard.count && shard.spawned == shard.ended + shard.count as u64
        };
        self.shards.iter().all(|shard| adds_up(&shard.list.lock()))
    }
}

impl Part {
    const fn new() -> Self {
        Part { list: Mutex::new(Shard::EMPTY), kept: AtomicUsize::new(0) }
    }
}

impl Shard {
    const EMPTY: Shard = Shard {
        alive: None,
        woken: None,
        count: 0,
        spawned: 0,
        ended: 0,
        keeps: false,
        closed: false,
    };

    /// A few of those that have not been woken, and count as woken from here on; none if there are
    /// no more.
    fn some_to_wake(&mut self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        while let Some(node) = self.alive.filter(|_| tasks.len() < AT_ONCE) {
            self.unlink(header(&node));
            push(&mut self.woken, node);
            // SAFETY: the list has a reference, and this is under its lock.
            tasks.push(unsafe { TaskRef::new(node) });
        }
        tasks
    }

    /// Takes a task out of the list that it is in.
    fn unlink(&mut self, it: &Header) {
        let (before, behind) = (it.links.before.replace(OUT), it.links.behind.take());
        if let Some(behind) = &behind {
            header(behind).links.before.set(before);
        }
        match &before {
            Some(before) => header(before).links.behind.set(behind),
            None if self.alive == Some(NonNull::from(it)) => self.alive = behind,
            None => self.woken = behind,
        }
    }
}

/// Puts a task, which is in no list, first.
fn push(head: &mut Head, node: Node) {
    let behind = head.replace(node);
    header(&node).links.before.set(None);
    header(&node).links.behind.set(behind);
    if let Some(behind) = &behind {
        header(behind).links.before.set(Some(node));
    }
}

/// A task that is in a list, or on its way.
fn header(node: &Node) -> &Header {
    // SAFETY: the list has a reference, and gives it up under the lock that the caller has.
    unsafe { node.as_ref() }
}

#[cfg(debug_assertions)]
fn length(head: Head) -> usize {
    std::iter::successors(head, |node| header(node).links.behind.get()).count()
}
