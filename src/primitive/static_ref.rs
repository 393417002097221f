//! An atomic place for a reference that lives for ever.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Holds a `&'static T` or nothing; one thread writes, or the first of several, others may look.
#[derive(Debug)]
pub(crate) struct StaticRef<T: Sync + 'static>(AtomicPtr<T>, PhantomData<&'static T>);

impl<T: Sync + 'static> StaticRef<T> {
    pub(crate) const fn new() -> Self {
        StaticRef(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }

    /// Puts a reference, or nothing, in place.
    #[inline]
    pub(crate) fn set(&self, value: Option<&'static T>) {
        // Ordering: Release. Partner: the Acquire in `get`; the value may have been leaked a
        // moment ago.
        self.0.store(
            value.map_or(ptr::null_mut(), |v| ptr::from_ref(v).cast_mut()),
            Ordering::Release,
        );
    }

    /// Puts a reference in place if nothing is there; says which one is.
    pub(crate) fn get_or_set(&self, value: &'static T) -> &'static T {
        self.get().unwrap_or_else(|| {
            let new = ptr::from_ref(value).cast_mut();
            // Ordering: Release for our value, as in `set`; Acquire on failure, as in `get`.
            let set =
                self.0.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Acquire);
            let place = set.map_or_else(|other| other, |_| new);
            // SAFETY: not null, and from a `&'static T`: ours, or another that was put in place.
            unsafe { &*place }
        })
    }

    /// Looks.
    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        let place = self.0.load(Ordering::Acquire);
        // SAFETY: what is not null was stored by `set` or `get_or_set` from a `&'static T`.
        unsafe { place.as_ref() }
    }
}
