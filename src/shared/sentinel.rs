//! Whether somebody waits for the kernel's edges, and who is to do so next.

use super::Shared;

impl Shared {
    /// Whether there are rings to be watched and nobody does. A hint: who then keeps the watch, the
    /// swap decides.
    pub(crate) fn wants_sentinel(&self) -> bool {
        self.watch.is_vacant()
            && self.edges.get().is_some()
            && self.sentinel_failure.get().is_none()
    }

    /// Has a spare keep the watch that nobody keeps. `false`: there is no spare.
    pub(crate) fn call_sentinel(&self) -> bool {
        let spare = self.pool.any_spare();
        spare.inspect(|spare| self.unpark(self.slots.get(*spare))).is_some()
    }
}
