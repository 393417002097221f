//! Tasks that wait at the gate for a permit, first in, first out, and those that run without one.

use std::task::{Poll, Waker};

use super::super::queue::{Left, Ticket};
use super::{Pool, State, Todo};
use crate::primitive::Ordering;

impl Pool {
    /// Permits beyond `reserved` for those at the gate, first in, first out.
    pub(super) fn grant(&self, state: &mut State, reserved: usize, todo: &mut Todo) {
        while state.free() > reserved {
            let Some(waker) = state.gate.grant() else { break };
            state.in_use += 1;
            state.taken += 1;
            todo.granted.push(waker);
        }
    }

    /// At the gate, at the cap: a place in the queue, or a permit if one has come free.
    pub(crate) fn wait(&self, waker: &Waker) -> Ticket {
        // A clone is foreign code: not under the lock.
        let waker = waker.clone();
        let mut state = self.state.lock();
        let (ticket, unused) = if state.free() > 0 && state.gate.is_empty() {
            state.in_use += 1;
            state.taken += 1;
            (state.gate.join_granted(), Some(waker))
        } else {
            (state.gate.join(waker), None)
        };
        self.publish(&state);
        drop(state);
        drop(unused);
        ticket
    }

    /// Whether the wait is over. `Ready`: a permit is held until `hand_over_first` or `give_back`.
    pub(crate) fn poll_wait(&self, ticket: &Ticket, waker: &Waker) -> Poll<()> {
        // Wakers are foreign code, and so is their clone and drop: not under the lock.
        let fresh = waker.clone();
        let (answer, stale) = self.state.lock().gate.poll(ticket, fresh);
        drop(stale);
        answer
    }

    /// Leaves the queue, or gives the permit back unused.
    pub(crate) fn give_back(&self, ticket: Ticket, todo: &mut Todo) {
        let mut state = self.state.lock();
        let left = state.gate.leave(ticket);
        if matches!(left, Left::Granted) {
            state.in_use -= 1;
            state.returned += 1;
        }
        self.serve(&mut state, todo);
        drop(state);
        // Its waker is foreign code: not under the lock.
        drop(left);
    }

    /// At the cap, a call that seldom blocks: it may run without a permit in sight, on at most all
    /// cores but one at once (or on the only one while the emergency permit is free).
    pub(crate) fn admit_unprotected(&self) -> bool {
        let state = self.state.lock();
        let limit = match self.words.len() {
            1 => usize::from(!state.emergency()),
            cores => cores - 1,
        };
        if self.hints.unprotected.load(Ordering::Relaxed) >= limit {
            return false;
        }
        self.hints.unprotected.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// The unprotected call has returned.
    pub(crate) fn end_unprotected(&self) {
        let before = self.hints.unprotected.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0);
    }
}
