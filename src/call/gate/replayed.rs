//! The gate in a runtime that a test replays. (`replayed_off` stands here without the feature
//! `test-util`.)
//!
//! The seed may have a call wait here though it need not, for a time. And there is a cap, of permits that
//! the calls hold which the seed has block. At the cap a call passes without a permit, and does not block
//! then; or it waits in line, as the seed decides for each that does not say `will_block`. (Which of the
//! two it is depends on what is known of its site, in an ordinary runtime.)

use std::task::{Context, Poll};
use std::time::Instant;

use super::{AtCap, Gate, Pass, Refused, Waiting};
use crate::context::Thread;
use crate::coop;
use crate::driver::{TimerKey, TimersOf};
use crate::protocol::queue::Ticket;
use crate::replay::{Place, What};
use crate::scheduler::replayed::{come_back, wake};
use crate::shared::Shared;
use crate::shared::turns::Turns;

/// A wait that nobody needs but the test.
#[derive(Debug)]
pub(super) struct Nap {
    timers: TimersOf,
    until: Instant,
    key: Option<TimerKey>,
}

impl Nap {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.timers.is_due(self.until) {
            return Poll::Ready(());
        }
        if self.key.as_ref().is_some_and(|key| self.timers.update(key, cx.waker())) {
            return Poll::Pending;
        }
        // At the end there are no timers: nobody waits for one.
        match self.timers.insert(self.until, cx.waker()) {
            Ok(key) => {
                self.key = Some(key);
                Poll::Pending
            }
            Err(_gone) => Poll::Ready(()),
        }
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.timers.remove(key);
        }
    }
}

/// The place is given up, or the permit given back. The ticket comes back if it is none of a run's.
pub(super) fn give_back(shared: &Shared, ticket: Ticket) -> Option<Ticket> {
    match shared.turns.get() {
        Some(turns) => {
            wake(turns.leave(ticket));
            None
        }
        None => Some(ticket),
    }
}

pub(super) fn poll(
    gate: &mut Gate,
    thread: &Thread<'_>,
    cx: &mut Context<'_>,
) -> Poll<Result<Pass, Refused>> {
    come_back(thread);
    let turns = thread.shared.turns.get().expect("asked of a runtime that replays");
    let place = Some((gate.site.file(), gate.site.line()));
    if !std::mem::replace(&mut gate.yielded, true) {
        if coop::is_spent() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(pause) = turns.decisions.pause(What::Gate, false, place) {
            let timers = thread.shared.timers[0].clone();
            let until = timers.now() + pause;
            if pause.is_zero() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            gate.waiting = Some(waiting(thread, None, Some(Nap { timers, until, key: None })));
        }
    }
    if let Some(nap) = gate.waiting.as_mut().and_then(|waiting| waiting.nap.as_mut()) {
        if nap.poll(cx).is_pending() {
            return Poll::Pending;
        }
        gate.waiting = None;
    }
    if gate.waiting.is_none() {
        if thread.poll.in_region.get() || turns.any_permit() {
            coop::spend(coop::CALL);
            let will_block = gate.options.will_block;
            return Poll::Ready(Ok(if will_block { Pass::WillBlock } else { Pass::Free }));
        }
        if let Some(pass) = at_cap(gate, turns, place) {
            coop::spend(coop::CALL);
            return Poll::Ready(pass);
        }
        let (ticket, wakers) = turns.join(cx.waker().clone());
        wake(wakers);
        gate.waiting = Some(waiting(thread, Some(ticket), None));
    }
    let waiting = gate.waiting.take().expect("it was put there above");
    let ticket = waiting.ticket.as_ref().expect("not used yet");
    let (answer, stale) = turns.poll(ticket, cx.waker().clone());
    drop(stale);
    if answer.is_ready() {
        coop::spend(coop::CALL);
        return Poll::Ready(Ok(Pass::Granted(waiting)));
    }
    gate.waiting = Some(waiting);
    Poll::Pending
}

/// What becomes of a call at the cap; `None`: it waits in line.
fn at_cap(gate: &Gate, turns: &Turns, place: Place) -> Option<Result<Pass, Refused>> {
    if !gate.options.will_block && turns.decisions.below(What::Cap, 2, place) == 0 {
        return Some(Ok(Pass::Inline));
    }
    match gate.options.at_cap {
        AtCap::Inline => Some(Ok(Pass::Inline)),
        AtCap::Fail => Some(Err(Refused)),
        AtCap::Wait => None,
    }
}

fn waiting(thread: &Thread<'_>, ticket: Option<Ticket>, nap: Option<Nap>) -> Box<Waiting> {
    Box::new(Waiting { shared: thread.shared.clone(), since: Instant::now(), ticket, nap })
}
