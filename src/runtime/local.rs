//! `LocalRuntime`.

use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Builder, EnterGuard, Handle, Metrics, Runtime};
use crate::spawned::local::Locals;
use crate::spawned::{JoinHandle, Origin};

/// A current-thread runtime whose tasks all stay on this thread, the one that built it: they need
/// not be [`Send`].
///
/// What is spawned on it, by [`task::spawn`](crate::task::spawn) and by
/// [`task::spawn_local`](crate::task::spawn_local), runs while this thread is in
/// [`block_on`](Self::block_on), and is dropped with the runtime, on this thread. What
/// [`spawn_blocking`](Self::spawn_blocking) is given runs on other threads.
///
/// All these tasks are polled beside the future in `block_on`, in one poll, so while a call of one
/// of them blocks, in a [`threadlet!`](crate::threadlet) too, all of them wait: a call that is not
/// to hold up the others goes into `spawn_blocking`. Where tasks are `Send`,
/// [`Builder::new_current_thread`] makes a runtime in which they do not wait for each other's
/// calls.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use threadlet::runtime::LocalRuntime;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = LocalRuntime::new()?;
/// let count = Rc::new(Cell::new(0));
/// runtime.block_on(async {
///     let mine = count.clone();
///     threadlet::task::spawn_local(async move { mine.set(7) }).await
/// })?;
/// assert_eq!(count.get(), 7);
/// # Ok(())
/// # }
/// ```
pub struct LocalRuntime {
    runtime: Runtime,
    tasks: Arc<Locals>,
    thread: PhantomData<Rc<()>>,
}

/// What [`Builder::build_local`] is told: nothing, so far.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct LocalOptions {
    // What it will be told may belong to this thread.
    thread: PhantomData<*const ()>,
}

impl Builder {
    /// Makes a [`LocalRuntime`] of this thread, of a
    /// [`new_current_thread`](Builder::new_current_thread).
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); and [`InvalidInput`](io::ErrorKind::InvalidInput) of a builder
    /// that began with `new_multi_thread`.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::{Builder, LocalOptions};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_current_thread().build_local(LocalOptions::default())?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_local(&mut self, _options: LocalOptions) -> io::Result<LocalRuntime> {
        if !self.config.current_thread {
            let text = "a `LocalRuntime` has one thread: begin with `Builder::new_current_thread`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let runtime = self.build()?;
        let tasks = runtime.handle.shared.locals.get_or_init(Locals::new).clone();
        Ok(LocalRuntime { runtime, tasks, thread: PhantomData })
    }
}

impl LocalRuntime {
    /// A runtime with the defaults of [`Builder::new_current_thread`].
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> io::Result<LocalRuntime> {
        Builder::new_current_thread().build_local(LocalOptions::default())
    }

    /// A handle, to be cloned and kept. What is spawned by it, on whatever thread, runs on this
    /// one.
    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Spawns a task. It runs while this thread is in [`block_on`](Self::block_on).
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.tasks.spawn_local(future, Origin::caller())
    }

    /// Runs a closure that may block, on another thread. See
    /// [`task::spawn_blocking`](crate::task::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.spawn_blocking(f)
    }

    /// Runs a future to its end on this thread, and the tasks beside it.
    ///
    /// # Panics
    ///
    /// If `future` does.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(self.tasks.run_until(future))
    }

    /// Makes this the current runtime of this thread while the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Figures of this runtime. Tasks that stay on this thread are in none of them.
    pub fn metrics(&self) -> Metrics {
        self.runtime.metrics()
    }

    /// Shuts down, and waits for calls that still block for at most `limit`. See
    /// [`Runtime::shutdown_timeout`].
    pub fn shutdown_timeout(mut self, limit: Duration) {
        self.runtime.patience = Some(limit);
    }

    /// Shuts down without waiting.
    pub fn shutdown_background(self) {
        self.shutdown_timeout(Duration::ZERO);
    }
}

// A panic in a task is caught, and one in the future of `block_on` leaves the tasks as they were.
impl UnwindSafe for LocalRuntime {}
impl RefUnwindSafe for LocalRuntime {}

impl Drop for LocalRuntime {
    fn drop(&mut self) {
        // The tasks' destructors may use the runtime, as any task's may.
        let _entered = self.runtime.enter();
        self.tasks.close();
    }
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRuntime").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}
