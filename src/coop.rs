//! The budget: how long a poll may go on before others have their turn, in units.
//!
//! What is always ready would never let its poll end: the timers, the tasks in line, an `abort` and
//! a shutdown would wait for it. So each poll begins with a number of units, whoever finds
//! something ready spends one, and when there are none left it wakes its task and says `Pending`.
//!
//! | who | what it does |
//! |---|---|
//! | a worker, `block_on` | a poll begins with a [`turn`] of [`UNITS`], or [`begin`] and [`end`] |
//! | what may be ready at once: a socket, a timer, the handle of a task, what is read ahead | [`counted`]: refused with no unit left, otherwise one is spent if it is ready |
//! | a call | the gate: [`is_spent`], and [`CALL`] units |
//! | anybody else: another executor, a plain thread | nothing. Outside a poll of ours nothing is counted and nothing refused |
//!
//! *Nobody waits for ever.* What polls again and again within one poll of ours (another executor
//! that somebody runs in it) would never get past a spent budget. So a poll that was refused as
//! often as it has units has them anew. It does at least half as well as without a budget; and a
//! poll that ends when it is refused, be it a join of very many, is not much longer for it, as each
//! of its parts is polled once.
//!
//! The number is the thread's: it goes with the poll, which does not change its thread.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

/// What a poll begins with.
pub(crate) const UNITS: u32 = 128;

/// What a call costs: it takes longer than a look at a socket, and a poll makes 64 of them.
pub(crate) const CALL: u32 = 2;

/// Nothing is counted.
const UNLIMITED: u32 = u32::MAX;

struct Turn {
    left: Cell<u32>,
    /// How often something was refused since the last unit was granted.
    refused: Cell<u32>,
}

thread_local! {
    static TURN: Turn = const { Turn { left: Cell::new(UNLIMITED), refused: Cell::new(0) } };
}

#[inline]
fn left() -> u32 {
    TURN.with(|turn| turn.left.get())
}

#[inline]
fn set(units: u32) {
    TURN.with(|turn| {
        turn.left.set(units);
        turn.refused.set(0);
    });
}

/// A poll begins.
#[inline]
pub(crate) fn begin() {
    set(UNITS);
}

/// It has ended, and nothing is counted. Returns whether it has spent half of what it had.
#[inline]
pub(crate) fn end() -> bool {
    let half = left() <= UNITS / 2;
    set(UNLIMITED);
    half
}

/// The poll has so many units from here on, if they are counted.
pub(crate) fn grant(units: u32) {
    if left() != UNLIMITED {
        set(units);
    }
}

/// Something was done, or was ready.
#[inline]
pub(crate) fn spend(units: u32) {
    TURN.with(|turn| {
        let left = turn.left.get();
        if left != UNLIMITED {
            turn.left.set(left.saturating_sub(units));
        }
    });
}

#[inline]
pub(crate) fn is_spent() -> bool {
    left() == 0
}

/// Runs `f` with so many units, and goes on as before behind it.
#[inline]
fn with<R>(units: u32, f: impl FnOnce() -> R) -> R {
    struct Restore(u32, u32);
    impl Drop for Restore {
        fn drop(&mut self) {
            TURN.with(|turn| {
                turn.left.set(self.0);
                turn.refused.set(self.1);
            });
        }
    }
    let _restore = TURN.with(|turn| Restore(turn.left.get(), turn.refused.get()));
    set(units);
    f()
}

/// Runs `f`, which is a poll.
pub(crate) fn turn<R>(f: impl FnOnce() -> R) -> R {
    with(UNITS, || around(f))
}

/// How a library whose parts count units of their own takes part.
#[derive(Debug)]
pub struct Around {
    /// Calls each poll of a runtime of ours, once, and may hand out units for it.
    pub polls: fn(&mut dyn FnMut()),
    /// Calls each call that may block, within such a poll or outside, once: nothing is to be counted
    /// in it. It may run another executor, which would never get past a spent budget.
    pub calls: fn(&mut dyn FnMut()),
}

static AROUND: OnceLock<Around> = OnceLock::new();

/// Lets a library take part from here on. The first that asks stays.
pub fn take_part(library: Around) {
    AROUND.get_or_init(|| library);
}

/// Not inlined: where there is no library, `f` need not be in memory.
#[cold]
#[inline(never)]
fn through<R>(around: fn(&mut dyn FnMut()), f: impl FnOnce() -> R) -> R {
    let (mut f, mut result) = (Some(f), None);
    around(&mut || result = f.take().map(|f| f()));
    result.expect("it is called once")
}

/// Runs a poll of a runtime.
#[inline]
pub(crate) fn around<R>(poll: impl FnOnce() -> R) -> R {
    match AROUND.get() {
        None => poll(),
        Some(library) => through(library.polls, poll),
    }
}

/// Runs a call that may block.
#[inline]
pub(crate) fn around_call<R>(call: impl FnOnce() -> R) -> R {
    match AROUND.get() {
        None => call(),
        Some(library) => through(library.calls, call),
    }
}

/// Runs `f`, which is nobody's poll, or one that is not to be counted.
#[inline]
pub(crate) fn unlimited<R>(f: impl FnOnce() -> R) -> R {
    with(UNLIMITED, f)
}

/// In a child of `fork` nothing is counted.
pub(crate) fn forget() {
    set(UNLIMITED);
}

/// `Pending` if the budget is spent: the task is woken then.
#[inline]
pub(crate) fn poll_left(cx: &mut Context<'_>) -> Poll<()> {
    if is_spent() { refuse(cx) } else { Poll::Ready(()) }
}

#[cold]
fn refuse(cx: &mut Context<'_>) -> Poll<()> {
    let refused = TURN.with(|turn| turn.refused.replace(turn.refused.get() + 1));
    if refused >= UNITS {
        set(UNITS);
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Polls something that may be ready again and again.
#[inline]
pub(crate) fn counted<R>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    ready!(poll_left(cx));
    let result = ready!(poll(cx));
    spend(1);
    Poll::Ready(result)
}

/// Whether the task may go on: something that is ready would be let through. Always so outside a
/// runtime of this crate.
///
/// A future that gives others a limit looks here before and behind their poll: if they have used up
/// the budget, it is to look at its own condition all the same.
///
/// # Examples
///
/// ```
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
/// use threadlet::task::coop;
/// use threadlet::time::Sleep;
///
/// /// Polls `work`, and `limit` even if `work` is never pending but for the budget.
/// fn poll_both<T>(
///     work: Pin<&mut impl Future<Output = T>>,
///     limit: Pin<&mut Sleep>,
///     cx: &mut Context<'_>,
/// ) -> Poll<Option<T>> {
///     let had = coop::has_budget_remaining();
///     if let Poll::Ready(value) = work.poll(cx) {
///         return Poll::Ready(Some(value));
///     }
///     let limit = if had && !coop::has_budget_remaining() {
///         std::pin::pin!(coop::unconstrained(limit)).poll(cx)
///     } else {
///         limit.poll(cx)
///     };
///     limit.map(|()| None)
/// }
/// ```
#[inline]
pub fn has_budget_remaining() -> bool {
    !is_spent()
}

/// Takes a unit of the budget for something that may turn out to be ready; `Pending` if there is
/// none left. The task is woken then, to go on when the others have had their turn.
///
/// Dropping what it returns gives the unit back, unless
/// [`made_progress`](RestoreOnPending::made_progress) was called: what is not ready costs nothing.
///
/// # Examples
///
/// A receiver that may always have something, and lets others run now and then:
///
/// ```
/// use std::task::{Context, Poll, ready};
/// use futures::channel::mpsc::UnboundedReceiver;
/// use futures::StreamExt;
/// use threadlet::task::coop;
///
/// fn poll_recv<T>(from: &mut UnboundedReceiver<T>, cx: &mut Context<'_>) -> Poll<Option<T>> {
///     let unit = ready!(coop::poll_proceed(cx));
///     let item = ready!(from.poll_next_unpin(cx));
///     unit.made_progress();
///     Poll::Ready(item)
/// }
/// ```
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    ready!(poll_left(cx));
    let is_counted = left() != UNLIMITED;
    spend(1);
    Poll::Ready(RestoreOnPending { unit: Cell::new(is_counted), thread: PhantomData })
}

/// A unit of the budget, from [`poll_proceed`]. It goes back when this is dropped, unless there was
/// progress.
#[must_use = "dropped, it gives the unit back"]
pub struct RestoreOnPending {
    unit: Cell<bool>,
    /// The budget is that of the poll, and of its thread.
    thread: PhantomData<*mut ()>,
}

impl RestoreOnPending {
    /// What it was taken for was ready: the unit is spent.
    pub fn made_progress(&self) {
        self.unit.set(false);
    }
}

impl Drop for RestoreOnPending {
    fn drop(&mut self) {
        let left = left();
        if self.unit.get() && left < UNITS {
            TURN.with(|turn| turn.left.set(left + 1));
        }
    }
}

impl fmt::Debug for RestoreOnPending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOnPending").field("unit", &self.unit.get()).finish()
    }
}

/// Spends a unit of the budget; with none left, the others have their turn first.
///
/// For a loop that computes, or that awaits what is always ready and not counted: it costs next to
/// nothing, and the task goes through the queue once in 128 times.
///
/// # Cancel safety
///
/// Dropping the future has no effect.
///
/// # Examples
///
/// ```
/// use threadlet::task::coop::consume_budget;
///
/// async fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
///     let mut sum = 0;
///     for number in numbers {
///         sum += number;
///         consume_budget().await;
///     }
///     sum
/// }
///
/// assert_eq!(threadlet::block_on(sum(1..=1000)), 500_500);
/// ```
pub async fn consume_budget() {
    poll_fn(|cx| counted(cx, |_| Poll::Ready(()))).await;
}

/// Lets `future` count as cooperative: each time that it is ready it spends a unit of the budget,
/// and with none left it is not polled until the others have had their turn.
///
/// For what this crate does not know, such as the receiver of a channel that is never empty. What
/// is of this crate (sockets, timers, handles of tasks, files) counts by itself.
///
/// # Cancel safety
///
/// That of `future`.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use futures::channel::mpsc::Receiver;
/// use threadlet::task::coop::cooperative;
///
/// async fn next<T>(from: &mut Receiver<T>) -> Option<T> {
///     cooperative(from.next()).await
/// }
/// ```
pub fn cooperative<F: Future>(future: F) -> Coop<F> {
    Coop { future }
}

pin_project! {
    /// Future of [`cooperative`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you await or poll them"]
    pub struct Coop<F: Future> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Coop<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.project().future;
        counted(cx, |cx| future.poll(cx))
    }
}

/// Lets nothing within `future` count: it goes on for as long as it finds something ready.
///
/// The others of its worker wait for it meanwhile, and so do a `timeout` around it, an `abort`, and
/// the end of the runtime. (A poll that computes for more than 10 ms loses its
/// core to a spare thread, unless [`rescue`](crate::runtime::Builder::rescue) was switched off, so
/// the other tasks do not wait for longer.)
///
/// # Cancel safety
///
/// That of `future`.
///
/// # Examples
///
/// ```
/// use threadlet::task::coop::{consume_budget, unconstrained};
///
/// threadlet::block_on(unconstrained(async {
///     for _ in 0..1000 {
///         consume_budget().await; // never yields here
///     }
/// }));
/// ```
pub fn unconstrained<F>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

pin_project! {
    /// Future of [`unconstrained`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you await or poll them"]
    pub struct Unconstrained<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.project().future;
        unlimited(|| future.poll(cx))
    }
}
