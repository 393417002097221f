//! The gate in front of a call in async code: open while there are permits; at the cap, a line.
//!
//! A *permit* is what a thread holds while it is blocked without a core, and the cap is how many
//! there are. A call that does not block needs none, so the gate takes none for it, and asks only
//! whether there are any: a thief takes one in the name of a thread that it has found blocked. At
//! the cap the core of a call that blocks could not be handed over, and would stand still. There,
//! in this order:
//!
//! | the call | what becomes of it |
//! |---|---|
//! | its thread has no core | it passes, for the thread has a permit. But if somebody waits for one, the task goes through the queue first, once: the thread gives its permit back then |
//! | its site has not blocked within its last 64 calls (those at the cap, behind the block) | it passes *unprotected*: probably it does not block. At most all cores but one at once (of one core: if the emergency thread is to be had), so that not all stand still |
//! | it says `or_inline` | it passes, and stands still with its core if it blocks |
//! | it says `or_fail` | it is refused: [`Saturated`] |
//! | any other | it waits in the line, first in, first out. With its permit in hand it hands its core over *before* it begins |
//!
//! (A call that says `will_block` never passes unprotected; while there are permits it hands over
//! before it begins.) The gate also counts the calls of a poll: a task that has spent its budget
//! goes through the queue once, so that others have their turn.

#[cfg_attr(not(feature = "test-util"), path = "gate/replayed_off.rs")]
mod replayed;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::context::{self, Thread};
use crate::coop;
use crate::observe::site::{Habit, Site};
use crate::protocol::queue::Ticket;
use crate::shared::Shared;

/// A site that blocked this many calls ago, or fewer, is taken to block again.
const RECENT: u64 = 64;

/// What the gate lets a region do.
#[doc(hidden)]
#[derive(Debug)]
pub enum Pass {
    /// An ordinary region.
    Free,
    /// The caller says that the call will block: hand over first, if that is possible.
    WillBlock,
    /// The wait is over: hand over first, with the permit that was waited for. (In a box, as is what
    /// the gate keeps: so what passes from hand to hand in the common case are two words.)
    Granted(Box<Waiting>),
    /// At the cap, and admitted without a permit in sight.
    Unprotected(Admission),
    /// At the cap, and the caller would rather stall its core than wait.
    Inline,
}

/// How a call wants to be treated at the gate.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Hand over before the call.
    pub will_block: bool,
    /// At the cap: `Wait`, `Inline` or `Fail`.
    pub at_cap: AtCap,
}

/// What a call does at the cap instead of waiting.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtCap {
    Wait,
    Inline,
    Fail,
}

impl Options {
    /// An ordinary call.
    pub const DEFAULT: Options = Options { will_block: false, at_cap: AtCap::Wait };
}

/// No permit was free, or no place in the group, and the call was not to wait for one.
///
/// Returned by `threadlet!(or_fail; ...)`. The call has not been made: make it later, or raise the
/// cap (`max_async_threads`) or the group's limit.
///
/// # Examples
///
/// ```
/// use threadlet::{Group, Saturated, threadlet};
///
/// static DATABASE: Group = Group::new("database", 4);
///
/// async fn look_up() -> Result<u32, Saturated> {
///     threadlet!(in &DATABASE, or_fail; 7)
/// }
///
/// threadlet::block_on(async {
///     match look_up().await {
///         Ok(value) => assert_eq!(value, 7),
///         Err(saturated) => println!("come back later: {saturated}"),
///     }
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saturated {
    group: Option<&'static str>,
}

impl Saturated {
    /// The group of that name is full.
    pub(crate) fn of(group: &'static str) -> Self {
        Saturated { group: Some(group) }
    }

    /// The name of the [`Group`](crate::Group) that is full; `None` if it is the runtime's cap that
    /// is reached.
    pub fn group(&self) -> Option<&'static str> {
        self.group
    }
}

impl fmt::Display for Saturated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            Some(name) => {
                write!(f, "all places in the group {name:?} are taken (see `Group::set_limit`)")
            }
            None => {
                f.write_str("all permits for blocked threads are taken (see `max_async_threads`)")
            }
        }
    }
}

impl std::error::Error for Saturated {}

/// The runtime's cap is reached, and the call was not to wait.
#[doc(hidden)]
#[derive(Debug)]
pub struct Refused;

impl From<Refused> for Saturated {
    fn from(_: Refused) -> Self {
        Saturated { group: None }
    }
}

impl From<Saturated> for std::io::Error {
    fn from(saturated: Saturated) -> Self {
        std::io::Error::new(std::io::ErrorKind::WouldBlock, saturated)
    }
}

/// The right to run unprotected; given back when it goes out of use.
#[doc(hidden)]
#[derive(Debug)]
pub struct Admission(Arc<Shared>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.pool.end_unprotected();
    }
}

/// A place in the queue, or the permit it has become.
#[doc(hidden)]
#[derive(Debug)]
pub struct Waiting {
    shared: Arc<Shared>,
    since: Instant,
    // `None` once it has been used.
    ticket: Option<Ticket>,
    /// Where a test replays: it waits for no permit, but for a time.
    #[cfg_attr(not(feature = "test-util"), allow(dead_code, reason = "there is none"))]
    nap: Option<replayed::Nap>,
}

impl Waiting {
    /// The ticket, if it is one of `shared`; if not, it is given back.
    pub(crate) fn into_ticket_of(mut self, shared: &Arc<Shared>) -> Option<Ticket> {
        if Arc::ptr_eq(&self.shared, shared) { self.ticket.take() } else { None }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let ticket = self.ticket.take();
        if let Some(ticket) = ticket.and_then(|ticket| replayed::give_back(&self.shared, ticket)) {
            self.shared.ask_pool(|pool, todo| pool.give_back(ticket, todo));
        }
    }
}

/// The wait in front of a region; [`Pass`] when it is over.
///
/// Dropping it leaves the queue, or gives the permit back: the call has not been made.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Gate {
    site: &'static Site,
    options: Options,
    waiting: Option<Box<Waiting>>,
    yielded: bool,
}

/// The gate of `site`.
#[doc(hidden)]
#[inline]
pub fn gate(site: &'static Site, options: Options) -> Gate {
    Gate { site, options, waiting: None, yielded: false }
}

/// Whether there is nothing for an ordinary call to wait for but its task's budget.
#[inline]
fn is_open(thread: &Thread<'_>) -> bool {
    thread.shared.pool.any_free() && !thread.is_coreless() && !thread.is_task_at_home()
}

/// Whether an ordinary call in a poll of this thread may be made without a [`Gate`]: one would be
/// ready at once. If so the call is counted.
#[inline]
pub(crate) fn passes_at_once(thread: &Thread<'_>) -> bool {
    let passes = thread.poll.active.get() && !coop::is_spent() && is_open(thread);
    if passes {
        coop::spend(coop::CALL);
    }
    passes
}

impl Future for Gate {
    type Output = Result<Pass, Refused>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        context::with(|thread| {
            let Some(thread) = thread.filter(|thread| thread.poll.active.get()) else {
                return self.elsewhere(cx);
            };
            let spent = coop::is_spent() && !self.yielded;
            if self.waiting.is_none() && !self.options.will_block && !spent && is_open(thread) {
                coop::spend(coop::CALL);
                return Poll::Ready(Ok(Pass::Free));
            }
            self.decide(thread, spent, cx)
        })
    }
}

impl Gate {
    /// A poll outside a worker's: the root future, or a foreign executor. The region will be a
    /// plain call; a place in a queue is still waited for. (A root future has a budget, too.)
    fn elsewhere(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pass, Refused>> {
        match self.waiting.take() {
            None if coop::is_spent() && !self.yielded => {
                self.yielded = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                coop::spend(coop::CALL);
                Poll::Ready(Ok(Pass::Free))
            }
            // Nobody needs a permit at the end.
            Some(waiting) if waiting.shared.is_shutdown() => Poll::Ready(Ok(Pass::Free)),
            Some(waiting) => self.poll_waiting(waiting, cx),
        }
    }

    #[cold]
    fn decide(
        &mut self,
        thread: &Thread<'_>,
        spent: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Pass, Refused>> {
        if thread.shared.turns.is_some() {
            return replayed::poll(self, thread, cx);
        }
        if must_leave_home(thread) {
            thread.ask_to_leave_home();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(waiting) = self.waiting.take() {
            return self.poll_waiting(waiting, cx);
        }
        let pool = &thread.shared.pool;
        let spent = spent && !thread.renew_budget();
        if spent || (thread.is_coreless() && !self.yielded && pool.anyone_behind()) {
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        coop::spend(coop::CALL);
        if thread.is_coreless() || thread.poll.in_region.get() {
            return Poll::Ready(Ok(Pass::Free));
        }
        if pool.any_free() {
            let will_block = self.options.will_block;
            return Poll::Ready(Ok(if will_block { Pass::WillBlock } else { Pass::Free }));
        }
        self.at_cap(thread, cx)
    }

    fn at_cap(&mut self, thread: &Thread<'_>, cx: &mut Context<'_>) -> Poll<Result<Pass, Refused>> {
        let shared = thread.shared;
        if !self.options.will_block
            && !blocked_recently(shared, self.site)
            && shared.pool.admit_unprotected()
        {
            return Poll::Ready(Ok(Pass::Unprotected(Admission(shared.clone()))));
        }
        match self.options.at_cap {
            AtCap::Inline => Poll::Ready(Ok(Pass::Inline)),
            AtCap::Fail => Poll::Ready(Err(Refused)),
            AtCap::Wait => {
                let ticket = Some(shared.pool.wait(cx.waker()));
                let (shared, since) = (shared.clone(), Instant::now());
                self.poll_waiting(Box::new(Waiting { shared, since, ticket, nap: None }), cx)
            }
        }
    }

    fn poll_waiting(
        &mut self,
        waiting: Box<Waiting>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Pass, Refused>> {
        let ticket = waiting.ticket.as_ref().expect("not used yet");
        match waiting.shared.pool.poll_wait(ticket, cx.waker()) {
            Poll::Ready(()) => {
                let waited = waiting.since.elapsed();
                if let Some(trace) = &waiting.shared.trace {
                    trace.wait(self.site, waiting.since);
                }
                note_wait(self.site, waiting.since);
                waiting.shared.with_events(self.site.id(), |events| events.waits.note(waited));
                Poll::Ready(Ok(Pass::Granted(waiting)))
            }
            Poll::Pending => {
                self.waiting = Some(waiting);
                Poll::Pending
            }
        }
    }
}

/// For the flight recorder, of whichever runtime the call comes to.
pub(super) fn note_wait(site: &'static Site, since: Instant) {
    context::with(|thread| {
        if let Some(thread) = thread {
            thread.log.waited(site, since);
        }
    });
}

/// Whether the call may not be made on this thread, because a root future waits for it. Where no
/// thread can be had, and none is spare, it is made here all the same.
fn must_leave_home(thread: &Thread<'_>) -> bool {
    thread.is_task_at_home()
        && !thread.shared.is_shutdown()
        // Ordering: a hint; it is asked again with the next call.
        && (thread.shared.counters.spawn_failures.load(Ordering::Relaxed) == 0
            || thread.shared.pool.counts().spares > 0)
}

fn blocked_recently(shared: &Shared, site: &'static Site) -> bool {
    if site.habit() >= Habit::Suspect {
        // What blocks on threads without a core is not in the count below.
        return true;
    }
    let id = site.id();
    shared.with_events(id, |events| events.blocked_within(RECENT, || shared.calls(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes from hand to hand with each call that does not wait.
    #[test]
    fn a_pass_is_two_words() {
        assert_eq!(size_of::<Poll<Result<Pass, Refused>>>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<Gate>(), 3 * size_of::<usize>());
    }
}
