//! The one seam between the standard library and loom.
//!
//! Protocol modules take their atomics, locks and cells from here and nowhere else, so that the
//! very code that runs in production is the code that loom explores.

pub(crate) mod failpoint;
#[cfg(threadlet_loom)]
mod loom;
mod padded;
pub(crate) mod park;
#[allow(unsafe_code, reason = "an instruction that changes nothing")]
mod prefetch;
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
pub(crate) use prefetch::prefetch;
pub(crate) use quietly::quietly;
#[cfg(not(threadlet_loom))]
pub(crate) use static_ref::StaticRef;
#[cfg(not(threadlet_loom))]
pub(crate) use yes_or_no::YesOrNo;

/// An ordering that a proof relies on: as it stands. In the copy of the sources that `.ci/sabotage`
/// breaks it can be weakened by its name, and a test must fail then.
macro_rules! weakened {
    ($name:literal, $ordering:expr) => {
        $ordering
    };
}

/// A full fence that a proof relies on. In that copy it can be left out.
macro_rules! full_fence {
    ($name:literal) => {
        $crate::primitive::fence($crate::primitive::Ordering::SeqCst)
    };
}
pub(crate) use {full_fence, weakened};
