//! Whether a thread sleeps: from its ring if that is armed, else from `/proc`, else from its clock.
//!
//! A ring that says for a millisecond that its thread runs may have lost a record: then `/proc` is
//! asked as well.
//!
//! `/proc` may be out of reach: no descriptor is left, it is not mounted, or it is another
//! namespace's. Then a thread whose CPU clock stands still is taken to sleep. It may only be
//! waiting for a CPU, so it has to stand still for long, and a hand-off may be wasted; but nobody
//! waits for ever.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::detect::ring::Look;
use crate::protocol::core::SlotId;
use crate::shared::Shared;
use crate::shared::slot::Slot;
use crate::sys::stat::ThreadStat;
use crate::sys::thread::cpu_time_of;

/// How many states are kept open for the next look.
const STATS_KEPT: usize = 64;

/// For how long a thread's CPU clock stands still before the thread is taken to sleep.
const STILL: Duration = Duration::from_millis(2);

/// For how long a ring is believed that its thread runs. A record that the kernel has not written
/// would otherwise hide a block for good, if only a task of the same core can end it.
const BELIEVED: Duration = Duration::from_millis(1);

/// The same where nothing but the thread's clock could say otherwise: that stands still while the
/// thread waits for the CPU, too.
const BELIEVED_ALONE: Duration = Duration::from_millis(50);

/// The states of the threads that were looked at, each by the slot and the number of its thread.
#[derive(Default)]
pub(super) struct States {
    stats: HashMap<SlotId, (i32, ThreadStat)>,
    clocks: HashMap<SlotId, Clock>,
}

/// What the clock of a thread said.
struct Clock {
    tid: i32,
    used: Duration,
    /// Since when it says so.
    since: Instant,
}

impl States {
    /// Whether the thread sleeps, which has done the same for `since`.
    pub(super) fn is_asleep(
        &mut self,
        shared: &Shared,
        id: SlotId,
        slot: &Slot,
        since: Duration,
    ) -> bool {
        let mut runs = false;
        if slot.armed.load(Ordering::Relaxed) {
            let ring = slot.ring.lock().clone();
            match ring.map(|ring| ring.look()) {
                Some(Look::Blocked) => return true,
                Some(Look::Running | Look::Preempted) if since < BELIEVED => return false,
                Some(Look::Running | Look::Preempted) => runs = true,
                Some(_) | None => {}
            }
        }
        let tid = slot.tid.load(Ordering::Relaxed);
        match self.state(shared, id, tid) {
            Ok(letter) => letter != b'R',
            Err(error) => {
                shared.note_unreadable(&error);
                self.stands_still(id, tid) && !(runs && since < BELIEVED_ALONE)
            }
        }
    }

    /// Nobody will be looked at for a while.
    pub(super) fn forget(&mut self) {
        self.stats.clear();
        self.clocks.clear();
    }

    /// The letter of the thread's state.
    fn state(&mut self, shared: &Shared, id: SlotId, tid: i32) -> io::Result<u8> {
        let known = self.stats.get(&id).is_some_and(|(of, _)| *of == tid);
        if !known {
            // Each is an open file. Those of threads that have ended are of no use, and those that
            // are needed again are opened again.
            self.stats
                .retain(|id, (of, _)| shared.slots.get(*id).tid.load(Ordering::Relaxed) == *of);
            if self.stats.len() >= STATS_KEPT {
                self.stats.clear();
            }
            self.stats.insert(id, (tid, ThreadStat::open(tid)?));
        }
        let state = self.stats[&id].1.state();
        if state.is_err() {
            self.stats.remove(&id);
        }
        state
    }

    fn stands_still(&mut self, id: SlotId, tid: i32) -> bool {
        let now = Instant::now();
        let Some(used) = cpu_time_of(tid) else { return false };
        let fresh = Clock { tid, used, since: now };
        let clock = self.clocks.entry(id).or_insert(fresh);
        if clock.tid != tid || clock.used != used {
            *clock = Clock { tid, used, since: now };
        }
        now.saturating_duration_since(clock.since) >= STILL
    }
}
