//! How many operations a queue has room for, and who waits for that.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use futures::channel::oneshot;

use crate::protocol::queue::{Left, Line, Ticket};

/// Places, given out first come first served.
#[derive(Debug)]
pub(super) struct Places {
    free: usize,
    /// Nobody waits while a place is free.
    line: Line,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Places { free: count, line: Line::new() }
    }

    pub(super) fn free(&self) -> usize {
        self.free
    }

    #[must_use = "a place that was taken is to be given back"]
    pub(super) fn try_take(&mut self) -> bool {
        let free = self.free > 0;
        self.free -= usize::from(free);
        free
    }

    /// Takes a place, or waits for one with a ticket, which is there as long as that lasts. Returns
    /// the waker that is not needed any more, too: dropping it is foreign code, not to be run under
    /// a lock.
    pub(super) fn poll(
        &mut self,
        ticket: &mut Option<Ticket>,
        waker: Waker,
    ) -> (Poll<()>, Option<Waker>) {
        let Some(mine) = ticket.take() else {
            if self.try_take() {
                return (Poll::Ready(()), Some(waker));
            }
            *ticket = Some(self.line.join(waker));
            return (Poll::Pending, None);
        };
        let (poll, unneeded) = self.line.poll(&mine, waker);
        match poll {
            // With a place granted, there is no waker to be dropped by leaving.
            Poll::Ready(()) => drop(self.line.leave(mine)),
            Poll::Pending => *ticket = Some(mine),
        }
        (poll, Some(unneeded))
    }

    /// Whoever had the ticket does not wait any more.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Leaves {
        match self.line.leave(ticket) {
            Left::Granted => Leaves::Next(self.give_back()),
            left => Leaves::Own(left),
        }
    }

    /// A place is free. Returns who gets it.
    #[must_use = "it has a place"]
    pub(super) fn give_back(&mut self) -> Option<Waker> {
        let next = self.line.grant();
        self.free += usize::from(next.is_none());
        next
    }
}

/// What one who waits no more leaves to be done.
#[derive(Debug)]
#[must_use = "somebody may have a place by it"]
pub(super) enum Leaves {
    /// Its own waker, if it had no place, is to be dropped.
    Own(Left),
    /// Its place is another's, who is to be woken.
    Next(Option<Waker>),
}

impl Leaves {
    /// Runs foreign code: not under a lock.
    pub(super) fn settle(self) {
        match self {
            Leaves::Own(left) => drop(left),
            Leaves::Next(waker) => waker.into_iter().for_each(Waker::wake),
        }
    }
}

/// Operations by age, for those who wait until all before a moment have ended. An age ends with
/// such a moment.
#[derive(Debug)]
pub(super) struct Ages {
    /// The number of the first.
    first: u64,
    /// Never empty; the last is the one that goes on.
    ages: VecDeque<Age>,
}

#[derive(Debug, Default)]
struct Age {
    open: usize,
    /// To be told when this age and all before it are over.
    drains: Vec<oneshot::Sender<()>>,
}

impl Ages {
    pub(super) fn new() -> Self {
        Ages { first: 0, ages: VecDeque::from([Age::default()]) }
    }

    /// An operation begins. Returns its age.
    pub(super) fn begin(&mut self) -> u64 {
        let last = self.ages.len() - 1;
        self.ages[last].open += 1;
        self.first + last as u64
    }

    /// An operation of that age has ended. Returns those to be told.
    #[must_use = "they wait"]
    pub(super) fn ended(&mut self, age: u64) -> Vec<oneshot::Sender<()>> {
        self.ages[(age - self.first) as usize].open -= 1;
        let mut drains = Vec::new();
        while self.ages.len() > 1 && self.is_over() {
            drains.extend(self.ages.pop_front().into_iter().flat_map(|age| age.drains));
            self.first += 1;
        }
        drains
    }

    /// Whether all of the first age have ended.
    fn is_over(&self) -> bool {
        self.ages[0].open == 0
    }

    /// Waits for all that has begun. `None`: all of it has ended.
    pub(super) fn drain(&mut self) -> Option<oneshot::Receiver<()>> {
        let last = self.ages.len() - 1;
        let age = match self.ages[last].open {
            0 if last == 0 => return None,
            0 => last - 1,
            _ => {
                self.ages.push_back(Age::default());
                last
            }
        };
        let (sender, receiver) = oneshot::channel();
        self.ages[age].drains.retain(|drain| !drain.is_canceled());
        self.ages[age].drains.push(sender);
        Some(receiver)
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn places_go_round_in_order() {
        let waker = || Waker::noop().clone();
        let mut places = Places::new(1);
        assert!(places.try_take() && !places.try_take());
        let mut tickets = [None, None, None];
        for ticket in &mut tickets {
            assert!(places.poll(ticket, waker()).0.is_pending());
        }
        assert!(places.give_back().is_some() && !places.try_take());
        assert!(places.poll(&mut tickets[1], waker()).0.is_pending(), "not its turn");
        // The first had a place, and goes without having taken it.
        assert!(matches!(places.leave(tickets[0].take().unwrap()), Leaves::Next(Some(_))));
        assert!(places.poll(&mut tickets[1], waker()).0.is_ready());
        assert!(matches!(places.leave(tickets[2].take().unwrap()), Leaves::Own(Left::Waiting(_))));
        assert!(places.give_back().is_none() && places.free() == 1);
    }

    #[test]
    fn a_drain_waits_for_what_was_before_it() {
        let mut ages = Ages::new();
        assert!(ages.drain().is_none());
        let a = ages.begin();
        let mut first = ages.drain().unwrap();
        let b = ages.begin();
        let mut second = ages.drain().unwrap();
        let mut third = ages.drain().unwrap();
        let c = ages.begin();
        let told = |drains: Vec<oneshot::Sender<()>>| {
            let count = drains.len();
            drains.into_iter().for_each(|drain| drain.send(()).unwrap());
            count
        };
        assert_eq!(told(ages.ended(b)), 0, "an older one is still open");
        assert_eq!(told(ages.ended(a)), 3);
        for drain in [&mut first, &mut second, &mut third] {
            assert_eq!(drain.try_recv(), Ok(Some(())));
        }
        assert_eq!(told(ages.ended(c)), 0);
        assert!(ages.drain().is_none());
    }
}
