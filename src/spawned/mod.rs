//! Spawned tasks: a future on the heap with its header and its handles.

mod awaiter;
mod caught;
mod header;
mod join;
pub(crate) mod local;
mod owned;
#[cfg(feature = "tracing")]
pub(crate) mod traced;
#[cfg(not(feature = "tracing"))]
#[path = "traced_off.rs"]
pub(crate) mod traced;

use std::ptr::NonNull;
use std::sync::Arc;

pub(crate) use awaiter::poll_with_ours;
pub(crate) use caught::{Caught, Life};
pub use header::Id;
pub(crate) use header::{Header, Origin, as_task, told};
pub use join::{AbortHandle, JoinError, JoinHandle};
pub(crate) use owned::{Owned, OwnedKey};

use crate::protocol::queue::Item;

/// A task that is ready to be polled.
pub(crate) type Runnable = async_task::Runnable<Arc<Header>>;

#[allow(unsafe_code, reason = "the one promise that lets tasks travel as pointers")]
// SAFETY: `async_task` gives the value up for a pointer, and takes it back from the same.
unsafe impl Item for Runnable {
    #[inline]
    fn into_raw(self) -> NonNull<()> {
        Runnable::into_raw(self)
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<()>) -> Self {
        // SAFETY: the caller's promise is what `async_task` asks for.
        unsafe { Runnable::from_raw(raw) }
    }
}
