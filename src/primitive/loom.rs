//! The same names from loom, which explores every order of every access.

pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// A mutex that ignores poison: no user code runs under the runtime's locks.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

/// The guard of a [`Mutex`].
pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("loom mutexes are never poisoned here")
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// The futex that a parker sleeps on, from a lock and a condition variable.
#[derive(Debug)]
pub(crate) struct Sleep {
    lock: loom::sync::Mutex<()>,
    woken: loom::sync::Condvar,
}

impl Sleep {
    pub(crate) fn new() -> Self {
        Sleep { lock: loom::sync::Mutex::new(()), woken: loom::sync::Condvar::new() }
    }

    /// Sleeps while `word` is `expected`. A timed sleep ends at once: in a model every moment is
    /// the last.
    pub(crate) fn wait(
        &self,
        word: &AtomicU32,
        expected: u32,
        timeout: Option<std::time::Duration>,
    ) -> bool {
        if timeout.is_some() {
            loom::thread::yield_now();
            return false;
        }
        let mut guard = self.lock.lock().expect("never poisoned");
        while word.load(Ordering::SeqCst) == expected {
            guard = self.woken.wait(guard).expect("never poisoned");
        }
        true
    }

    /// Wakes the one thread that sleeps on `word`.
    pub(crate) fn wake(&self, _word: &AtomicU32) {
        let _guard = self.lock.lock().expect("never poisoned");
        self.woken.notify_all();
    }
}
