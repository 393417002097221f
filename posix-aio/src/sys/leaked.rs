//! A place for a value that lives for ever, and may be forgotten.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Holds a value that is made once and never freed.
#[derive(Debug)]
pub(crate) struct Leaked<T: Send + Sync + 'static>(AtomicPtr<T>);

impl<T: Send + Sync + 'static> Leaked<T> {
    pub(crate) const fn new() -> Leaked<T> {
        Leaked(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn get(&self) -> Option<&'static T> {
        // Ordering: Acquire. Partner: the compare-and-swap in `get_or_leak`; the value may have
        // been made a moment ago.
        let place = self.0.load(Ordering::Acquire);
        // SAFETY: null, or from `get_or_leak`, which never frees what it has put there.
        unsafe { place.as_ref() }
    }

    /// What is there; if nothing is, `value` from now on.
    pub(crate) fn get_or_leak(&self, value: T) -> &'static T {
        let made: &'static T = Box::leak(Box::new(value));
        let place = ptr::from_ref(made).cast_mut();
        let null = ptr::null_mut();
        // Ordering: AcqRel, and Acquire if it fails. Partner: `get`, and the
        // other way round whoever is second here.
        match self.0.compare_exchange(null, place, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            // Another thread was first; what is lost is small, and lost once.
            // SAFETY: as in `get`.
            Err(first) => unsafe { first.as_ref() }.unwrap_or(made),
        }
    }

    /// In the child of a fork: the next one who asks finds nothing.
    pub(crate) fn forget(&self) {
        // Ordering: Relaxed, without a partner; there is one thread.
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }
}
