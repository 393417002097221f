//! What a runtime remembers of what it has seen: which line of the program calls, blocks and waits.
//!
//! | module | what it keeps |
//! |---|---|
//! | `site` | a place in the source, how often it was called, and whether its calls nearly always block |
//! | `profile` | what else is known of it: hand-offs, times, waits |
//! | `polls` | how long polls take, and how long tasks wait for theirs |
//! | `trace` | the timeline |
//! | `recorder` | the flight recorder: the last that happened |
//! | `stall` | what is said of a poll or a call that lasts too long, and how often |
//! | `backtrace` | where a thread that sleeps is in the program |
//! | `event` | what `tracing` is told of a hand-off (feature `tracing`) |
//! | `resource` | and what tokio-console is (the same) |

pub(crate) mod backtrace;
#[cfg(feature = "tracing")]
pub(crate) mod event;
#[cfg(not(feature = "tracing"))]
#[path = "event_off.rs"]
pub(crate) mod event;
pub(crate) mod polls;
pub(crate) mod profile;
pub(crate) mod recorder;
#[cfg(feature = "tracing")]
mod resource;
pub(crate) mod site;
pub(crate) mod stall;
pub(crate) mod trace;
