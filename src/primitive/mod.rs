//! The one seam between the standard library and loom.
//!
//! Protocol modules take their atomics, locks and cells from here and nowhere else, so that the
//! very code that runs in production is the code that loom explores.

#[cfg(threadlet_loom)]
mod loom;
mod padded;
#[cfg(not(threadlet_loom))]
#[allow(unsafe_code, reason = "one dereference of a reference that lives for ever")]
mod static_ref;
#[cfg(not(threadlet_loom))]
mod std;

#[cfg(threadlet_loom)]
pub(crate) use self::loom::*;
#[cfg(not(threadlet_loom))]
pub(crate) use self::std::*;
pub(crate) use padded::Padded;
#[cfg(not(threadlet_loom))]
pub(crate) use static_ref::StaticRef;
