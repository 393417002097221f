//! What the calling thread is to the runtime: which core it has, and what it may touch.
//!
//! Two things are kept per thread. *Which runtime is current* (entered, or the one whose thread
//! this is) decides where `spawn` goes. *Which core this thread has* decides what a region lends;
//! it belongs to the thread, whatever runtime has been entered on top of it.
//!
//! | module | what it knows |
//! |---|---|
//! | `thread` | what this thread has, polls, and may go on with |
//! | `core` | which core it has, and who may touch what belongs to that |
//! | `ring` | when the thread opens, arms and closes its ring |
//! | `budget` | how long a task may go on without a core, and what the last poll was like |
//! | `log` | what the thread notes of its polls, if somebody wants to know |
//! | `schedule` | where a task goes that is ready |
//! | `entered` | which runtime is current |
//! | `missing` | what is said where there is no runtime, or it lacks something |
//! | `polled` | whether what is polled is ours, and a task |
//! | `forked` | that a child of `fork` has none of it |

mod budget;
#[allow(unsafe_code, reason = "the pushes that only the holder of a core may do")]
mod core;
mod entered;
mod forked;
mod log;
mod missing;
mod polled;
mod ring;
mod schedule;
mod stopwatch;
#[allow(unsafe_code, reason = "one thread-local pointer")]
mod thread;

pub(crate) use self::core::HeldCore;
pub(crate) use self::entered::{
    current_driver, current_timers, is_task_of, now, with_shared, yield_at,
};
pub(crate) use self::forked::{forget_after_fork, forks};
pub(crate) use self::missing::words;
pub use self::missing::{Missing, demand_timers, say};
pub(crate) use self::polled::{in_root, is_ours, outside_task, polled_task, polling_seat, yields};
pub(crate) use self::schedule::schedule;
pub(crate) use self::thread::{Thread, with};
