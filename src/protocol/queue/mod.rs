//! Where tasks wait: a seat's own queue, the injector that everybody shares, and the line in front
//! of something scarce.

mod injector;
mod lifo;
mod line;
mod local;

pub(crate) use injector::Injector;
pub(crate) use lifo::Lifo;
pub(crate) use line::{Left, Line, Ticket};
pub(crate) use local::LocalQueue;

use std::ptr::NonNull;

/// Something a queue can hold as one pointer.
///
/// # Safety
///
/// `into_raw` gives up the value, and `from_raw` gives it back, once.
pub(crate) unsafe trait Item: Send + Sized {
    /// Gives the value up for a pointer.
    fn into_raw(self) -> NonNull<()>;

    /// Makes the value from its pointer.
    ///
    /// # Safety
    ///
    /// The pointer comes from `into_raw`, and this is the only use of it.
    unsafe fn from_raw(raw: NonNull<()>) -> Self;
}
