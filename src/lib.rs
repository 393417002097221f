//! An async runtime in which a blocking call runs right here, and costs a thread only if it
//! really blocks.
//!
//! ```
//! use std::os::unix::fs::FileExt;
//! use threadlet::threadlet;
//!
//! #[threadlet::main]
//! async fn main() -> std::io::Result<()> {
//!     let file = std::fs::File::open("/etc/hosts")?;
//!     let mut page = [0u8; 4096];
//!     // Runs right here. Borrows. No 'static, no Send, no copy, no allocation, no thread hop.
//!     // If the page is not in memory, a spare thread takes over this worker's other tasks.
//!     let n = threadlet!(file.read_at(&mut page, 0))?;
//!     println!("{n}");
//!     Ok(())
//! }
//! ```
//!
//! # Features
//!
//! None is on by default.
//!
//! * `tracing`: a [`threadlet!`] outside any runtime is a plain call, and says so, once for its place
//!   in the source, as a warning of the crate `tracing`.
#![deny(unsafe_code)]
#![cfg_attr(
    threadlet_loom,
    allow(dead_code, unused_imports, unreachable_pub, reason = "loom builds a part of the crate")
)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "threadlet works on Linux (5.11 or later) only: it finds blocked threads by what that kernel \
     tells of them"
);

mod park;
mod primitive;
#[allow(unsafe_code, reason = "items travel as pointers, which is theirs to undo")]
mod queue;
#[allow(unsafe_code, reason = "the push only a holder may do")]
mod scheduler;

#[cfg(all(test, threadlet_loom))]
#[allow(unsafe_code, reason = "models do what holders of a core do")]
mod models;
#[cfg(threadlet_loom)]
#[path = "driver/parking.rs"]
mod parking;

#[cfg(not(threadlet_loom))]
mod arming;
#[cfg(not(threadlet_loom))]
#[allow(unsafe_code, reason = "one thread-local pointer, and the push only a holder may do")]
mod context;
#[cfg(not(threadlet_loom))]
#[allow(dead_code, reason = "tests use more of it than the runtime does")]
mod detect;
#[cfg(not(threadlet_loom))]
mod driver;
mod failpoint;
#[cfg(not(threadlet_loom))]
mod gate;
#[cfg(not(threadlet_loom))]
mod macros;
#[cfg(all(not(threadlet_loom), feature = "tracing"))]
mod notice;
#[cfg(all(not(threadlet_loom), not(feature = "tracing")))]
#[path = "notice_off.rs"]
mod notice;
#[cfg(not(threadlet_loom))]
mod private;
#[cfg(not(threadlet_loom))]
#[allow(unsafe_code, reason = "the one promise that lets tasks travel as pointers")]
mod raw_task;
#[cfg(not(threadlet_loom))]
mod region;

#[cfg(not(threadlet_loom))]
mod site;
#[cfg(not(threadlet_loom))]
mod slot;
#[cfg(not(threadlet_loom))]
#[allow(unsafe_code, dead_code, reason = "the one seam to the operating system")]
mod sys;

#[cfg(not(threadlet_loom))]
pub mod net;
#[cfg(not(threadlet_loom))]
pub mod runtime;
#[cfg(not(threadlet_loom))]
pub mod task;
#[cfg(not(threadlet_loom))]
pub mod time;

#[cfg(not(threadlet_loom))]
mod unblock;

#[cfg(not(threadlet_loom))]
pub use self::surface::*;

#[cfg(not(threadlet_loom))]
mod surface {
    pub use threadlet_macros::{main, test};

    pub use crate::gate::Saturated;
    pub use crate::macros::run;
    pub use crate::runtime::block_on;
    pub use crate::task::spawn;
    pub use crate::unblock::{Unblock, Unblocked, unblock};

    /// What the macros of this crate expand to. Not for people.
    #[doc(hidden)]
    pub mod __private {
        pub use crate::gate::{AtCap, Options, Pass, gate};
        pub use crate::private::Entry;
        pub use crate::region::run_at;
        pub use crate::site::Site;
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
