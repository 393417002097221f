//! References to a runtime.

use std::cell::Cell;
use std::ops::Deref;

use threadlet::runtime as ours;

use super::{Id, RuntimeFlavor, RuntimeMetrics, TryCurrentError};
use crate::part;
use crate::task::JoinHandle;

/// A reference to a runtime, as [tokio's](https://docs.rs/tokio/1.54/tokio/runtime/struct.Handle.html).
#[derive(Clone, Debug)]
pub struct Handle(pub(super) ours::Handle);

impl Handle {
    /// That of the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn current() -> Handle {
        part::take();
        Handle(ours::Handle::current())
    }

    /// That of the current runtime, if there is one.
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        part::take();
        ours::Handle::try_current().map(Handle)
    }

    /// Makes it the current one of this thread while the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(self.0.enter())
    }

    /// Starts a task.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    /// Runs a closure that may block.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.0.spawn_blocking(func)
    }

    /// Runs a future to its end.
    ///
    /// # Panics
    ///
    /// In a task, or in another `block_on`, but for a call there that may block.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        part::demand_blocking();
        self.0.block_on(future)
    }

    /// Which kind it is of.
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        self.0.runtime_flavor()
    }

    /// Its number.
    pub fn id(&self) -> Id {
        self.0.id()
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.0.name()
    }

    /// Figures of it.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.0.metrics()
    }
}

impl Deref for Handle {
    type Target = ours::Handle;

    fn deref(&self) -> &ours::Handle {
        &self.0
    }
}

thread_local! {
    /// How many guards this thread has.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Keeps a runtime the current one of this thread.
///
/// # Panics
///
/// When it is dropped, if one that was made after it still lives.
#[derive(Debug)]
#[must_use = "the runtime is left again when the guard is dropped"]
pub struct EnterGuard<'a> {
    _nth: Nth,
    _ours: ours::EnterGuard<'a>,
}

impl<'a> EnterGuard<'a> {
    pub(super) fn new(ours: ours::EnterGuard<'a>) -> Self {
        let depth = DEPTH.get() + 1;
        DEPTH.set(depth);
        EnterGuard { _nth: Nth(depth), _ours: ours }
    }
}

/// Which guard it is of those that live. Not the guard itself: with a destructor of its own that one
/// would borrow the runtime to its end, and tokio's does not.
#[derive(Debug)]
struct Nth(usize);

impl Drop for Nth {
    fn drop(&mut self) {
        let depth = DEPTH.replace(DEPTH.get().saturating_sub(1));
        assert!(
            depth == self.0 || std::thread::panicking(),
            "`EnterGuard` values dropped out of order. Guards returned by \
             `tokio::runtime::Handle::enter()` must be dropped in the reverse order as they were \
             acquired."
        );
    }
}
