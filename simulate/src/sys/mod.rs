//! The one seam to the operating system, which is the kernel of the world here: the names of
//! threadlet's `sys`, as far as its scheduler asks for them.

pub(crate) mod counter;
pub(crate) mod epoll;
#[path = "../../../src/sys/exit.rs"]
pub(crate) mod exit;
#[path = "../../../src/sys/fork.rs"]
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod perf;
pub(crate) mod poll;
pub(crate) mod seccomp;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod stat;
pub(crate) mod stderr;
pub(crate) mod thread;
#[path = "../../../src/sys/whereabouts.rs"]
pub(crate) mod whereabouts;

use std::time::Duration;

/// A time as the kernel of the world takes it.
fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}
