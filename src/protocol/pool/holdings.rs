//! Who holds a permit. Each question is answered in a few steps, however many threads are blocked: the
//! pool's lock is held meanwhile, and all that hand over want it.

use super::Holding;
use crate::protocol::Cause;
use crate::protocol::core::SlotId;

/// Coreless threads, each with what it holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// In no order.
    list: Vec<(SlotId, Holding)>,
    /// Of each slot, where it stands in the list.
    places: Vec<Option<u32>>,
    /// How many of them hold theirs for a rescue.
    rescued: usize,
    emergency: bool,
}

impl Holdings {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn list(&self) -> &[(SlotId, Holding)] {
        &self.list
    }

    /// How many threads hold a permit for a rescue.
    pub(super) fn rescued(&self) -> usize {
        self.rescued
    }

    /// Whether the emergency permit is taken.
    pub(super) fn emergency(&self) -> bool {
        self.emergency
    }

    fn place(&self, slot: SlotId) -> Option<usize> {
        self.places.get(slot as usize).copied().flatten().map(|nth| nth as usize)
    }

    pub(super) fn get(&self, slot: SlotId) -> Option<Holding> {
        self.place(slot).map(|nth| self.list[nth].1)
    }

    pub(super) fn insert(&mut self, slot: SlotId, holding: Holding) {
        debug_assert!(self.place(slot).is_none(), "a thread holds one permit at most");
        let room = self.places.len().max(slot as usize + 1);
        self.places.resize(room, None);
        self.places[slot as usize] = Some(self.list.len() as u32);
        self.list.push((slot, holding));
        self.rescued += usize::from(holding.cause == Cause::Rescued);
        self.emergency |= holding.emergency;
    }

    pub(super) fn remove(&mut self, slot: SlotId) -> Option<Holding> {
        let nth = self.place(slot)?;
        self.places[slot as usize] = None;
        let (_, holding) = self.list.swap_remove(nth);
        if let Some((moved, _)) = self.list.get(nth) {
            self.places[*moved as usize] = Some(nth as u32);
        }
        self.rescued -= usize::from(holding.cause == Cause::Rescued);
        // There is one.
        self.emergency &= !holding.emergency;
        Some(holding)
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn each_is_found_whoever_goes_first() {
        let mut holdings = Holdings::default();
        let holding = |cause, emergency| Holding { cause, since: Instant::now(), emergency };
        for slot in [7, 0, 3] {
            holdings.insert(slot, holding(Cause::Blocked, false));
        }
        holdings.insert(5, holding(Cause::Rescued, true));
        assert_eq!((holdings.len(), holdings.rescued(), holdings.emergency()), (4, 1, true));
        assert!(holdings.remove(7).is_some() && holdings.remove(7).is_none());
        assert!(holdings.get(5).is_some_and(|five| five.emergency) && holdings.get(3).is_some());
        assert!(holdings.remove(5).is_some() && holdings.get(1).is_none());
        assert_eq!((holdings.len(), holdings.rescued(), holdings.emergency()), (2, 0, false));
        holdings.insert(7, holding(Cause::Blocked, false));
        let mut left: Vec<_> = holdings.list().iter().map(|(slot, _)| *slot).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 3, 7]);
    }
}
