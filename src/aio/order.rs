//! When an operation may start: barriers and fences.
//!
//! Operations are started in the order in which they were submitted, and end in any. So two numbers
//! say all there is to know of those that were started, and a line holds the others, from the first
//! marker that is not met:
//!
//! ```text
//!   started:  `running`, of which `writes`  │  held:  | op op || op op ...
//! ```
//!
//! All that stands before the marker at the head of the line has been started. So a *barrier* there
//! is met when nothing runs, and a *fence* when no write does. A met marker is taken away, and what
//! follows it is started, up to the next marker.

use std::collections::VecDeque;
use std::sync::Arc;

/// What keeps those behind it from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// Until all before it have ended.
    Barrier,
    /// Until all before it have ended that are not reads.
    Fence,
}

/// An operation in the line.
pub(super) trait Admit {
    /// Its turn has come. `false`: it was cancelled meanwhile.
    fn admit(&self) -> bool;

    /// It was cancelled.
    fn is_dead(&self) -> bool;
}

impl<T: Admit + ?Sized> Admit for Arc<T> {
    fn admit(&self) -> bool {
        (**self).admit()
    }

    fn is_dead(&self) -> bool {
        (**self).is_dead()
    }
}

/// The order of one queue.
#[derive(Debug)]
pub(super) struct Order<T> {
    running: usize,
    writes: usize,
    held: VecDeque<HeldBack<T>>,
    /// How many of those in the line were cancelled.
    dead: usize,
}

#[derive(Debug)]
enum HeldBack<T> {
    Op { op: T, write: bool },
    Marker(Marker),
}

impl<T: Admit> Order<T> {
    pub(super) fn new() -> Self {
        Order { running: 0, writes: 0, held: VecDeque::new(), dead: 0 }
    }

    /// Whether an operation that comes now is started now: then it counts as running.
    #[must_use = "it counts as running, or is to be held"]
    pub(super) fn try_start(&mut self, write: bool) -> bool {
        let free = self.held.is_empty();
        if free {
            self.count(write);
        }
        free
    }

    /// Puts an operation into the line.
    pub(super) fn hold(&mut self, op: T, write: bool) {
        debug_assert!(!self.held.is_empty(), "nothing is held but behind a marker");
        self.held.push_back(HeldBack::Op { op, write });
    }

    /// Puts a marker behind all that was submitted.
    pub(super) fn mark(&mut self, marker: Marker) {
        let is_met = self.is_met(marker);
        match self.held.back_mut() {
            None if is_met => {}
            // Two in a row are the stronger of them.
            Some(HeldBack::Marker(last)) => {
                if marker == Marker::Barrier {
                    *last = marker;
                }
            }
            None | Some(HeldBack::Op { .. }) => self.held.push_back(HeldBack::Marker(marker)),
        }
    }

    /// An operation that was started has ended, or was cancelled before it ran.
    pub(super) fn ended(&mut self, write: bool) {
        debug_assert!(self.running > 0 && (self.writes > 0 || !write), "what ends was started");
        self.running -= 1;
        self.writes -= usize::from(write);
    }

    /// One in the line was cancelled. It stays there until its turn comes, or until there are many
    /// of such.
    pub(super) fn died(&mut self) {
        self.dead += 1;
        if self.dead > 32 && self.dead > self.held.len() / 4 {
            self.bury();
        }
    }

    fn bury(&mut self) {
        let old = std::mem::take(&mut self.held);
        self.dead = 0;
        for held in old {
            match held {
                HeldBack::Op { op, .. } if op.is_dead() => {}
                HeldBack::Op { op, write } => self.held.push_back(HeldBack::Op { op, write }),
                HeldBack::Marker(marker) => self.mark(marker),
            }
        }
    }

    /// Takes those whose turn has come out of the line. They count as running.
    #[must_use = "they are to be started"]
    pub(super) fn release(&mut self) -> Vec<T> {
        let mut ready = Vec::new();
        loop {
            match self.held.front() {
                None => return ready,
                Some(HeldBack::Marker(marker)) if !self.is_met(*marker) => return ready,
                Some(_) => {}
            }
            if let Some(HeldBack::Op { op, write }) = self.held.pop_front() {
                if op.admit() {
                    self.count(write);
                    ready.push(op);
                } else {
                    self.dead -= 1;
                }
            }
        }
    }

    fn is_met(&self, marker: Marker) -> bool {
        match marker {
            Marker::Barrier => self.running == 0,
            Marker::Fence => self.writes == 0,
        }
    }

    fn count(&mut self, write: bool) {
        self.running += 1;
        self.writes += usize::from(write);
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Debug)]
    struct Fake(u32, Rc<Cell<bool>>);

    impl Fake {
        fn new(number: u32) -> Fake {
            Fake(number, Rc::default())
        }
    }

    impl Admit for Fake {
        fn admit(&self) -> bool {
            !self.is_dead()
        }

        fn is_dead(&self) -> bool {
            self.1.get()
        }
    }

    fn released(order: &mut Order<Fake>) -> Vec<u32> {
        order.release().into_iter().map(|fake| fake.0).collect()
    }

    #[test]
    fn a_barrier_waits_for_all_and_a_fence_for_writes() {
        let mut order = Order::new();
        order.mark(Marker::Barrier);
        assert!(order.try_start(false) && order.try_start(true), "nothing was before it");
        order.mark(Marker::Fence);
        order.mark(Marker::Fence);
        assert!(!order.try_start(false));
        order.hold(Fake::new(1), true);
        order.mark(Marker::Fence);
        order.mark(Marker::Barrier);
        order.hold(Fake::new(2), false);
        assert_eq!(released(&mut order), []);
        order.ended(true);
        assert_eq!(released(&mut order), [1], "the read may still run");
        order.ended(true);
        assert_eq!(released(&mut order), []);
        order.ended(false);
        assert_eq!(released(&mut order), [2]);
        assert!(order.try_start(true), "the line is empty");
    }

    #[test]
    fn the_dead_are_passed_over_and_buried() {
        let mut order = Order::new();
        assert!(order.try_start(true));
        for number in 0..100 {
            order.mark(Marker::Barrier);
            let fake = Fake::new(number);
            order.hold(fake.clone(), false);
            if number != 50 {
                fake.1.set(true);
                order.died();
            }
        }
        assert!(order.held.len() < 70, "{}", order.held.len());
        order.ended(true);
        assert_eq!(released(&mut order), [50]);
        order.ended(false);
        assert_eq!(released(&mut order), []);
        assert!(order.dead == 0 && order.try_start(false));
    }
}
