//! The table of a runtime's threads: what others may know and do about each.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::detect::ring::Ring;
use crate::observe::polls::Polls;
use crate::observe::profile::Coreless;
use crate::observe::site::{CallCounts, Site, UNMARKED};
use crate::primitive::park::Parker;
use crate::primitive::{Mutex, Padded, StaticRef};
use crate::protocol::core::{SlotId, Suspicion};
use crate::sys::thread::set_slice;
use crate::sys::whereabouts;

/// The time slice of a thread that lost its core as a hog. Many times the kernel's default: where
/// one hog follows another on a CPU, a thread that wakes can be some milliseconds late, and that is
/// to happen seldom. The longer, the later other hogs have their turn.
const HOG_SLICE: Duration = Duration::from_millis(50);

/// No seat.
const NOWHERE: usize = usize::MAX;

/// A thread's place in the table. The thread owns it; the others look, and unpark.
#[derive(Debug)]
pub(crate) struct Slot {
    /// How the thread sleeps.
    pub(crate) parker: Parker,
    /// Whether a thief looks at the thread.
    pub(crate) suspicion: Suspicion,
    /// The thread's id; 0 while the slot is free.
    pub(crate) tid: AtomicI32,
    /// The seat the thread believes it has; a hint for the sentinel, which compares words.
    seat: AtomicUsize,
    /// The site of the region the thread is in.
    pub(crate) site: StaticRef<Site>,
    /// Where the task whose poll the thread is in was spawned.
    pub(crate) spawned_at: StaticRef<Location<'static>>,
    /// That task's number.
    pub(crate) task: AtomicU64,
    /// The poll that it is in has not said so and computes: it is about to lose its core.
    pub(crate) computes: AtomicBool,
    /// Since when that poll runs, in nanoseconds since the runtime was built, if polls are noted: 0:
    /// none runs.
    pub(crate) begun: AtomicU64,
    /// The thread was given long slices, as a hog.
    slowed: AtomicBool,
    /// Calls per site, by this slot's threads.
    pub(crate) counts: CallCounts,
    /// And for how long they blocked while the thread had no core.
    pub(crate) coreless: Coreless,
    /// Its polls, if they are timed.
    pub(crate) polls: OnceLock<Box<Polls>>,
    /// The thread's ring, once it has opened one. It belongs to the slot until the
    /// thread closes it, and whoever looks holds it while it looks.
    pub(crate) ring: Mutex<Option<Arc<Ring>>>,
    /// The ring is armed; a hint.
    pub(crate) armed: AtomicBool,
    /// Grows with every thread that uses the slot, so that a late edge is known for what it is.
    pub(crate) generation: AtomicU64,
}

impl Slot {
    fn new() -> Self {
        Slot {
            parker: Parker::new(),
            suspicion: Suspicion::new(),
            tid: AtomicI32::new(0),
            seat: AtomicUsize::new(NOWHERE),
            site: StaticRef::new(),
            spawned_at: StaticRef::new(),
            task: AtomicU64::new(0),
            computes: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            slowed: AtomicBool::new(false),
            counts: CallCounts::new(),
            coreless: Coreless::new(),
            polls: OnceLock::new(),
            ring: Mutex::new(None),
            armed: AtomicBool::new(false),
            generation: AtomicU64::new(0),
        }
    }

    /// By the monitor, before it claims the core of a hog; `unmark_slow` follows if that has moved on, or
    /// `slow_down` when the core is taken: now, or as soon as there is a permit and a spare. (A claim
    /// that comes to nothing leaves a mark, for which the thread asks the kernel once in vain.)
    ///
    /// The thread that has lost its core looks at the mark when its call has returned. It learns of
    /// the loss by the swap of its word, which comes after this store, so it sees the mark. From
    /// there on there are two orders. The thread takes the mark away before the second look in
    /// `slow_down`: then that undoes what it did. Or after it: then that is done, and the thread undoes
    /// it.
    pub(crate) fn mark_slow(&self) {
        self.slowed.store(true, Ordering::SeqCst);
    }

    /// By whoever has taken the core of a hog that is marked: the thread computes on, in slices so long
    /// that a thread that wakes with work to do need not wait for their end.
    pub(crate) fn slow_down(&self) {
        set_slice(self.tid.load(Ordering::Relaxed), Some(HOG_SLICE));
        if !self.slowed.load(Ordering::SeqCst) {
            set_slice(self.tid.load(Ordering::Relaxed), None);
        }
    }

    /// By the monitor, which could not take the core after all.
    pub(crate) fn unmark_slow(&self) {
        self.slowed.store(false, Ordering::SeqCst);
    }

    /// By the thread, when its call has returned.
    pub(crate) fn speed_up(&self) {
        if self.slowed.load(Ordering::Relaxed) && self.slowed.swap(false, Ordering::SeqCst) {
            set_slice(0, None);
        }
    }

    /// By whoever has taken the core of a poll that sleeps without having said so: in what, is noted
    /// for the place where its task was spawned, once. A hint: it may have woken in between.
    #[cold]
    pub(crate) fn note_sleep(&self) {
        let task = self.task.load(Ordering::Relaxed);
        let Some(site) = self.spawned_at.get().map(|place| Site::at(place, UNMARKED)) else {
            return;
        };
        if site.slept_in().is_some() {
            return;
        }
        let Ok(found) = whereabouts::of(self.tid.load(Ordering::Relaxed)) else { return };
        // Behind its poll the thread sleeps for want of work.
        if self.task.load(Ordering::Relaxed) == task {
            site.note_sleep(found.doing);
        }
    }

    /// The thread says where it sits.
    pub(crate) fn set_seat(&self, seat: Option<usize>) {
        self.seat.store(seat.unwrap_or(NOWHERE), Ordering::Relaxed);
    }

    /// Where the thread sits; a hint.
    pub(crate) fn seat(&self) -> Option<usize> {
        let seat = self.seat.load(Ordering::Relaxed);
        (seat != NOWHERE).then_some(seat)
    }
}

type Chunk = Box<[Padded<Slot>]>;

const CHUNK: usize = 32;
const CHUNKS: usize = 1024;

/// The most threads a runtime can have at once.
pub(crate) const MAX_THREADS: usize = CHUNK * CHUNKS;

/// All slots. They are made as they are needed and live as long as the table, so that a reference
/// to one is good whenever the table is.
#[derive(Debug)]
pub(crate) struct Slots {
    chunks: Box<[OnceLock<Chunk>]>,
    free: Mutex<Free>,
}

#[derive(Debug)]
struct Free {
    again: Vec<SlotId>,
    fresh: SlotId,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Slots {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            free: Mutex::new(Free { again: Vec::new(), fresh: 0 }),
        }
    }

    /// A free slot for a new thread, or `None` if there are too many threads.
    pub(crate) fn allocate(&self) -> Option<SlotId> {
        let mut free = self.free.lock();
        if let Some(id) = free.again.pop() {
            return Some(id);
        }
        let id = free.fresh;
        if id as usize >= MAX_THREADS {
            return None;
        }
        self.chunks[id as usize / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| Padded(Slot::new())).collect());
        free.fresh += 1;
        Some(id)
    }

    /// The thread is gone (or was never started): its slot may be used again.
    pub(crate) fn release(&self, id: SlotId) {
        let slot = self.get(id);
        slot.tid.store(0, Ordering::Relaxed);
        slot.generation.fetch_add(1, Ordering::Relaxed);
        self.free.lock().again.push(id);
    }

    /// The slot with this number, which was allocated before.
    #[inline]
    pub(crate) fn get(&self, id: SlotId) -> &Slot {
        let chunk = self.chunks[id as usize / CHUNK].get().expect("allocated before it is used");
        &chunk[id as usize % CHUNK]
    }

    /// Every slot that was ever allocated.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        let made = self.free.lock().fresh;
        (0..made).map(|id| (id, self.get(id)))
    }
}
