//! The standard input and outputs, and the readiness of any descriptor.
//!
//! [`stdin()`], [`stdout()`] and [`stderr()`] are the process's. [`unix::AsyncFd`] waits for any
//! descriptor that `epoll` takes; [`Interest`] says for what, and [`Ready`] what it is.
//!
//! The I/O traits are those of `futures-io`, and with the feature `tokio1` also tokio's.

#[cfg(feature = "test-util")]
pub(crate) mod duplex;
mod stdin;
mod stdout;
pub mod unix;

#[cfg(feature = "test-util")]
pub use self::duplex::{DuplexStream, duplex};
pub use self::stdin::{Stdin, stdin};
pub use self::stdout::{Stderr, Stdout, stderr, stdout};
pub use crate::driver::{Interest, Ready};
