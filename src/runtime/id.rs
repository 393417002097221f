//! The numbers of runtimes.

use std::fmt;
use std::num::NonZeroU64;

/// The number of a runtime, or of a [`LocalSet`](crate::task::LocalSet): unique in the process, and
/// not used again.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::Handle;
///
/// threadlet::block_on(async {
///     println!("runtime {}", Handle::current().id());
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(NonZeroU64);

impl Id {
    pub(crate) fn new(number: NonZeroU64) -> Self {
        Id(number)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
