//! What a wait for a descriptor returns: the readiness, to be cleared or kept.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

use super::async_fd::AsyncFd;
use crate::driver::{Ready, ReadyEvent};

/// A descriptor was found ready. Dropped, it stays so: a later wait returns at once. Clear the
/// readiness when a call said `WouldBlock`; [`try_io`](Self::try_io) does it.
#[must_use = "the readiness stays until it is cleared: make the call in `try_io`, or say `retain_ready`"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    fd: &'a AsyncFd<T>,
    /// What is still to be cleared.
    event: Option<ReadyEvent>,
}

/// [`AsyncFdReadyGuard`] with a `&mut` of the descriptor's owner.
#[must_use = "the readiness stays until it is cleared: make the call in `try_io`, or say `retain_ready`"]
pub struct AsyncFdReadyMutGuard<'a, T: AsRawFd> {
    fd: &'a mut AsyncFd<T>,
    event: Option<ReadyEvent>,
}

/// The call in a `try_io` answered `WouldBlock`.
#[derive(Debug)]
pub struct TryIoError(());

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the descriptor is not ready after all: wait for it again")
    }
}

impl Error for TryIoError {}

/// What both guards do.
macro_rules! guard {
    ($guard:ident, [$($mutable:tt)*]) => {
        impl<'a, T: AsRawFd> $guard<'a, T> {
            pub(super) fn new(fd: &'a $($mutable)* AsyncFd<T>, event: ReadyEvent) -> Self {
                Self { fd, event: Some(event) }
            }

            /// Clears the states that were found, but for an end of a direction, unless the kernel
            /// has told of something new since. Only after a call has said `WouldBlock`.
            pub fn clear_ready(&mut self) {
                if let Some(event) = self.event.take() {
                    self.fd.evented().clear_event(event);
                }
            }

            /// Clears some of the states that were found, as [`clear_ready`](Self::clear_ready)
            /// clears all.
            pub fn clear_ready_matching(&mut self, ready: Ready) {
                if let Some(event) = &mut self.event {
                    self.fd.evented().clear_event(event.with(event.ready & ready));
                    *event = event.with(event.ready - ready);
                }
            }

            /// Says that the readiness is to stay. (It does in any case.)
            pub fn retain_ready(&mut self) {}

            /// The states that were found and have not been cleared.
            pub fn ready(&self) -> Ready {
                self.event.map_or(Ready::EMPTY, |event| event.ready)
            }

            /// Makes a call, and clears the readiness if it answers `WouldBlock`.
            ///
            /// # Errors
            ///
            /// [`TryIoError`] if it does; then wait again. Any other error is in the inner result.
            pub fn try_io<R>(
                &mut self,
                f: impl FnOnce(&$($mutable)* AsyncFd<T>) -> io::Result<R>,
            ) -> Result<io::Result<R>, TryIoError> {
                match f(self.fd) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.clear_ready();
                        Err(TryIoError(()))
                    }
                    result => Ok(result),
                }
            }
        }

        impl<T: fmt::Debug + AsRawFd> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($guard)).field("async_fd", &self.fd).finish()
            }
        }
    };
}

guard!(AsyncFdReadyGuard, []);
guard!(AsyncFdReadyMutGuard, [mut]);

impl<'a, T: AsRawFd> AsyncFdReadyGuard<'a, T> {
    /// The descriptor.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// What owns it.
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }
}

impl<T: AsRawFd> AsyncFdReadyMutGuard<'_, T> {
    /// The descriptor.
    pub fn get_ref(&self) -> &AsyncFd<T> {
        self.fd
    }

    /// The descriptor.
    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        self.fd
    }

    /// What owns it.
    pub fn get_inner(&self) -> &T {
        self.fd.get_ref()
    }

    /// What owns it.
    pub fn get_inner_mut(&mut self) -> &mut T {
        self.fd.get_mut()
    }
}
