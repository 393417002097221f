//! The protocols: who has a core, who sleeps, who gets a permit, and how nobody sleeps through what
//! concerns them. Everything that several threads decide without one lock over all stands here, and
//! in nothing but atomics and locks of `primitive`: the very code that loom explores (`models/`).
//!
//! | module | what it decides |
//! |---|---|
//! | `core` | the word: who has a core |
//! | `queue` | where tasks wait: a seat's ring, its LIFO slot, the injector, the line at a gate |
//! | `cause` | why a core was handed over |
//! | `pool` | permits, spares, and claims that could not be served |
//! | `idle` | which seats sleep, and whom a new task wakes |
//! | `monitor_sleep` | how the monitor sleeps |
//! | `parking` | how a thread sleeps in the driver |
//! | `record` | who writes where in the memory of the flight recorder, and what a reader may believe |
//! | `task` | the word of a task: who may poll it, who has its result, when its memory goes |
//! | `watch` | who is the sentinel |

mod cause;
pub(crate) mod core;
pub(crate) mod idle;
pub(crate) mod monitor_sleep;
pub(crate) mod parking;
pub(crate) mod pool;
#[allow(unsafe_code, reason = "items travel as pointers, which is theirs to undo")]
pub(crate) mod queue;
pub(crate) mod record;
pub(crate) mod task;
pub(crate) mod watch;

pub use self::cause::Cause;
