//! `interval` and `interval_at`.

use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::timer::Timer;
use super::traced::Traced;
use super::{Instant, later};

/// How late a tick must be taken to count as missed. Less than that is a scheduler's jitter.
const JITTER: Duration = Duration::from_millis(5);

/// Ticks every `period`; the first tick is at once.
///
/// # Panics
///
/// Panics if `period` is zero. The first [`tick`](Interval::tick) panics outside a runtime.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, interval};
///
/// threadlet::block_on(async {
///     let mut interval = interval(Duration::from_millis(2));
///     let first = interval.tick().await;
///     let second = interval.tick().await;
///     assert_eq!(second - first, Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`; the first tick is at `start`.
///
/// # Panics
///
/// Panics if `period` is zero. The first [`tick`](Interval::tick) panics outside a runtime.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, Instant, interval_at};
///
/// threadlet::block_on(async {
///     let period = Duration::from_millis(2);
///     // The first tick is not at once.
///     let mut interval = interval_at(Instant::now() + period, period);
///     interval.tick().await;
/// });
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval {
        timer: Timer::new(start, Traced::new("Interval", Location::caller())),
        period,
        missed: MissedTickBehavior::default(),
    }
}

/// What an [`Interval`] does after a tick that was taken more than five milliseconds late.
///
/// With a period of 10 and the tick of 20 taken at 45, the following ticks are due at:
///
/// | behaviour | |
/// |---|---|
/// | `Burst` | 30 and 40 (both at once), 50, 60 |
/// | `Delay` | 55, 65, 75 |
/// | `Skip` | 50, 60, 70 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Catch up: ticks follow without delay until their number is right again.
    #[default]
    Burst,
    /// Start afresh: the next tick is one period after this one was taken.
    Delay,
    /// Leave out what was missed: the next tick is the next multiple of the period.
    Skip,
}

impl MissedTickBehavior {
    /// When to tick next after the tick of `due` was taken, much too late, at `now`.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            Self::Burst => later(due, period),
            Self::Delay => later(now, period),
            Self::Skip => {
                let late = now.saturating_duration_since(due);
                let into = late.as_nanos() % period.as_nanos();
                // 584 years of period and more are never missed.
                let into = u64::try_from(into).map_or(Duration::ZERO, Duration::from_nanos);
                later(now, period - into)
            }
        }
    }
}

/// A clock that ticks; see [`interval()`] and [`interval_at`].
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, MissedTickBehavior, interval};
///
/// threadlet::block_on(async {
///     let mut interval = interval(Duration::from_millis(2));
///     interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
///     for _ in 0..3 {
///         interval.tick().await;
///     }
/// });
/// ```
#[derive(Debug)]
pub struct Interval {
    timer: Timer,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick and returns the instant at which it was due.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, no tick is lost: the next call waits for the same one.
    ///
    /// # Panics
    ///
    /// Panics if the first call is outside a runtime.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick; the form of [`tick`](Self::tick) for hand-written futures. Only the
    /// last task to poll is woken.
    ///
    /// # Panics
    ///
    /// Panics if the first call is outside a runtime.
    #[track_caller]
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(self.timer.poll(cx));
        let due = self.timer.deadline();
        let now = Instant::now();
        let next = if now > later(due, JITTER) {
            self.missed.next(due, now, self.period)
        } else {
            later(due, self.period)
        };
        self.timer.reset(next);
        Poll::Ready(due)
    }

    /// Lets the next tick be one period from now, whatever was due before.
    pub fn reset(&mut self) {
        self.timer.reset(later(Instant::now(), self.period));
    }

    /// Lets the next tick be at once.
    pub fn reset_immediately(&mut self) {
        self.timer.reset(Instant::now());
    }

    /// Lets the next tick be `after` from now; those behind it follow at the interval's period.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::time::{Duration, Instant, interval};
    ///
    /// threadlet::block_on(async {
    ///     let mut interval = interval(Duration::from_secs(3600));
    ///     interval.tick().await;
    ///     interval.reset_after(Duration::from_millis(2));
    ///     interval.tick().await;
    /// });
    /// ```
    pub fn reset_after(&mut self, after: Duration) {
        self.timer.reset(later(Instant::now(), after));
    }

    /// Lets the next tick be at `deadline`; those behind it follow at the interval's period. If
    /// that has passed, the next tick is at once.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.timer.reset(deadline);
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What happens after a missed tick.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Chooses what happens after a missed tick.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in the documentation of [`MissedTickBehavior`].
    #[test]
    fn the_documented_table() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let period = Duration::from_millis(10);
        for (behavior, next) in [
            (MissedTickBehavior::Burst, 30),
            (MissedTickBehavior::Delay, 55),
            (MissedTickBehavior::Skip, 50),
        ] {
            assert_eq!(behavior.next(at(20), at(45), period), at(next), "{behavior:?}");
        }
        // Taken exactly at a multiple: that one was missed as well.
        assert_eq!(MissedTickBehavior::Skip.next(at(20), at(40), period), at(50));
    }
}
