//! Signals.
//!
//! [`ctrl_c`] for the one that a terminal sends; [`unix::signal`] for any.
//!
//! Each listener has an eventfd of its own, which the handler writes to and the reactor of the
//! listener's runtime waits for: any number may listen to one signal, in any number of runtimes,
//! and each hears it.

pub mod unix;

use std::io;

/// Waits for the next `SIGINT`, which a terminal sends at ctrl-c.
///
/// From the first poll on, `SIGINT` does not end the process any more, for as long as that lives.
///
/// # Cancel safety
///
/// Cancelled, a signal that came is not kept for the next call. In a loop, where none may be missed
/// between two calls, use [`unix::signal`]; so, too, in a server that tells others when it is ready:
/// the future listens when it is polled, and until then the signal ends the process.
///
/// # Errors
///
/// The system's: out of descriptors, for instance.
///
/// # Panics
///
/// If the future is polled outside a runtime.
///
/// # Examples
///
/// ```no_run
/// #[threadlet::main]
/// async fn main() -> std::io::Result<()> {
///     println!("until ctrl-c");
///     threadlet::signal::ctrl_c().await?;
///     println!("the end");
///     Ok(())
/// }
/// ```
pub async fn ctrl_c() -> io::Result<()> {
    match unix::signal(unix::SignalKind::interrupt())?.recv().await {
        Some(()) => Ok(()),
        None => Err(io::Error::other("the runtime has been shut down: no signal is waited for")),
    }
}
