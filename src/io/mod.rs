//! Readiness of descriptors.
//!
//! [`unix::AsyncFd`] waits for any descriptor that `epoll` takes; [`Interest`] says for what, and
//! [`Ready`] what it is.
//!
//! The I/O traits are those of `futures-io`, and with the feature `tokio1` also tokio's.

pub mod unix;

pub use crate::driver::{Interest, Ready};
