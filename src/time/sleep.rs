//! `sleep` and `sleep_until`.

use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::timer::Timer;
use super::traced::Traced;
use super::{Instant, later};
use crate::driver::{Handle, TimersOf};

/// Waits until `duration` has passed since the call.
///
/// The time starts with this call, not with the first poll. A duration too long for the clock (such
/// as [`Duration::MAX`]) means some decades. A duration of zero is ready at the first poll.
///
/// # Cancel safety
///
/// Dropping the future cancels the timer; nothing else happens.
///
/// # Panics
///
/// The future panics when it is first polled outside a runtime.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, Instant, sleep};
///
/// threadlet::block_on(async {
///     let start = Instant::now();
///     sleep(Duration::from_millis(5)).await;
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(later(Instant::now(), duration))
}

/// Waits until `deadline`. One that has passed is ready at the first poll.
///
/// # Cancel safety
///
/// Dropping the future cancels the timer; nothing else happens.
///
/// # Panics
///
/// The future panics when it is first polled outside a runtime.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, Instant, sleep_until};
///
/// threadlet::block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(2);
///     sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    let traced = Traced::new("Sleep", Location::caller());
    Sleep { timer: Timer::new(deadline, traced), _pinned: PhantomPinned }
}

/// A sleep by the clock of a driver that is known, which may be polled outside any runtime.
pub(crate) fn sleep_by(driver: &Handle, duration: Duration) -> Sleep {
    let deadline = later(Instant::from_std(driver.now()), duration);
    Sleep { timer: Timer::of(deadline, TimersOf::first(driver)), _pinned: PhantomPinned }
}

pin_project! {
    /// Future of [`sleep()`] and [`sleep_until`].
    ///
    /// It stays ready once it was ready, until [`reset`](Sleep::reset). To poll it in a loop, pin
    /// it first, with [`std::pin::pin!`] or [`Box::pin`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you await or poll them"]
    pub struct Sleep {
        timer: Timer,
        // Not needed by today's timers; it leaves the way open for some that are linked in place.
        #[pin]
        _pinned: PhantomPinned,
    }
}

impl Sleep {
    /// The instant at which this future becomes ready.
    pub fn deadline(&self) -> Instant {
        self.timer.deadline()
    }

    /// Whether this future was polled to its end and not reset since.
    pub fn is_elapsed(&self) -> bool {
        self.timer.is_elapsed()
    }

    /// Moves the deadline, before or after the future has become ready.
    ///
    /// A task that waits for this future need not poll it again to be woken at the new deadline; if
    /// that has passed, it is woken at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    /// use threadlet::time::{Duration, Instant, sleep};
    ///
    /// threadlet::block_on(async {
    ///     let mut sleep = pin!(sleep(Duration::from_secs(3600)));
    ///     sleep.as_mut().reset(Instant::now() + Duration::from_millis(1));
    ///     sleep.await;
    /// });
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.project().timer.reset(deadline);
    }
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().timer.poll(cx)
    }
}
