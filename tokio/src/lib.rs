//! tokio's API, on the [threadlet](https://docs.rs/threadlet) runtime.
//!
//! A program written for tokio runs on threadlet with this in the place of tokio: tasks, timers,
//! sockets, files, children and signals are those of [`threadlet`], where a call that blocks holds
//! up nobody else's task. What needs no runtime, [`sync`], the traits and helpers of [`mod@io`] and
//! the macros, is tokio's own, re-exported; its runtime is never started.
//!
//! For what each item does see [tokio's documentation](https://docs.rs/tokio/1.54). What differs
//! stands in the README of this package.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

mod adapt;
mod budget;
pub mod fs;
pub mod io;
pub mod net;
mod part;
pub mod process;
pub mod runtime;
pub mod signal;
pub mod sync;
pub mod task;
pub mod time;

pub use crate::task::spawn;
pub use real::{join, main, pin, select, task_local, test, try_join};

#[doc(hidden)]
pub mod macros {
    //! What tokio's macros expand to.
    pub use real::macros::support;
}
