//! The primitives of the standard library, as they are.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

use std::sync::PoisonError;

/// A mutex that ignores poison: no user code runs under the runtime's locks.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

/// The guard of a [`Mutex`].
pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

/// The futex that a parker sleeps on. It has no state beside the parker's own word.
#[derive(Debug)]
pub(crate) struct Sleep;

impl Sleep {
    pub(crate) fn new() -> Self {
        Sleep
    }

    /// Sleeps while `word` is `expected`; may return early. `false`: the time is over.
    pub(crate) fn wait(
        &self,
        word: &AtomicU32,
        expected: u32,
        timeout: Option<std::time::Duration>,
    ) -> bool {
        crate::sys::futex::wait(word, expected, timeout)
    }

    /// Wakes the one thread that sleeps on `word`.
    pub(crate) fn wake(&self, word: &AtomicU32) {
        crate::sys::futex::wake_one(word);
    }
}
