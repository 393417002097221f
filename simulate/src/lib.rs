//! The scheduler and all that it stands on, in a simulated kernel.
//!
//! This package compiles threadlet's rooms a second time, from the same files, with
//! [`threadlet_world`] in the place of std, and a kernel of that world in the place of `sys`. What
//! they are driven by is `scenario`.
//!
//! ```sh
//! cargo test -p threadlet-simulate
//! cargo run --release -p threadlet-simulate -- --seconds 600
//! ```
// The unit tests of the rooms are the library's: there is nothing to be seen of them here.
#![cfg(not(test))]
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "the simulation uses a part of what it is built from"
)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the library is linted by itself"
)]

#[macro_use]
extern crate threadlet_world as std;

pub mod sys;

#[path = "../../src/primitive/mod.rs"]
mod primitive;

#[path = "../../src/protocol/mod.rs"]
mod protocol;

#[path = "../../src/coop.rs"]
mod coop;

#[path = "../../src/replay/off.rs"]
mod replay;

#[path = "../../src/detect/mod.rs"]
mod detect;

#[path = "../../src/syslet/answer.rs"]
mod syslet;

#[path = "../../src/driver/mod.rs"]
mod driver;

#[path = "../../src/observe/mod.rs"]
mod observe;

#[path = "../../src/spawned/mod.rs"]
mod spawned;

#[path = "../../src/shared/mod.rs"]
mod shared;

#[path = "../../src/context/mod.rs"]
mod context;

#[path = "../../src/scheduler/mod.rs"]
mod scheduler;

#[path = "../../src/call/mod.rs"]
mod call;

#[path = "../../src/runtime/mod.rs"]
pub mod runtime;

#[path = "../../src/time/mod.rs"]
pub mod time;

pub mod scenario;

pub use self::call::gate::Saturated;
pub use self::call::group::Group;
pub use self::call::macros::run;
pub use self::runtime::{block_on, report};

#[doc(hidden)]
pub mod __private {
    pub use crate::call::gate::{AtCap, Options, Pass, gate};
    pub use crate::call::group::enter;
    pub use crate::call::in_place::turn;
    pub use crate::call::region::run_at;
    pub use crate::context::{Missing, demand_timers, say};
    pub use crate::coop::{Around, take_part};
    pub use crate::observe::site::Site;
    pub use crate::runtime::entry::Entry;
}
