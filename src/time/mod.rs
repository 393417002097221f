//! Timers: sleeping, time limits, ticks.
//!
//! Everything here belongs to the runtime in whose context it is first polled: [`sleep()`] and its
//! kin may be *created* anywhere, but polling them for the first time outside a runtime panics.
//!
//! Deadlines are exact to the nanosecond on paper. In practice a timer never fires early, and fires
//! late by what the kernel adds (50 microseconds by default, see `PR_SET_TIMERSLACK`) and by what
//! the runtime's threads are busy with. Suspending the machine stops the clock.
//!
//! # After the runtime has shut down
//!
//! A timer of a runtime that has shut down never fires. Polled by a task of that very runtime it
//! stays pending, for the task is about to be dropped. Polled by another executor it panics, as a
//! wait that never ends would be worse.

#[cfg(feature = "test-util")]
mod clock;
pub mod error;
mod instant;
mod interval;
mod sleep;
#[cfg(test)]
mod tests;
mod timeout;
mod timer;
#[cfg(feature = "tracing")]
mod traced;
#[cfg(not(feature = "tracing"))]
#[path = "traced_off.rs"]
mod traced;

#[cfg(feature = "test-util")]
pub use self::clock::{advance, pause, resume};
pub use self::instant::Instant;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub(crate) use self::sleep::sleep_by;
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Timeout, timeout, timeout_at};

#[doc(no_inline)]
pub use std::time::Duration;

/// `duration` from `start`, or, where the clock's range ends, so far away that nobody lives to see
/// the difference.
fn later(start: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    start.checked_add(duration).or_else(|| start.checked_add(FAR)).unwrap_or(start)
}
