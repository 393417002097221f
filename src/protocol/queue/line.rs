//! Tasks in line for a unit of something scarce, first in, first out.
//!
//! A line has no lock of its own: whoever counts the units keeps it beside them, under theirs. No
//! waker is cloned, woken or dropped in here, because that is foreign code: they come and go by
//! value, for the caller to deal with after it has left its lock.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use slab::Slab;

/// Those who wait, in order, and those who have been granted a unit and have not taken it yet.
#[derive(Debug)]
pub(crate) struct Line {
    waiters: Slab<Waiter>,
    /// Those who wait, with the number of each; the numbers only grow.
    queue: VecDeque<(u64, usize)>,
    next: u64,
}

/// One who has a ticket.
#[derive(Debug)]
enum Waiter {
    Waiting { number: u64, waker: Waker },
    Granted,
}

/// A place in the line. Whoever has it leaves the line with it, by [`Line::leave`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket(usize);

/// How a place was left.
#[derive(Debug)]
#[must_use]
pub(crate) enum Left {
    /// Before its turn. The waker is the caller's to drop.
    Waiting(#[allow(dead_code, reason = "nobody needs it but to drop it elsewhere")] Waker),
    /// With a unit, which the caller now has.
    Granted,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Line { waiters: Slab::new(), queue: VecDeque::new(), next: 0 }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A place at the end.
    pub(crate) fn join(&mut self, waker: Waker) -> Ticket {
        let number = self.next;
        self.next += 1;
        let key = self.waiters.insert(Waiter::Waiting { number, waker });
        self.queue.push_back((number, key));
        Ticket(key)
    }

    /// A place that has its unit already.
    pub(crate) fn join_granted(&mut self) -> Ticket {
        Ticket(self.waiters.insert(Waiter::Granted))
    }

    /// Grants a unit to the first in line, if there is one; its waker is to be woken.
    pub(crate) fn grant(&mut self) -> Option<Waker> {
        let (_, key) = self.queue.pop_front()?;
        match std::mem::replace(&mut self.waiters[key], Waiter::Granted) {
            Waiter::Waiting { waker, .. } => Some(waker),
            Waiter::Granted => unreachable!("who has a unit is not in the queue"),
        }
    }

    /// Whether the unit is there. `waker` replaces the one that waits; the answer holds whichever
    /// of the two is not needed any more.
    pub(crate) fn poll(&mut self, ticket: &Ticket, waker: Waker) -> (Poll<()>, Waker) {
        match &mut self.waiters[ticket.0] {
            Waiter::Granted => (Poll::Ready(()), waker),
            Waiter::Waiting { waker: old, .. } => (Poll::Pending, std::mem::replace(old, waker)),
        }
    }

    /// Gives the place up.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Left {
        match self.waiters.remove(ticket.0) {
            Waiter::Granted => Left::Granted,
            Waiter::Waiting { number, waker } => {
                let at = self.queue.binary_search_by_key(&number, |(number, _)| *number);
                self.queue.remove(at.expect("who waits is in the queue"));
                Left::Waiting(waker)
            }
        }
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    fn is_granted(line: &mut Line, ticket: &Ticket) -> bool {
        line.poll(ticket, Waker::noop().clone()).0.is_ready()
    }

    #[test]
    fn the_first_in_line_is_the_first_served() {
        let mut line = Line::new();
        let [first, second] = [(); 2].map(|()| line.join(Waker::noop().clone()));
        assert!(line.grant().is_some());
        assert!(is_granted(&mut line, &first) && !is_granted(&mut line, &second));
        assert!(matches!(line.leave(first), Left::Granted));
        assert!(matches!(line.leave(second), Left::Waiting(_)));
        assert!(line.is_empty() && line.grant().is_none());
    }

    #[test]
    fn who_leaves_early_is_not_served() {
        let mut line = Line::new();
        let [first, second, third] = [(); 3].map(|()| line.join(Waker::noop().clone()));
        assert!(matches!(line.leave(first), Left::Waiting(_)));
        // With the key of the first, and behind all others.
        let fourth = line.join(Waker::noop().clone());
        assert!(matches!(line.leave(third), Left::Waiting(_)));
        assert_eq!(line.len(), 2);
        assert!(line.grant().is_some() && is_granted(&mut line, &second));
        assert!(matches!(line.leave(second), Left::Granted));
        assert!(line.grant().is_some() && is_granted(&mut line, &fourth));
        assert!(matches!(line.leave(fourth), Left::Granted));
    }
}
