//! Without the feature `test-util` no runtime replays.

use std::time::Instant;

use crate::replay::Plan;

#[derive(Debug)]
pub(crate) struct MaybeTurns;

impl MaybeTurns {
    pub(super) fn new(_plan: &Plan, _cap: usize, _now: Instant) -> Self {
        MaybeTurns
    }

    #[inline(always)]
    pub(crate) fn is_some(&self) -> bool {
        false
    }
}
