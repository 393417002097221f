//! Timers, as [`tokio::time`](https://docs.rs/tokio/1.54/tokio/time/).
//!
//! Ours ask for a runtime when they are first polled. These do so when they are made, as tokio's.

pub use threadlet::time::{Duration, Instant, Interval, MissedTickBehavior, Sleep, Timeout};
#[cfg(feature = "test-util")]
pub use threadlet::time::{advance, pause, resume};

use threadlet::time as ours;

pub mod error {
    //! What can go wrong with a timer.
    pub use real::time::error::Error;
    pub use threadlet::time::error::Elapsed;
}

/// # Panics
///
/// Outside a runtime, and in one without timers.
#[track_caller]
fn demand() {
    crate::part::take();
    threadlet::__private::demand_timers();
}

/// Waits for so long.
///
/// # Panics
///
/// Outside a runtime, and in one without timers.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    demand();
    ours::sleep(duration)
}

/// Waits until then.
///
/// # Panics
///
/// Outside a runtime, and in one without timers.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    demand();
    ours::sleep_until(deadline)
}

/// Gives a future so long.
///
/// # Panics
///
/// Outside a runtime, and in one without timers.
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    demand();
    ours::timeout(duration, future)
}

/// Gives a future until then.
///
/// # Panics
///
/// Outside a runtime, and in one without timers.
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    demand();
    ours::timeout_at(deadline, future)
}

/// Every so often, from now on.
///
/// # Panics
///
/// Outside a runtime, and in one without timers; if `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    let interval = ours::interval(period);
    demand();
    interval
}

/// Every so often, from then on.
///
/// # Panics
///
/// Outside a runtime, and in one without timers; if `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    let interval = ours::interval_at(start, period);
    demand();
    interval
}
