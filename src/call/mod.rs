//! What stands before and around one in-place call.
//!
//! | module | what it knows |
//! |---|---|
//! | `macros` | how a call is written: `threadlet!`, and `run` |
//! | `group` | how many calls one resource takes at once |
//! | `gate` | whether there is a permit to be had, and who waits for one |
//! | `region` | the call itself: its site, and what becomes of the core |
//! | `replayed` | whether the call blocks, where a test replays |
//! | `in_place` | gate and region in one, for functions and for tasks whose body is one call |
//! | `outside` | what is said of a call outside any runtime (feature `tracing`) |

pub(crate) mod gate;
pub(crate) mod group;
pub(crate) mod in_place;
pub(crate) mod macros;
#[cfg(feature = "tracing")]
mod outside;
#[cfg(not(feature = "tracing"))]
#[path = "outside_off.rs"]
mod outside;
pub(crate) mod region;
#[cfg_attr(not(feature = "test-util"), path = "replayed_off.rs")]
mod replayed;
