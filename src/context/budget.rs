//! How long a task may go on before others have their turn, counted in calls.

use std::cell::Cell;

use crate::sys::thread::sleeps;

/// In-place calls in one poll before the task goes back through the queue, with its core in hand:
/// others wait for the core.
const WITH_CORE: u32 = 64;

/// The same without a core: the thread is the task's own, but its CPU is not.
const CORELESS: u32 = 128;

/// A coreless task that does not yield gets a new budget as long as it has blocked in one of its
/// last so many. (At 1 % of calls that block, one budget in four has none of them.)
const LULLS: u32 = 4;

/// What is left of a task's turn. The thread changes it at each call, each poll, and when it loses
/// its core.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Calls left.
    left: Cell<u32>,
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
    pub(crate) fn refill(&self) {
        self.left.set(WITH_CORE);
    }

    /// One call, or one poll that goes on without the queue.
    #[inline]
    pub(crate) fn spend(&self) {
        self.left.set(self.left.get().saturating_sub(1));
    }

    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// Whether the poll has made many calls.
    pub(crate) fn is_half_spent(&self) -> bool {
        self.left.get() <= WITH_CORE / 2
    }

    /// The core is gone.
    pub(super) fn on_loss(&self) {
        self.left.set(CORELESS);
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
        self.left.set(CORELESS);
        self.renewals.set(self.renewals.get() + 1);
        Some(self.renewals.get())
    }
}
