//! Errors of this module.

use std::error::Error;
use std::fmt;
use std::io;

/// The time limit of a [`timeout`](super::timeout()) passed first.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, sleep, timeout};
///
/// threadlet::block_on(async {
///     let late = timeout(Duration::from_millis(1), sleep(Duration::from_secs(60))).await;
///     let error = std::io::Error::from(late.unwrap_err());
///     assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(super) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit has passed")
    }
}

impl Error for Elapsed {}

/// An error of the kind [`io::ErrorKind::TimedOut`].
impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
