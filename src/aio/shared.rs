//! One queue: its state under one lock, and what happens to that when an operation is submitted,
//! cancelled, or has ended.
//!
//! Whatever is foreign is done when the lock has been released: wakers, buffers, and the pump,
//! which may run a request on this very thread. So each step returns its [`Effects`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::channel::oneshot;

use super::op::Op;
use super::order::{Marker, Order};
use super::places::{Ages, Places};
use super::pump::Pump;
use super::request::{Completion, Request, Work};
use crate::primitive::quietly;
use crate::primitive::{Mutex, MutexGuard};
use crate::protocol::queue::Ticket;

/// What the handles of a queue and its requests share.
pub(super) struct Shared {
    state: Mutex<State>,
    pump: Pump,
    depth: usize,
}

/// No foreign code runs while it is locked.
pub(super) struct State {
    order: Order<Arc<dyn Work>>,
    places: Places,
    ages: Ages,
}

/// What is to be done when the lock has been released.
#[must_use = "somebody waits for it"]
pub(super) struct Effects {
    /// Requests whose turn has come.
    start: Vec<Arc<dyn Work>>,
    /// Of the one who gets the place that came free.
    place: Option<Waker>,
    /// Of those who wait until all before them have ended, and need not any more.
    drained: Vec<oneshot::Sender<()>>,
}

impl Shared {
    pub(super) fn new(depth: usize, pump: Pump) -> Arc<Shared> {
        let state = State { order: Order::new(), places: Places::new(depth), ages: Ages::new() };
        Arc::new(Shared { state: Mutex::new(state), pump, depth })
    }

    pub(super) fn pump(&self) -> &Pump {
        &self.pump
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// How many places are not free.
    pub(super) fn in_flight(&self) -> usize {
        self.depth - self.state().places.free()
    }

    /// Waits for a place.
    pub(super) fn room(&self) -> Room<'_> {
        Room { shared: self, ticket: None }
    }

    #[must_use = "a place that was taken is to be given back"]
    pub(super) fn try_take(&self) -> bool {
        self.state().places.try_take()
    }

    /// Puts a marker behind all that was submitted.
    pub(super) fn mark(&self, marker: Marker) {
        self.state().order.mark(marker);
    }

    /// Waits until all that was submitted has ended. `None`: it has.
    pub(super) fn drain(&self) -> Option<oneshot::Receiver<()>> {
        self.state().ages.drain()
    }

    /// With a place in hand.
    pub(super) fn begin<B: Send + 'static>(self: &Arc<Self>, mut op: Op<B>) -> Completion<B> {
        let write = op.is_write();
        let mut state = self.state();
        let age = state.ages.begin();
        if !state.order.try_start(write) {
            let request = Arc::new(Request::new(self.clone(), op, age, false));
            state.order.hold(request.clone(), write);
            return Completion::of(request);
        }
        drop(state);
        if let Some(result) = op.ask() {
            let buf = op.into_buffer();
            let effects = self.state().ended(write, age);
            self.carry_out(effects);
            return Completion::ready(result, buf);
        }
        let request = Arc::new(Request::new(self.clone(), op, age, true));
        self.start(request.clone());
        Completion::of(request)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn start(&self, request: Arc<dyn Work>) {
        self.pump.submit(move || request.run());
    }

    /// Not under the lock: wakers are foreign code, and the pump may run a request here.
    pub(super) fn carry_out(&self, effects: Effects) {
        // First what cannot fail.
        effects.start.into_iter().for_each(|request| self.start(request));
        quietly(|| {
            if let Some(waker) = effects.place {
                waker.wake();
            }
        });
        for drained in effects.drained {
            quietly(|| {
                let _ = drained.send(());
            });
        }
    }
}

impl State {
    /// An operation that was started has ended.
    pub(super) fn ended(&mut self, write: bool, age: u64) -> Effects {
        self.order.ended(write);
        self.left(age)
    }

    /// An operation was cancelled; `admitted`: after it had counted as running.
    pub(super) fn cancelled(&mut self, write: bool, age: u64, admitted: bool) -> Effects {
        if admitted {
            self.order.ended(write);
        } else {
            self.order.died();
        }
        self.left(age)
    }

    fn left(&mut self, age: u64) -> Effects {
        let place = self.places.give_back();
        let drained = self.ages.ended(age);
        Effects { start: self.order.release(), place, drained }
    }
}

/// Waits for a place in the queue.
pub(super) struct Room<'a> {
    shared: &'a Shared,
    ticket: Option<Ticket>,
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let shared = self.shared;
        let (poll, unneeded) = shared.state().places.poll(&mut self.ticket, waker);
        drop(unneeded);
        poll
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let leaves = self.shared.state().places.leave(ticket);
        leaves.settle();
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;
    use crate::aio::File;

    /// File systems that can be asked to write are rare; this needs none.
    #[test]
    fn a_write_that_was_done_in_part_is_not_cancelled() {
        let path = std::env::temp_dir().join(format!("threadlet-part-{}", std::process::id()));
        std::fs::write(&path, b"wr").unwrap();
        let file = File::from(std::fs::File::options().write(true).open(&path).unwrap());
        let queue = Shared::new(1, Pump::new(1));
        for (done, cancelled) in [(0, true), (2, false)] {
            let op = Op::write_at(&file, *b"written", 0).after(done);
            let age = {
                let mut state = queue.state();
                assert!(state.places.try_take() && state.order.try_start(true));
                state.ages.begin()
            };
            let request = Arc::new(Request::new(queue.clone(), op, age, true));
            let mut completion = Completion::of(request.clone());
            assert_eq!(completion.cancel(), cancelled);
            queue.start(request);
            let (result, _) = futures::executor::block_on(completion);
            assert_eq!(result.ok(), (!cancelled).then_some(7));
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"written");
        std::fs::remove_file(&path).unwrap();
    }
}
