//! One place for the task that was woken last, which is likely to find its data warm.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::Item;
use crate::primitive::{AtomicPtr, Ordering, weakened};

/// Holds one item or none. Any thread may swap it, so a hand-off cannot strand what is in it.
#[derive(Debug)]
pub(crate) struct Lifo<T: Item>(AtomicPtr<()>, PhantomData<T>);

impl<T: Item> Lifo<T> {
    pub(crate) fn new() -> Self {
        Lifo(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }

    /// Puts an item in, and returns the one that was there.
    #[inline]
    pub(crate) fn replace(&self, item: Option<T>) -> Option<T> {
        let raw = item.map_or(ptr::null_mut(), |item| item.into_raw().as_ptr());
        // Ordering: Release for the item put in, Acquire for the one taken out; each the partner
        // of the other.
        let old = NonNull::new(self.0.swap(raw, weakened!("lifo-relaxed", Ordering::AcqRel)));
        // SAFETY: it came from `into_raw`, and the swap makes it ours alone.
        old.map(|raw| unsafe { T::from_raw(raw) })
    }

    /// Takes the item out.
    #[inline]
    pub(crate) fn take(&self) -> Option<T> {
        // A look first: the common answer is "nothing", and a swap is dear.
        if self.is_empty() { None } else { self.replace(None) }
    }

    /// Whether it is empty; a hint.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }
}

impl<T: Item> Drop for Lifo<T> {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}
