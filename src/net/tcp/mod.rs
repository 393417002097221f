//! TCP: connections and their halves.

pub(super) mod listener;
pub(super) mod socket;
mod split;
pub(super) mod stream;
#[cfg(test)]
mod tests;

pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
