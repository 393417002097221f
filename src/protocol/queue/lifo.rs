//! One place for the task that was woken last, which is likely to find its data warm.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::Item;
use crate::primitive::{AtomicPtr, Ordering, weakened};

/// Holds one item or none. Whoever holds the core puts items in; any thread may take one out, so a
/// hand-off cannot strand what is in it.
#[derive(Debug)]
pub(crate) struct Lifo<T: Item>(AtomicPtr<()>, PhantomData<T>);

impl<T: Item> Lifo<T> {
    pub(crate) fn new() -> Self {
        Lifo(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }

    /// Puts an item in, and returns the one that was there. By the holder of the core: it alone puts
    /// any in, so a place that it has seen empty stays so, and a store is enough. (Two that put at
    /// once would leak an item.)
    #[inline]
    pub(crate) fn put(&self, item: T) -> Option<T> {
        if !self.is_empty() {
            return self.replace(Some(item));
        }
        // Ordering: Release. Partner: the Acquire of the swap that takes it out.
        self.0.store(item.into_raw().as_ptr(), weakened!("lifo-put", Ordering::Release));
        None
    }

    /// Puts an item in, or none, and returns the one that was there.
    #[inline]
    fn replace(&self, item: Option<T>) -> Option<T> {
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
