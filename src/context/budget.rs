//! How long a task may go on without a core before others have their turn, and what a worker asks
//! about the last poll. The units themselves are counted in `coop`.

use std::cell::Cell;

use crate::coop;
use crate::sys::thread::sleeps;

/// What a task has that has lost its core: twice as much as a poll with a core, for which others
/// wait. The thread is the task's own, but its CPU is not.
const CORELESS: u32 = 2 * coop::UNITS;

/// A coreless task that does not yield gets a new budget as long as it has blocked in one of its
/// last so many. (At 1 % of calls that block, one budget in four has none of them.)
const LULLS: u32 = 4;

/// What a thread knows of its task's turns. It changes this at each poll, and when its core is lost.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Whether the last poll has spent half of what it had.
    busy: Cell<bool>,
    /// How often the thread had slept when the budget was last renewed.
    sleeps: Cell<u64>,
    /// How many budgets ago it last did.
    lull: Cell<u32>,
    /// How many budgets there were since it lost its core.
    renewals: Cell<u32>,
}

impl Budget {
    /// A poll begins, with a core.
    #[inline]
    pub(crate) fn begin(&self) {
        coop::begin();
    }

    /// It has ended.
    #[inline]
    pub(crate) fn end(&self) {
        self.busy.set(coop::end());
    }

    /// Whether the last poll has made many calls, or found much ready.
    pub(crate) fn was_busy(&self) -> bool {
        self.busy.get()
    }

    /// The core is gone.
    pub(super) fn on_loss(&self) {
        coop::grant(CORELESS);
        self.lull.set(0);
        self.renewals.set(0);
    }

    /// A new budget for a task without a core, if its calls still block. Returns how many there
    /// were since the core was lost.
    pub(super) fn renew(&self) -> Option<u32> {
        let now = sleeps();
        let slept = now.wrapping_sub(self.sleeps.replace(now));
        let lull = if slept > 0 { 0 } else { self.lull.get() + 1 };
        self.lull.set(lull);
        if lull >= LULLS {
            return None;
        }
        coop::grant(CORELESS);
        self.renewals.set(self.renewals.get() + 1);
        Some(self.renewals.get())
    }
}
