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
    pub(crate) fn get_or_leak(&self, value: Box<T>) -> &'static T {
        let made = Box::into_raw(value);
        let null = ptr::null_mut();
        // Ordering: AcqRel, and Acquire if it fails. Partner: `get`, and the
        // other way round whoever is second here.
        let place = match self.0.compare_exchange(null, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(first) => {
                // SAFETY: from the box above, and nobody has seen it.
                drop(unsafe { Box::from_raw(made) });
                first
            }
        };
        // SAFETY: not null, and from here, where nothing is freed that was put in place.
        unsafe { &*place }
    }

    /// In the child of a fork: the next one who asks finds nothing.
    pub(crate) fn forget(&self) {
        // Ordering: Relaxed, without a partner; there is one thread.
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Barrier};

    use super::*;

    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn of_those_that_race_one_is_kept_and_the_others_are_freed() {
        for _ in 0..100 {
            let (place, freed) = (Leaked::new(), Arc::new(AtomicUsize::new(0)));
            let all = Barrier::new(4);
            let kept = std::thread::scope(|scope| {
                let race = || {
                    let value = Box::new(Counted(freed.clone()));
                    all.wait();
                    ptr::from_ref(place.get_or_leak(value)).addr()
                };
                let threads = [(); 4].map(|()| scope.spawn(race));
                threads.map(|thread| thread.join().unwrap())
            });
            assert_eq!(freed.load(Ordering::Relaxed), 3);
            assert!(kept.iter().all(|address| *address == kept[0]));
            assert_eq!(place.get().map(|value| ptr::from_ref(value).addr()), Some(kept[0]));
            // SAFETY: from a box of the test, and nobody looks at it any more.
            drop(unsafe { Box::from_raw(place.0.load(Ordering::Relaxed)) });
        }
    }
}
