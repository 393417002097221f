//! What the kernel knows of the threads of a world, and tells a detector: whether one sleeps, the
//! records of its switches, and edges; right, wrong, early, late, twice or never, as the run's luck
//! has it.

use std::collections::VecDeque;

use crate::draw::Draw;
use crate::engine::{self, Luck, State, ended_key};
use crate::sync::atomic::AtomicU32;

/// How a thread's switch is recorded: it left its CPU, and could have run on; it is back.
pub const OUT: u16 = 1 << 13;
pub const OUT_PREEMPT: u16 = 1 << 14;

/// The length of a record.
const RECORD: u64 = 8;

/// How much later an edge may come, in nanoseconds.
const LATE: u64 = 500_000;

/// The number of the first thread; so much more than the key of any.
const FIRST_TID: i32 = 1000;

/// Keys of epolls, by their numbers: below any address, and above those of threads.
const EPOLL: usize = 0x1000;

/// What has become of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switched {
    Asleep,
    Preempted,
    Back,
}

#[derive(Default)]
struct Known {
    /// The CPU time it has used, and how often it has gone to sleep.
    cpu: u64,
    sleeps: u64,
    ring: Option<usize>,
}

/// A thread's records.
struct Ring {
    owner: usize,
    records: Vec<u16>,
    enabled: bool,
    watermark: u64,
    woken_at: u64,
    /// Who hears of it: an epoll, and by what.
    heard: Option<(usize, u64)>,
    /// The thread is off its CPU, as far as is recorded.
    out: bool,
    /// It is back, and that is not recorded yet.
    owes_back: bool,
}

#[derive(Default)]
struct Epoll {
    pending: VecDeque<(usize, u64)>,
}

#[derive(Default)]
pub(crate) struct Kernel {
    threads: Vec<Known>,
    rings: Vec<Ring>,
    epolls: Vec<Epoll>,
    /// Edges that are under way: when, of which ring.
    late: Vec<(u64, usize)>,
    /// Event descriptors, by their numbers: who hears of them.
    events: Vec<Option<(usize, u64)>>,
    since: u64,
}

impl Kernel {
    pub(crate) fn begins(&mut self, id: usize) {
        debug_assert_eq!(id, self.threads.len());
        self.threads.push(Known::default());
    }

    pub(crate) fn ends(&mut self, id: usize) {
        self.threads[id].ring = None;
    }

    pub(crate) fn runs(&mut self, now: u64) {
        self.since = now;
    }

    pub(crate) fn ran(&mut self, id: usize, now: u64) {
        if let Some(thread) = self.threads.get_mut(id) {
            thread.cpu += now.saturating_sub(self.since);
        }
        self.since = now;
    }

    /// Records a switch. Returns the epolls whose sleepers are to be woken.
    pub(crate) fn switched(
        &mut self,
        id: usize,
        how: Switched,
        now: u64,
        draw: &mut Draw,
        luck: &Luck,
    ) -> Option<usize> {
        self.threads[id].sleeps += u64::from(how == Switched::Asleep);
        let nth = self.threads[id].ring?;
        let ring = &mut self.rings[nth];
        if !ring.enabled {
            return None;
        }
        let misc = match how {
            Switched::Asleep => OUT,
            // It may run on, on another CPU.
            Switched::Preempted if draw.chance(128) => return None,
            Switched::Preempted => OUT | OUT_PREEMPT,
            Switched::Back if !ring.out => return None,
            Switched::Back if luck.early > 0 && draw.chance(luck.early) => {
                ring.owes_back = true;
                return None;
            }
            Switched::Back => 0,
        };
        if luck.lost > 0 && draw.chance(luck.lost) {
            return None;
        }
        self.record(nth, misc, now, draw, luck)
    }

    fn record(
        &mut self,
        nth: usize,
        misc: u16,
        now: u64,
        draw: &mut Draw,
        luck: &Luck,
    ) -> Option<usize> {
        let ring = &mut self.rings[nth];
        if misc & OUT != 0 && std::mem::take(&mut ring.owes_back) {
            ring.records.push(0);
        }
        ring.records.push(misc);
        ring.out = misc & OUT != 0;
        let head = ring.records.len() as u64 * RECORD;
        if head - ring.woken_at <= ring.watermark {
            return None;
        }
        ring.woken_at += ring.watermark;
        if luck.doubled > 0 && draw.chance(luck.doubled) {
            self.late.push((now + draw.below(LATE), nth));
        }
        if luck.late > 0 && draw.chance(luck.late) {
            self.late.push((now + draw.below(LATE), nth));
            return None;
        }
        if luck.lost > 0 && draw.chance(luck.lost) {
            return None;
        }
        self.edge(nth)
    }

    fn edge(&mut self, nth: usize) -> Option<usize> {
        let (epoll, data) = self.rings.get(nth)?.heard?;
        let pending = &mut self.epolls[epoll].pending;
        if !pending.iter().any(|(ring, _)| *ring == nth) {
            pending.push_back((nth, data));
        }
        Some(EPOLL + epoll)
    }

    /// Edges that were late come. Returns the epolls whose sleepers are to be woken.
    pub(crate) fn due(&mut self, now: u64) -> Vec<usize> {
        if self.late.is_empty() {
            return Vec::new();
        }
        let due: Vec<_> = self.late.extract_if(.., |(at, _)| *at <= now).collect();
        due.into_iter().filter_map(|(_, nth)| self.edge(nth)).collect()
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        self.late.iter().map(|(at, _)| *at).min()
    }
}

fn ask<R>(f: impl FnOnce(&mut engine::World) -> R) -> R {
    engine::point();
    engine::with(f).expect("the kernel is asked within a world")
}

fn place(tid: i32) -> Option<usize> {
    usize::try_from(tid.checked_sub(FIRST_TID)?).ok()
}

/// The number of the calling thread.
pub fn tid() -> i32 {
    engine::with(|world| FIRST_TID + world.current as i32).unwrap_or(FIRST_TID - 1)
}

/// How often the calling thread has gone to sleep.
pub fn sleeps() -> u64 {
    ask(|world| world.kernel.threads[world.current].sleeps)
}

/// The clock, in nanoseconds.
pub fn nanos() -> u64 {
    engine::now()
}

/// The CPU time that a thread has used, in nanoseconds.
pub fn cpu_time_of(tid: i32) -> Option<u64> {
    ask(|world| {
        let id = place(tid)?;
        let thread = world.threads.get(id)?;
        let running = if id == world.current { world.now() - world.kernel.since } else { 0 };
        let lives = !matches!(thread.state, State::Ended);
        lives.then(|| world.kernel.threads[id].cpu + running)
    })
}

/// Whether a thread sleeps; `None`, as the luck is, or if it has ended: there is no answer.
pub fn is_asleep(tid: i32) -> Option<bool> {
    ask(|world| {
        let luck = world.settings.luck;
        if luck.unreadable > 0 && world.draw.chance(luck.unreadable) {
            return None;
        }
        let asleep = match world.threads.get(place(tid)?)?.state {
            State::Asleep { .. } => true,
            State::Ready => false,
            State::Ended => return None,
        };
        Some(asleep != (luck.lies > 0 && world.draw.chance(luck.lies)))
    })
}

/// The calling thread is in a call that blocks for so long.
#[track_caller]
pub fn block(nanos: u64) {
    engine::point();
    let early = engine::with(|world| {
        let luck = world.settings.luck;
        let early = luck.early > 0 && world.draw.chance(luck.early);
        let (id, now) = (world.current, world.now());
        if early {
            // Recorded as asleep, and still on its way.
            let engine::World { kernel, draw, .. } = world;
            if let Some(ring) = kernel.threads[id].ring.filter(|nth| kernel.rings[*nth].enabled) {
                let woken = kernel.record(ring, OUT, now, draw, &luck);
                woken.map(|epoll| world.wake(epoll, usize::MAX));
            }
        }
        early
    });
    if early.expect("within a world") {
        engine::yields();
    }
    let until = engine::now() + nanos;
    while !engine::sleep(0, Some(until)) {}
}

/// The calling thread computes for so long.
pub fn compute(nanos: u64) {
    engine::compute(nanos);
}

/// Sleeps while `word` holds `expected`, for at most so long. `false`: so long.
#[track_caller]
pub fn futex_wait(word: &AtomicU32, expected: u32, nanos: Option<u64>) -> bool {
    let spurious = ask(|world| {
        let often = world.settings.luck.spurious;
        often > 0 && world.draw.chance(often)
    });
    if spurious || word.peek() != expected {
        return true;
    }
    let deadline = nanos.map(|nanos| engine::now().saturating_add(nanos));
    !engine::sleep(std::ptr::from_ref(word).addr(), deadline)
}

/// Wakes one that sleeps on `word`.
pub fn futex_wake(word: &AtomicU32) -> bool {
    engine::point();
    engine::wake(std::ptr::from_ref(word).addr(), 1) > 0
}

/// Opens a ring on the calling thread. `None`: refused.
pub fn open_ring(watermark: u64) -> Option<usize> {
    ask(|world| {
        let often = world.settings.luck.unreadable;
        if often > 0 && world.draw.chance(often) {
            return None;
        }
        let owner = world.current;
        let kernel = &mut world.kernel;
        let nth = kernel.rings.len();
        kernel.rings.push(Ring {
            owner,
            records: Vec::new(),
            enabled: false,
            watermark,
            woken_at: 0,
            heard: None,
            out: false,
            owes_back: false,
        });
        kernel.threads[owner].ring = Some(nth);
        Some(nth)
    })
}

/// Records of that ring from here on, or no more.
pub fn enable_ring(nth: usize, enabled: bool) {
    ask(|world| {
        let ring = &mut world.kernel.rings[nth];
        ring.enabled = enabled;
        ring.out = false;
        if std::mem::take(&mut ring.owes_back) {
            ring.records.push(0);
        }
    });
}

/// How many bytes were written into that ring.
pub fn ring_head(nth: usize) -> u64 {
    ask(|world| {
        let ring = &mut world.kernel.rings[nth];
        // One that has been back for a while says so.
        if ring.owes_back && ring.owner == world.current {
            ring.owes_back = false;
            ring.records.push(0);
        }
        ring.records.len() as u64 * RECORD
    })
}

/// The record that ends at `position`.
pub fn ring_record(nth: usize, position: u64) -> u16 {
    ask(|world| world.kernel.rings[nth].records[(position / RECORD) as usize - 1])
}

/// The ring is closed.
pub fn close_ring(nth: usize) {
    ask(|world| {
        let kernel = &mut world.kernel;
        let ring = &mut kernel.rings[nth];
        (ring.enabled, ring.heard) = (false, None);
        let thread = &mut kernel.threads[ring.owner];
        if thread.ring == Some(nth) {
            thread.ring = None;
        }
    });
}

/// What an epoll may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    Ring(usize),
    Event(usize),
}

/// An epoll.
pub fn open_epoll() -> usize {
    ask(|world| {
        world.kernel.epolls.push(Epoll::default());
        world.kernel.epolls.len() - 1
    })
}

/// An event descriptor.
pub fn open_event() -> usize {
    ask(|world| {
        world.kernel.events.push(None);
        world.kernel.events.len() - 1
    })
}

/// From here on that epoll hears of that; or no longer.
pub fn watch(epoll: usize, what: Watched, data: Option<u64>) {
    ask(|world| {
        let kernel = &mut world.kernel;
        let heard = data.map(|data| (epoll, data));
        match what {
            Watched::Event(nth) => kernel.events[nth] = heard,
            Watched::Ring(nth) => {
                kernel.rings[nth].heard = heard;
                let pending = &mut kernel.epolls[epoll].pending;
                pending.retain(|(ring, _)| *ring != nth);
                // What was there before is an edge, or is none.
                if heard.is_some() && world.draw.chance(128) {
                    kernel.edge(nth).map(|epoll| world.wake(epoll, usize::MAX));
                }
            }
        }
    });
}

/// An edge of that event descriptor.
pub fn set_event(nth: usize) {
    ask(|world| {
        let Some((epoll, data)) = world.kernel.events[nth] else { return };
        world.kernel.epolls[epoll].pending.push_back((usize::MAX, data));
        world.wake(EPOLL + epoll, usize::MAX);
    });
}

/// Waits for an edge, for at most so long: what it was watched by.
#[track_caller]
pub fn wait_edge(epoll: usize, nanos: Option<u64>) -> Option<u64> {
    let deadline = nanos.map(|nanos| engine::now().saturating_add(nanos));
    loop {
        let edge = ask(|world| world.kernel.epolls[epoll].pending.pop_front());
        if let Some((_, data)) = edge {
            return Some(data);
        }
        if nanos == Some(0) || engine::sleep(EPOLL + epoll, deadline) {
            return None;
        }
    }
}

// The keys of threads end below those of epolls.
const _: () = assert!(EPOLL > 512);

/// Whether the thread with that key has ended; for [`crate::thread::JoinHandle`].
pub(crate) fn wait_ended(id: usize) {
    while !engine::with(|world| matches!(world.threads[id].state, State::Ended)).unwrap_or(true) {
        engine::sleep(ended_key(id), None);
    }
}
