//! The one seam between the standard library and loom: what the table's protocol is made of.
//!
//! `request`, `queue` and `table` take their atomics and locks from here, so that the very code that
//! runs in programs is the code that loom explores (`models/tests/posix_aio`).

#[cfg(threadlet_loom)]
mod loom;
#[cfg(not(threadlet_loom))]
mod std;

#[cfg(threadlet_loom)]
pub(crate) use self::loom::*;
#[cfg(not(threadlet_loom))]
pub(crate) use self::std::*;

/// An ordering that a proof relies on: as it stands. In the copy of the sources that `.ci/sabotage`
/// breaks it can be weakened by its name, and a model must fail then.
macro_rules! weakened {
    ($name:literal, $ordering:expr) => {
        $ordering
    };
}
pub(crate) use weakened;

/// A fence that a proof relies on. In that copy it can be left out.
macro_rules! full_fence {
    ($name:literal) => {
        $crate::primitive::fence($crate::primitive::Ordering::SeqCst)
    };
}
pub(crate) use full_fence;
