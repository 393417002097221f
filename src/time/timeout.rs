//! `timeout` and `timeout_at`.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::Instant;
use super::error::Elapsed;
use super::sleep::{Sleep, sleep, sleep_until};
use crate::coop;

/// Gives `future` at most `duration` from this call on.
///
/// The future is polled first and the clock looked at second: one that is ready at its first poll
/// succeeds whatever the limit. When the limit has passed the result is [`Elapsed`], and the future
/// is dropped along with the [`Timeout`].
///
/// A limit can only end a future that waits. A poll that computes or blocks, a
/// [`threadlet!`](crate) call included, ends by itself; the limit is seen behind it if the future
/// has to wait again, and if it is ready by then its result counts. A loop on what is always ready
/// has to wait when its budget is spent ([`coop`](crate::task::coop)), and the clock is looked at
/// then.
///
/// # Cancel safety
///
/// Dropping the `Timeout` drops `future` and cancels the timer; whether something is lost is up to
/// `future`.
///
/// # Panics
///
/// The future panics when it is polled outside a runtime and `future` is not ready.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, sleep, timeout};
///
/// threadlet::block_on(async {
///     let slow = timeout(Duration::from_millis(2), sleep(Duration::from_secs(60))).await;
///     assert!(slow.is_err());
///     let fast = timeout(Duration::from_secs(60), async { 7 }).await;
///     assert_eq!(fast, Ok(7));
/// });
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { value: future.into_future(), sleep: sleep(duration) }
}

/// Gives `future` time until `deadline`. Otherwise as [`timeout()`].
///
/// # Cancel safety
///
/// As [`timeout()`].
///
/// # Panics
///
/// As [`timeout()`].
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, Instant, sleep, timeout_at};
///
/// threadlet::block_on(async {
///     // Two steps, and one limit for both.
///     let deadline = Instant::now() + Duration::from_millis(2);
///     let first = timeout_at(deadline, async { 7 }).await;
///     let second = timeout_at(deadline, sleep(Duration::from_secs(60))).await;
///     assert!(first.is_ok() && second.is_err());
/// });
/// ```
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { value: future.into_future(), sleep: sleep_until(deadline) }
}

pin_project! {
    /// Future of [`timeout()`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you await or poll them"]
    pub struct Timeout<F> {
        #[pin]
        value: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// The future with the limit.
    pub fn get_ref(&self) -> &F {
        &self.value
    }

    /// The future with the limit.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.value
    }

    /// Lifts the limit.
    pub fn into_inner(self) -> F {
        self.value
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let had_budget = coop::has_budget_remaining();
        if let Poll::Ready(value) = this.value.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        let limit = if had_budget && !coop::has_budget_remaining() {
            // It may do so in every poll. The clock is looked at all the same.
            coop::unlimited(|| this.sleep.poll(cx))
        } else {
            this.sleep.poll(cx)
        };
        limit.map(|()| Err(Elapsed::new()))
    }
}
