//! Groups: a bound on the calls that use one resource at the same time.
//!
//! An ordinary first-in first-out semaphore in front of the gate. A task waits here without a
//! permit, so the calls of a slow resource hold up each other and nobody else.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::call::gate::{AtCap, Options, Saturated, note_wait};
use crate::context;
use crate::observe::site::Site;
use crate::primitive::Mutex;
use crate::primitive::quietly;
use crate::protocol::queue::{Left, Line, Ticket};

/// A bound on the calls that use one resource at once: a database, a device, a server.
///
/// `threadlet!(in &DB; expr)` waits for a place in the group, first in first out, makes the call
/// and gives the place back. It waits as a task does, without a thread. Calls of a slow resource
/// that are bound so cannot take every permit of the runtime
/// ([`max_async_threads`](crate::runtime::Builder::max_async_threads)), which still bounds them all
/// together: a group larger than that cap is bound by the cap.
///
/// A group belongs to no runtime; calls outside any count as well.
///
/// # Examples
///
/// ```
/// use threadlet::{Group, threadlet};
///
/// static DISK: Group = Group::new("disk", 4);
///
/// threadlet::block_on(async {
///     let hosts = threadlet!(in &DISK; std::fs::read("/etc/hosts"));
///     assert!(hosts.is_ok());
///     // Not in the mood to wait: for a place, or for a permit.
///     match threadlet!(in &DISK, or_fail; std::fs::read("/etc/hosts")) {
///         Ok(hosts) => assert!(hosts.is_ok()),
///         Err(saturated) => println!("{saturated}"),
///     }
/// });
/// ```
pub struct Group {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    running: usize,
    line: Line,
}

impl Group {
    /// A group of at most `limit` calls at once. The name is for reports and errors.
    ///
    /// # Panics
    ///
    /// If `limit` is 0: no call could ever be made. In a `static` that is a compile error.
    #[must_use]
    pub const fn new(name: &'static str, limit: usize) -> Self {
        assert!(limit > 0, "the limit of a group is 0: it must be at least 1");
        Group { name, state: Mutex::new(State { limit, running: 0, line: Line::new() }) }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many calls may run at once.
    pub fn limit(&self) -> usize {
        self.state.lock().limit
    }

    /// Changes how many calls may run at once. A lower limit interrupts nothing: it takes effect as
    /// calls return.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// static DISK: threadlet::Group = threadlet::Group::new("disk", 4);
    ///
    /// DISK.set_limit(16);
    /// assert_eq!(DISK.limit(), 16);
    /// ```
    pub fn set_limit(&self, limit: usize) {
        assert!(limit > 0, "the limit of a group is 0: it must be at least 1");
        self.change(|state| state.limit = limit);
    }

    /// How many calls have a place now. More than the limit only if that was lowered meanwhile.
    pub fn running(&self) -> usize {
        self.state.lock().running
    }

    /// How many calls wait for a place.
    pub fn waiting(&self) -> usize {
        self.state.lock().line.len()
    }

    /// Changes the state, and gives the places that come free by it to those that wait.
    fn change<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut wakers = Vec::new();
        let result = {
            let mut state = self.state.lock();
            let result = f(&mut state);
            while state.running < state.limit {
                let Some(waker) = state.line.grant() else { break };
                // The place is the waiter's from here on, though it has not run yet.
                state.running += 1;
                wakers.push(waker);
            }
            result
        };
        // Foreign code, not under the lock.
        wakers.into_iter().for_each(|waker| quietly(|| waker.wake()));
        result
    }

    /// A place, if there is one.
    fn try_enter(&self) -> Option<Place<'_>> {
        let mut state = self.state.lock();
        // Where somebody waits there is no room either: `change` sees to that.
        if state.running >= state.limit {
            return None;
        }
        state.running += 1;
        Some(Place(Some(self)))
    }

    /// A place in the line, or in the group if one has come free.
    fn wait(&self, waker: Waker) -> Ticket {
        self.change(|state| state.line.join(waker))
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Group")
            .field("name", &self.name)
            .field("limit", &state.limit)
            .field("running", &state.running)
            .field("waiting", &state.line.len())
            .finish()
    }
}

/// A place in a group, given back when it goes out of use; or none, for a call that would not wait.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Place<'g>(Option<&'g Group>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.change(|state| state.running -= 1);
        }
    }
}

/// The wait for a place; see [`enter`].
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Enter<'g> {
    site: &'static Site,
    group: &'g Group,
    options: Options,
    /// Its place in the line, and since when.
    waiting: Option<(Ticket, Instant)>,
}

/// Enters a group: waits for a place, or does as the options say where there is none.
///
/// Dropping it leaves the line: the call has not been made.
#[doc(hidden)]
pub fn enter<'g>(site: &'static Site, group: &'g Group, options: Options) -> Enter<'g> {
    Enter { site, group, options, waiting: None }
}

impl<'g> Future for Enter<'g> {
    type Output = Result<Place<'g>, Saturated>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let group = self.group;
        if self.waiting.is_none() {
            if let Some(place) = group.try_enter() {
                return Poll::Ready(Ok(place));
            }
            match self.options.at_cap {
                AtCap::Inline => return Poll::Ready(Ok(Place(None))),
                AtCap::Fail => return Poll::Ready(Err(Saturated::of(group.name))),
                AtCap::Wait => {
                    self.waiting = Some((group.wait(cx.waker().clone()), Instant::now()));
                }
            }
        }
        // A clone is foreign code: the place is not in hand meanwhile.
        let fresh = cx.waker().clone();
        let Some((ticket, since)) = self.waiting.take() else { unreachable!("set a line above") };
        let (answer, stale) = group.state.lock().line.poll(&ticket, fresh);
        drop(stale);
        if answer.is_pending() {
            self.waiting = Some((ticket, since));
            return Poll::Pending;
        }
        // With a place granted, leaving the line wakes nobody and drops no waker.
        let _ = group.state.lock().line.leave(ticket);
        context::with_shared(|shared| {
            if let Some(shared) = shared {
                let waited = since.elapsed();
                shared.with_events(self.site.id(), |events| events.waits.note(waited));
                note_wait(self.site, since);
            }
        });
        Poll::Ready(Ok(Place(Some(group))))
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        let Some((ticket, _)) = self.waiting.take() else { return };
        let left = self.group.change(|state| {
            let left = state.line.leave(ticket);
            state.running -= usize::from(matches!(left, Left::Granted));
            left
        });
        // Its waker is foreign code: not under the lock.
        drop(left);
    }
}
