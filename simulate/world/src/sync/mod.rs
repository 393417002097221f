//! `std::sync`, of the world.

pub use ::std::sync::*;

pub mod atomic;
pub mod mpsc;

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::engine;

/// As the standard library's; never poisoned.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    held: Cell<bool>,
    /// How many sleep for it.
    wanted: Cell<u32>,
    value: UnsafeCell<T>,
}

// SAFETY: the threads of a world are on one real thread; one of them has the lock.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// As the standard library's.
pub struct MutexGuard<'a, T: ?Sized> {
    of: &'a Mutex<T>,
    here: PhantomData<*const ()>,
}

// SAFETY: a reference to it gives no more than one to its value.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Mutex { held: Cell::new(false), wanted: Cell::new(0), value: UnsafeCell::new(value) }
    }

    /// # Errors
    ///
    /// Never.
    pub fn into_inner(self) -> LockResult<T> {
        Ok(self.value.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    fn key(&self) -> usize {
        std::ptr::from_ref(&self.held).addr()
    }

    /// # Errors
    ///
    /// Never.
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        engine::point();
        while self.held.get() {
            self.wanted.set(self.wanted.get() + 1);
            engine::sleep(self.key(), None);
            self.wanted.set(self.wanted.get() - 1);
        }
        self.held.set(true);
        Ok(MutexGuard { of: self, here: PhantomData })
    }

    /// # Errors
    ///
    /// If another has it.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        engine::point();
        if self.held.replace(true) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(MutexGuard { of: self, here: PhantomData })
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.of.held.set(false);
        if self.of.wanted.get() > 0 {
            engine::wake(self.of.key(), 1);
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has the guard has the lock, and with it the value.
        unsafe { &*self.of.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.of.value.get() }
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("held", &self.held.get()).finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// As the standard library's.
#[derive(Debug, Default)]
pub struct Condvar(Cell<u8>);

// SAFETY: it is an address, and no more.
unsafe impl Sync for Condvar {}

/// As the standard library's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub const fn new() -> Self {
        Condvar(Cell::new(0))
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(&self.0).addr()
    }

    #[track_caller]
    fn sleep<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        until: Option<u64>,
    ) -> (MutexGuard<'a, T>, bool) {
        let of = guard.of;
        drop(guard);
        let timed_out = engine::sleep(self.key(), until);
        (of.lock().unwrap_or_else(PoisonError::into_inner), timed_out)
    }

    /// # Errors
    ///
    /// Never.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        Ok(self.sleep(guard, None).0)
    }

    /// # Errors
    ///
    /// Never.
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let limit = limit.as_nanos().try_into().unwrap_or(u64::MAX);
        let (guard, timed_out) = self.sleep(guard, Some(engine::now().saturating_add(limit)));
        Ok((guard, WaitTimeoutResult(timed_out)))
    }

    pub fn notify_one(&self) {
        engine::point();
        engine::wake(self.key(), 1);
    }

    pub fn notify_all(&self) {
        engine::point();
        engine::wake(self.key(), usize::MAX);
    }
}

/// As the standard library's.
pub struct OnceLock<T> {
    state: Cell<Stage>,
    value: UnsafeCell<Option<T>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Empty,
    /// Somebody makes the value.
    Begun,
    Full,
}

// SAFETY: the threads of a world are on one real thread; the value is written once, before it is
// shown.
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}

impl<T> OnceLock<T> {
    pub const fn new() -> Self {
        OnceLock { state: Cell::new(Stage::Empty), value: UnsafeCell::new(None) }
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(&self.state).addr()
    }

    #[inline]
    fn value(&self) -> Option<&T> {
        if self.state.get() != Stage::Full {
            return None;
        }
        // SAFETY: it is full, and nobody writes it again.
        unsafe { &*self.value.get() }.as_ref()
    }

    #[inline]
    pub fn get(&self) -> Option<&T> {
        engine::point();
        self.value()
    }

    /// # Errors
    ///
    /// The value, if there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        engine::point();
        while self.state.get() == Stage::Begun {
            engine::sleep(self.key(), None);
        }
        if self.state.get() == Stage::Empty {
            self.state.set(Stage::Begun);
            let made = f();
            // SAFETY: only the one that has begun writes, and nobody reads before it is full.
            unsafe { *self.value.get() = Some(made) };
            self.state.set(Stage::Full);
            engine::wake(self.key(), usize::MAX);
        }
        self.value().expect("it is full")
    }

    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.value()).finish()
    }
}
