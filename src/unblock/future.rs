//! `unblock`: a closure that may block, as a future of its value.

use std::fmt;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::call::in_place::spawn_region;
use crate::runtime::{Handle, global};
use crate::spawned::JoinHandle;

/// Runs a closure that may block or compute for long; the future gives its value.
///
/// Like [`spawn_blocking`](crate::task::spawn_blocking) it starts the closure at once, as a task of
/// its own, in the current runtime. From any other executor and from plain threads it works as
/// well, in a global runtime that is started at the first such call and lives as long as the
/// process; so it does where the current runtime is being shut down. What differs is the future: it
/// has no [`JoinError`](crate::task::JoinError), and dropping it cancels.
///
/// # Cancel safety
///
/// A closure that has not started when the future is dropped never will: it is dropped as soon as a
/// thread of the runtime comes to it. One that has started runs to its end, and its value is
/// dropped.
///
/// # Panics
///
/// The call panics if the global runtime is needed and cannot be started. The future panics if `f`
/// does, with what `f` panicked with; and if the closure's runtime was shut down before it started.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let hosts = threadlet::unblock(|| std::fs::read("/etc/hosts")).await;
///     assert!(hosts.is_ok());
/// });
/// ```
///
/// In a runtime that is not ours:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// let sum = runtime.block_on(threadlet::unblock(|| (1..=100_000_u64).sum::<u64>()));
/// assert_eq!(sum, 5_000_050_000);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn unblock<F, T>(f: F) -> Unblocked<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Unblocked(spawn_region(&runtime().shared, f, Location::caller(), "unblock"))
}

/// The current runtime, unless it is being shut down; else the global one.
pub(crate) fn runtime() -> Handle {
    let current = Handle::try_current().ok();
    current.filter(|handle| !handle.shared.is_shutdown()).unwrap_or_else(global)
}

/// The future of [`unblock`].
#[must_use = "dropping it keeps a closure that has not started from starting; \
              that of `spawn_blocking` does not"]
pub struct Unblocked<T>(JoinHandle<T>);

impl<T> Future for Unblocked<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| match result {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(payload) => resume_unwind(payload),
                Err(_) => panic!("the runtime was shut down before the closure had started"),
            },
        })
    }
}

impl<T> Drop for Unblocked<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> fmt::Debug for Unblocked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unblocked").field("id", &self.0.id()).finish_non_exhaustive()
    }
}
