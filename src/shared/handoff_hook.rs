//! Who calls the hook that wants to know of each hand-off.
//!
//! It is foreign code, and hand-offs are decided on threads that others count on. So what it is to be
//! told waits here, and one *teller* calls it, which waits where wakers do: a thread that runs tasks
//! takes it, and can lose its core in it. That hand-off is not told, or each call of a hook that
//! blocks would be followed by another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use super::Shared;
use crate::primitive::{Mutex, quietly};
use crate::protocol::Cause;
use crate::protocol::core::SlotId;
use crate::sys::thread::tid;

/// So many hand-offs may wait for a hook that is stuck. Further ones are not told.
const LIMIT: usize = 1 << 16;

/// What the hook is still to be told.
#[derive(Debug, Default)]
pub(super) struct Untold {
    state: Mutex<State>,
    /// The thread that is in the hook; 0, which no thread with a slot has: none.
    teller: AtomicI32,
}

#[derive(Debug, Default)]
struct State {
    causes: VecDeque<Cause>,
    /// There is a teller.
    has_teller: bool,
}

impl Shared {
    /// Cores were taken from the threads in these slots.
    pub(super) fn tell_hook(&self, handed: impl Iterator<Item = (SlotId, Cause)>) {
        if self.config.on_handoff.is_none() {
            return;
        }
        // Ordering: a hint. It was stored long before its thread can be seen to block in the hook.
        let teller = self.untold.teller.load(Ordering::Relaxed);
        let by_hook = |slot| self.slots.get(slot).tid.load(Ordering::Relaxed) == teller;
        let mut state = self.untold.state.lock();
        for (_, cause) in handed.filter(|(slot, _)| !by_hook(*slot)) {
            if state.causes.len() < LIMIT {
                state.causes.push_back(cause);
            }
        }
        if state.causes.is_empty() || state.has_teller {
            return;
        }
        state.has_teller = true;
        drop(state);
        let teller = Waker::from(Arc::new(Teller(self.me.clone())));
        self.wake_soon([teller].into_iter());
    }
}

/// As a waker, because it waits where they do.
struct Teller(Weak<Shared>);

impl Wake for Teller {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.0.upgrade() else { return };
        let Some(hook) = &shared.config.on_handoff else { return };
        shared.untold.teller.store(tid(), Ordering::Relaxed);
        while let Some(cause) = shared.untold.next() {
            quietly(|| hook(cause));
        }
    }
}

impl Untold {
    /// What is next. `None`: the teller's work is done.
    fn next(&self) -> Option<Cause> {
        let mut state = self.state.lock();
        let next = state.causes.pop_front();
        if next.is_none() {
            self.teller.store(0, Ordering::Relaxed);
            state.has_teller = false;
        }
        next
    }
}
