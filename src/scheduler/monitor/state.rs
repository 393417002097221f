//! Whether a thread sleeps: from its ring if that is armed, else from `/proc`.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use crate::detect::ring::Look;
use crate::protocol::core::SlotId;
use crate::shared::slot::Slot;
use crate::sys::stat::ThreadStat;

/// How many states are kept open for the next look.
const STATS_KEPT: usize = 64;

/// The states of the threads that were looked at, each by the slot and the number of its thread.
#[derive(Default)]
pub(super) struct States {
    stats: HashMap<SlotId, (i32, ThreadStat)>,
}

impl States {
    pub(super) fn is_asleep(&mut self, id: SlotId, slot: &Slot) -> bool {
        if slot.armed.load(Ordering::Relaxed) {
            let ring = slot.ring.lock().clone();
            match ring.map(|ring| ring.look()) {
                Some(Look::Blocked) => return true,
                Some(Look::Running | Look::Preempted) => return false,
                Some(Look::Silent) | None => {}
            }
        }
        let tid = slot.tid.load(Ordering::Relaxed);
        let known = self.stats.get(&id).is_some_and(|(of, _)| *of == tid);
        if !known {
            if self.stats.len() >= STATS_KEPT {
                // Each is an open file. Those that are needed again are opened again.
                self.stats.clear();
            }
            match ThreadStat::open(tid) {
                Ok(stat) => drop(self.stats.insert(id, (tid, stat))),
                // Without `/proc` a block looks like a computation: it is a hog a little later.
                Err(_) => return false,
            }
        }
        let state = self.stats[&id].1.state();
        if state.is_err() {
            self.stats.remove(&id);
        }
        state.is_ok_and(|letter| letter != b'R')
    }
}
