//! Children: processes that this one starts, waits for and ends.
//!
//! The names are tokio's. [`Command`] says what to start, [`Child`] is what was started, and its
//! pipes have the traits of `futures-io` (with the feature `tokio1` also tokio's).
//!
//! The end of a child is told by the kernel, to the reactor, through a descriptor of it (a *pidfd*);
//! where that is refused, by `SIGCHLD`. Starting one is a call that may block, made in place: the
//! runtime's other tasks go on.
//!
//! A [`Child`] that is dropped goes on, unless [`Command::kill_on_drop`] was set, and in either case
//! no zombie is left: the runtime takes note of its end, or, where that has no threads or has been
//! shut down, the global one.
//!
//! # Examples
//!
//! ```
//! use threadlet::process::Command;
//!
//! # fn main() -> std::io::Result<()> {
//! threadlet::block_on(async {
//!     let output = Command::new("echo").arg("hello").output().await?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"hello\n");
//!     Ok(())
//! })
//! # }
//! ```

mod child;
mod command;
mod exit;
mod pipes;
#[allow(unsafe_code, reason = "handed on to std, with what it asks of the caller")]
mod pre_exec;

pub use self::child::Child;
pub use self::command::Command;
pub use self::pipes::{ChildStderr, ChildStdin, ChildStdout};
