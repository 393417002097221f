//! A std whose threads, clock, locks and atomics are simulated, and a kernel that a detector can ask.
//!
//! A crate that says `extern crate threadlet_world as std;` has the standard library but for what
//! threads have to do with each other: `sync`, `thread`, `time::Instant`, and `thread_local!`. These
//! are of a *world*: a number of coroutines on one thread of the real system, of which one runs at a
//! time. Before each step that others could see (an atomic, a lock, a fence) the one that runs may be
//! *preempted*, and which goes on then is drawn, as all else is, from one *seed*. So a run is a
//! function of its seed, and can be seen again.
//!
//! | module | what it is |
//! |---|---|
//! | `engine` | whose turn it is; the clock; how a run ends, or fails |
//! | `kernel` | what a detector asks: the state of a thread, records of its switches, epoll; the futex |
//! | `draw` | numbers from a seed |
//! | `sync`, `thread`, `time`, `local` | the standard library's names |
//!
//! What is written here is visible at once, to all: the world is sequentially consistent. (Weaker
//! orders are loom's to try.)
#![allow(missing_docs, reason = "the standard library documents what stands here under its names")]

pub use ::std::*;

pub mod draw;
mod engine;
pub mod kernel;
pub mod local;
pub mod process;
pub mod sync;
pub mod thread;
pub mod time;

pub use self::engine::{Luck, Outcome, Settings, draw, fail, is_within, note, run, steps};
