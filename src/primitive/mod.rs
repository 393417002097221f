//! The one seam between the standard library and loom.
//!
//! Protocol modules take their atomics, locks and cells from here and nowhere else, so that the
//! very code that runs in production is the code that loom explores.

pub(crate) mod failpoint;
#[cfg(threadlet_loom)]
mod loom;
mod padded;
pub(crate) mod park;
mod quietly;
#[cfg(not(threadlet_loom))]
#[allow(unsafe_code, reason = "one dereference of a reference that lives for ever")]
mod static_ref;
#[cfg(not(threadlet_loom))]
mod std;
#[cfg(not(threadlet_loom))]
mod yes_or_no;

#[cfg(threadlet_loom)]
pub(crate) use self::loom::*;
#[cfg(not(threadlet_loom))]
pub(crate) use self::std::*;
pub(crate) use padded::Padded;
pub(crate) use quietly::quietly;

/// An ordering; or `Relaxed` in the build that proves that a test fails without it.
macro_rules! weakened {
    ($name:tt, $ordering:expr) => {
        if cfg!(threadlet_break = $name) { Ordering::Relaxed } else { $ordering }
    };
}
#[cfg(not(threadlet_loom))]
pub(crate) use static_ref::StaticRef;
pub(crate) use weakened;
#[cfg(not(threadlet_loom))]
pub(crate) use yes_or_no::YesOrNo;
