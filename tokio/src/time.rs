//! Timers, as [`tokio::time`](https://docs.rs/tokio/1.54/tokio/time/).

pub use threadlet::time::{
    Duration, Instant, Interval, MissedTickBehavior, Sleep, Timeout, interval, interval_at, sleep,
    sleep_until, timeout, timeout_at,
};
#[cfg(feature = "test-util")]
pub use threadlet::time::{advance, pause, resume};

pub mod error {
    //! What can go wrong with a timer.
    pub use real::time::error::Error;
    pub use threadlet::time::error::Elapsed;
}
