//! A stack to which any thread, and any signal handler, may push.

use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// In what is pushed: which is below it.
pub(crate) struct Link<T>(AtomicPtr<T>);

/// What can be pushed: to one stack, and while it is there not again.
pub(crate) trait Linked: Sized + Send + Sync {
    fn link(&self) -> &Link<Self>;
}

/// The things themselves; a push neither allocates nor waits.
pub(crate) struct Stack<T: Linked>(AtomicPtr<T>);

impl<T> Default for Link<T> {
    fn default() -> Self {
        Link(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl<T: Linked> fmt::Debug for Stack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

impl<T: Linked> Stack<T> {
    pub(crate) const fn new() -> Stack<T> {
        Stack(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn push(&self, thing: Arc<T>) {
        let thing = Arc::into_raw(thing).cast_mut();
        // Ordering: Relaxed, a first guess.
        let mut top = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: it is ours until it has been pushed.
            let link = unsafe { &*thing }.link();
            // Ordering: Relaxed; the exchange below brings it.
            link.0.store(top, Ordering::Relaxed);
            // Ordering: Release. Partner: the swap in `take`. If it fails, Relaxed: what is there
            // is not looked at.
            match self.0.compare_exchange_weak(top, thing, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => top = other,
            }
        }
    }

    /// Whether it is empty, as far as the caller has heard of pushes.
    pub(crate) fn is_empty(&self) -> bool {
        // Ordering: Relaxed: whoever has to see a push comes behind it by other means.
        self.0.load(Ordering::Relaxed).is_null()
    }

    /// Takes all, those that came first first.
    pub(crate) fn take(&self) -> Vec<Arc<T>> {
        // What is pushed meanwhile is for the next.
        if self.is_empty() {
            return Vec::new();
        }
        // Ordering: Acquire. Partner: the exchange in `push`, and through it, as each of them goes
        // on with what it has found, those before.
        let mut next = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        let mut all = Vec::new();
        while !next.is_null() {
            // SAFETY: from `push`, and taken once, by the swap.
            let thing = unsafe { Arc::from_raw(next.cast_const()) };
            // Ordering: Relaxed, as above.
            next = thing.link().0.load(Ordering::Relaxed);
            all.push(thing);
        }
        all.reverse();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(usize, Link<Number>);

    impl Linked for Number {
        fn link(&self) -> &Link<Number> {
            &self.1
        }
    }

    #[test]
    fn all_that_several_push_is_taken_once_and_in_order() {
        const EACH: usize = 10_000;
        let stack = Stack::new();
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            let push = |thread: usize| {
                let stack = &stack;
                scope.spawn(move || {
                    for number in 0..EACH {
                        stack.push(Arc::new(Number(thread * EACH + number, Link::default())));
                    }
                });
            };
            push(0);
            push(1);
            while taken.len() < 2 * EACH {
                taken.extend(stack.take().into_iter().map(|number| number.0));
            }
        });
        let of = |thread| taken.iter().copied().filter(move |number| number / EACH == thread);
        assert!(of(0).eq(0..EACH) && of(1).eq(EACH..2 * EACH));
    }
}
