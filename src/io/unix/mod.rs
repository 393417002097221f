//! Any descriptor, by the runtime's reactor.

#[allow(unsafe_code, reason = "what is registered stays open: its owner promises that")]
mod async_fd;
mod guard;
#[cfg(test)]
#[allow(unsafe_code, reason = "that promise")]
mod tests;

#[allow(deprecated, reason = "for those who have not moved on")]
pub use self::async_fd::AsyncFdTryNewError;
pub use self::async_fd::{AsyncFd, AsyncFdRegisterError};
pub use self::guard::{AsyncFdReadyGuard, AsyncFdReadyMutGuard, TryIoError};
