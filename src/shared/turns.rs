//! Whose turn it is, in a runtime that a test replays. (`turns_off` stands here without the feature
//! `test-util`.)
//!
//! Of its threads one at a time has the *turn*; the others sleep until it is given to them, with what
//! they are to do ([`Step`]). Who waits for the turn is on one of three lists, from which the seed
//! chooses: tasks that are ready, the root future if it was woken, and *calls*: threads that sleep in
//! the middle of a poll, because the seed has a call block there, or because they wait for a future.
//! `scheduler::replayed` tells how one gives it to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::primitive::Mutex;
use crate::protocol::core::SlotId;
use crate::protocol::queue::{Left, Line, Ticket};
use crate::replay::{Decisions, Place, Plan, What};
use crate::spawned::Runnable;

/// What a runtime that replays has more than others have.
#[derive(Debug)]
pub(crate) struct MaybeTurns(Option<Turns>);

impl MaybeTurns {
    /// `now`: what its clock shows.
    pub(super) fn new(plan: &Plan, cap: usize, now: Instant) -> Self {
        MaybeTurns(plan.seed.map(|seed| Turns::new(Decisions::new(seed, plan.longest), cap, now)))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&Turns> {
        self.0.as_ref()
    }

    /// Whether the runtime is one that replays.
    #[inline]
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

#[derive(Debug)]
pub(crate) struct Turns {
    pub(crate) decisions: Arc<Decisions>,
    /// When the runtime was built, by its clock.
    born: Instant,
    /// The root future was woken.
    root_woken: AtomicBool,
    state: Mutex<State>,
    /// The permits that blocked calls have in this run. (The pool's are those of real blocks.)
    permits: Mutex<Permits>,
}

/// What a thread is to do with its turn.
#[derive(Debug)]
pub(crate) enum Step {
    /// To poll this task.
    Poll(Runnable),
    /// To poll the root future.
    Root,
    /// To go on with its call.
    Back,
    /// To say that everybody waits for ever.
    Stuck,
    /// To end.
    Over,
}

/// A thread that sleeps in a call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) slot: SlotId,
    pub(crate) until: Option<Instant>,
    /// It goes on when this is set.
    pub(crate) woken: Option<Arc<AtomicBool>>,
    pub(crate) place: Place,
}

impl Call {
    fn is_ready(&self, now: Instant) -> bool {
        // Ordering: Acquire. Partner: the store of the waker that has it, in `runtime::replayed`.
        self.until.is_some_and(|until| until <= now)
            || self.woken.as_ref().is_some_and(|woken| woken.load(Ordering::Acquire))
    }
}

#[derive(Debug, Default)]
struct State {
    /// Whom the turn was given to, who has not come to it yet.
    given: Option<(SlotId, Step)>,
    /// Who has it, and since when; no time while that thread chooses.
    holder: Option<(SlotId, Option<Instant>)>,
    /// Threads that really waited in their turn, and lost it; and whether each waits for another by now.
    astray: Vec<(SlotId, bool)>,
    ready: Vec<Runnable>,
    calls: Vec<Call>,
    /// Threads that could poll a task.
    idle: Vec<SlotId>,
    /// The thread in `block_on`, and whether it waits for its turn there, and not in a call.
    root: Option<(SlotId, bool)>,
    /// The thread that ends the runtime.
    ends: Option<SlotId>,
    /// Nobody has turns any more.
    over: bool,
}

#[derive(Debug)]
struct Permits {
    cap: usize,
    holders: Vec<SlotId>,
    /// Given to somebody in the line, who has not taken it yet.
    granted: usize,
    line: Line,
}

impl Turns {
    fn new(decisions: Decisions, cap: usize, born: Instant) -> Self {
        let permits = Permits { cap, holders: Vec::new(), granted: 0, line: Line::new() };
        Turns {
            decisions: Arc::new(decisions),
            born,
            root_woken: AtomicBool::new(false),
            state: Mutex::default(),
            permits: Mutex::new(permits),
        }
    }

    /// How old the runtime is at `now`, by its clock.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    // The turn.

    /// Those that were woken, in that order.
    pub(crate) fn add_ready(&self, tasks: impl Iterator<Item = Runnable>) {
        self.state.lock().ready.extend(tasks);
    }

    pub(crate) fn wake_root(&self) {
        // Ordering: Release. Partner: the load where the next turn is drawn: what the waker has done is
        // seen by the root's poll.
        self.root_woken.store(true, Ordering::Release);
    }

    /// A thread comes into `block_on`. `false`: another is there.
    pub(crate) fn begin_root(&self, slot: SlotId) -> bool {
        let mut state = self.state.lock();
        if state.root.is_some() || state.over {
            return false;
        }
        state.root = Some((slot, false));
        self.wake_root();
        true
    }

    pub(crate) fn end_root(&self) {
        let mut state = self.state.lock();
        (state.root, state.holder) = (None, None);
    }

    /// The thread in `block_on` waits for its turn.
    pub(crate) fn root_waits(&self) {
        if let Some((_, waits)) = &mut self.state.lock().root {
            *waits = true;
        }
    }

    /// A thread that ends the runtime waits until nothing is left.
    pub(crate) fn end_waits(&self, slot: SlotId) {
        self.state.lock().ends = Some(slot);
    }

    /// A thread could poll a task.
    pub(crate) fn is_idle(&self, slot: SlotId) {
        self.state.lock().idle.push(slot);
    }

    /// The thread is there no more.
    pub(crate) fn is_gone(&self, slot: SlotId) {
        self.state.lock().idle.retain(|idle| *idle != slot);
    }

    pub(crate) fn anyone_idle(&self) -> bool {
        !self.state.lock().idle.is_empty()
    }

    /// A thread sleeps in a call.
    pub(crate) fn add_call(&self, call: Call) {
        self.state.lock().calls.push(call);
    }

    // Those that really wait.

    /// The thread `me`, which has the turn, chooses who is next: whatever it waits for is no call.
    pub(crate) fn is_choosing(&self, me: SlotId) {
        self.state.lock().holder = Some((me, None));
    }

    /// Who has had its turn for so long, but not `me`.
    pub(crate) fn lingers(&self, me: SlotId, patience: Duration) -> Option<(SlotId, Instant)> {
        let state = self.state.lock();
        let (holder, since) = state.holder.filter(|_| state.given.is_none())?;
        let since = since.filter(|since| holder != me && since.elapsed() >= patience)?;
        Some((holder, since))
    }

    /// The thread `me` takes the turn of one that really waits. `false`: that one has gone on since.
    pub(crate) fn take_from(&self, (holder, since): (SlotId, Instant), me: SlotId) -> bool {
        let mut state = self.state.lock();
        let is_same = state.holder == Some((holder, Some(since))) && state.given.is_none();
        if is_same {
            state.holder = Some((me, None));
            state.astray.push((holder, false));
        }
        is_same
    }

    /// Those that have not come back since.
    pub(crate) fn astray(&self) -> Vec<SlotId> {
        let state = self.state.lock();
        state.astray.iter().filter(|(_, is_back)| !is_back).map(|(slot, _)| *slot).collect()
    }

    /// By a thread that goes on with its poll: whether it has lost its turn. It waits for another then.
    pub(crate) fn comes_back(&self, slot: SlotId) -> bool {
        let mut state = self.state.lock();
        let entry = state.astray.iter_mut().find(|(astray, _)| *astray == slot);
        entry.map(|(_, is_back)| *is_back = true).is_some()
    }

    /// When the first of the calls is to go on.
    pub(crate) fn first_back(&self) -> Option<Instant> {
        self.state.lock().calls.iter().filter_map(|call| call.until).min()
    }

    /// The places of the calls that sleep.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.state.lock().calls.iter().map(|call| call.place).collect()
    }

    /// By the thread `me` with the turn: who is next, and for what, if anybody is ready.
    pub(crate) fn choose(&self, me: SlotId, now: Instant) -> Option<(SlotId, Step)> {
        let mut state = self.state.lock();
        // In the order in which they went astray: when each came back, beside others, is nobody's choice.
        let back: Vec<_> = state.astray.extract_if(.., |(_, is_back)| *is_back).collect();
        for (slot, _) in back {
            let woken = Some(Arc::new(AtomicBool::new(true)));
            state.calls.push(Call { slot, until: None, woken, place: None });
        }
        let tasks = state.ready.len();
        let root_waits = state.root.is_some_and(|(_, waits)| waits);
        // Ordering: Acquire. Partner: `wake_root`.
        let root = usize::from(root_waits && self.root_woken.load(Ordering::Acquire));
        let ready = |call: &(usize, &Call)| call.1.is_ready(now);
        let calls: Vec<usize> =
            state.calls.iter().enumerate().filter(ready).map(|(nth, _)| nth).collect();
        let among = tasks + root + calls.len();
        if among == 0 {
            return None;
        }
        let nth = self.decisions.pick(among);
        state.holder = Some((me, Some(Instant::now())));
        let note = |what, place| self.decisions.note(what, nth as u64, among as u64, place);
        if nth < tasks {
            let task = state.ready.remove(nth);
            let place = task.header().spawned_at;
            note(What::Task, Some((place.file(), place.line())));
            // This thread, if it can.
            let at = state.idle.iter().position(|idle| *idle == me);
            let at = at.or_else(|| state.idle.len().checked_sub(1));
            let at = at.expect("who sleeps in a call leaves another to poll tasks");
            return Some((state.idle.remove(at), Step::Poll(task)));
        }
        if nth < tasks + root {
            note(What::Root, None);
            self.root_woken.store(false, Ordering::Relaxed);
            let (slot, waits) = state.root.as_mut().expect("it was there above");
            *waits = false;
            return Some((*slot, Step::Root));
        }
        let call = state.calls.remove(calls[nth - tasks - root]);
        note(What::Back, call.place);
        Some((call.slot, Step::Back))
    }

    /// Nobody is ready, and nobody will be. Who is to know: the thread that ends the runtime, or the
    /// one in `block_on`, wherever in that it is.
    pub(crate) fn nobody(&self) -> Option<(SlotId, Step)> {
        let mut state = self.state.lock();
        if let Some(slot) = state.ends.take() {
            return Some((slot, Step::Over));
        }
        let (slot, waits) = state.root.as_mut()?;
        let slot = *slot;
        *waits = false;
        state.calls.retain(|call| call.slot != slot);
        Some((slot, Step::Stuck))
    }

    /// Gives the turn away. The caller unparks the thread.
    pub(crate) fn give(&self, slot: SlotId, step: Step) {
        let mut state = self.state.lock();
        debug_assert!(state.given.is_none(), "there is one turn");
        state.holder = Some((slot, Some(Instant::now())));
        state.given = Some((slot, step));
    }

    /// The turn, if it was given to `slot`.
    pub(crate) fn take(&self, slot: SlotId) -> Option<Step> {
        let mut state = self.state.lock();
        match state.given.take() {
            Some((to, step)) if to == slot => Some(step),
            given => {
                state.given = given;
                state.over.then_some(Step::Over)
            }
        }
    }

    /// Nobody has turns from here on: who sleeps goes on as soon as it is unparked.
    pub(crate) fn end(&self) {
        let left = {
            let mut state = self.state.lock();
            state.over = true;
            std::mem::take(&mut state.ready)
        };
        // Foreign code, not under the lock.
        drop(left);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().over
    }

    // The permits.

    /// How many calls may block at once, from here on.
    pub(crate) fn set_cap(&self, cap: usize) -> Vec<Waker> {
        self.change(|permits| permits.cap = cap).1
    }

    /// Changes the permits. Returns who has one by that, to be woken.
    fn change<R>(&self, f: impl FnOnce(&mut Permits) -> R) -> (R, Vec<Waker>) {
        let mut permits = self.permits.lock();
        let result = f(&mut permits);
        let mut wakers = Vec::new();
        while permits.holders.len() + permits.granted < permits.cap {
            let Some(waker) = permits.line.grant() else { break };
            permits.granted += 1;
            wakers.push(waker);
        }
        (result, wakers)
    }

    /// Whether a call could block now.
    pub(crate) fn any_permit(&self) -> bool {
        let permits = self.permits.lock();
        permits.holders.len() + permits.granted < permits.cap
    }

    /// A permit for the call in which that thread is, unless it has one. `false`: there is none.
    pub(crate) fn take_permit(&self, slot: SlotId) -> bool {
        let mut permits = self.permits.lock();
        if permits.holders.contains(&slot) {
            return true;
        }
        let is_free = permits.holders.len() + permits.granted < permits.cap;
        if is_free {
            permits.holders.push(slot);
        }
        is_free
    }

    /// The call is over.
    #[must_use = "they are to be woken"]
    pub(crate) fn drop_permit(&self, slot: SlotId) -> Vec<Waker> {
        self.change(|permits| permits.holders.retain(|holder| *holder != slot)).1
    }

    /// A place in the line for a permit.
    pub(crate) fn join(&self, waker: Waker) -> (Ticket, Vec<Waker>) {
        self.change(|permits| permits.line.join(waker))
    }

    /// Whether the permit is there. The waker that is not needed any more comes back.
    pub(crate) fn poll(&self, ticket: &Ticket, waker: Waker) -> (Poll<()>, Waker) {
        self.permits.lock().line.poll(ticket, waker)
    }

    /// The call begins: the permit is that of the thread.
    pub(crate) fn redeem(&self, ticket: Ticket, slot: SlotId) {
        let mut permits = self.permits.lock();
        if let Left::Granted = permits.line.leave(ticket) {
            permits.granted -= 1;
            permits.holders.push(slot);
        }
    }

    /// The call is not made.
    #[must_use = "they are to be woken"]
    pub(crate) fn leave(&self, ticket: Ticket) -> Vec<Waker> {
        let (left, wakers) = self.change(|permits| {
            let left = permits.line.leave(ticket);
            permits.granted -= usize::from(matches!(left, Left::Granted));
            left
        });
        // Its waker is foreign code: not under the lock.
        drop(left);
        wakers
    }
}
