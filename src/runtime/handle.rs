//! References to a runtime.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::metrics::{self, Blocked, Metrics, SiteStats};
use super::{Id, NO_RUNTIME, Report, block_on, spawn_on};
use crate::call::in_place::spawn_call;
use crate::context::{self, Missing};
use crate::shared::{Shared, entered};
use crate::spawned::{JoinHandle, Origin};

/// A reference to a runtime, cheap to clone. It does not keep the runtime running: after its
/// shutdown, what is spawned is cancelled at once.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::Handle;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = threadlet::runtime::Runtime::new()?;
/// let handle: Handle = runtime.handle().clone();
/// // On a plain thread, which is in no runtime.
/// let thread = std::thread::spawn(move || {
///     let task = handle.spawn(async { 7 });
///     handle.block_on(task)
/// });
/// assert_eq!(thread.join().unwrap()?, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// The current runtime: the one entered last on this thread, or the one it belongs to.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Handle;
    ///
    /// threadlet::block_on(async {
    ///     println!("{} workers", Handle::current().metrics().workers);
    /// });
    /// ```
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// The current runtime, if there is one.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(threadlet::runtime::Handle::try_current().is_err());
    /// ```
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        context::with_shared(|shared| match shared {
            Some(shared) => Ok(Handle { shared: shared.clone() }),
            None => Err(TryCurrentError(())),
        })
    }

    /// Runs a future to its end on the calling thread. See
    /// [`Runtime::block_on`](super::Runtime::block_on).
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on::block_on(&self.shared, future)
    }

    /// Spawns a task. See [`task::spawn`](crate::task::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn_on(&self.shared, future, Origin::caller())
    }

    /// Runs a closure that may block. See
    /// [`task::spawn_blocking`](crate::task::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn_call(&self.shared, f, Origin::caller())
    }

    /// Makes this the current runtime of the calling thread while the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(self.shared.clone())
    }

    /// Which kind of runtime it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::{Handle, RuntimeFlavor};
    ///
    /// threadlet::block_on(async {
    ///     assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
    /// });
    /// ```
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        if self.shared.config.current_thread {
            RuntimeFlavor::CurrentThread
        } else {
            RuntimeFlavor::MultiThread
        }
    }

    /// The runtime's number.
    pub fn id(&self) -> Id {
        Id::new(self.shared.id)
    }

    /// The runtime's name, if it was given [one](super::Builder::name).
    pub fn name(&self) -> Option<&str> {
        self.shared.config.name.as_deref()
    }

    /// Figures of the runtime.
    pub fn metrics(&self) -> Metrics {
        metrics::metrics(&self.shared)
    }

    /// Who is blocked now, with the place in the source.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Handle;
    ///
    /// threadlet::block_on(async {
    ///     for blocked in Handle::current().blocked() {
    ///         println!("{blocked}");
    ///     }
    /// });
    /// ```
    pub fn blocked(&self) -> Vec<Blocked> {
        metrics::blocked(&self.shared)
    }

    /// What is known of each site that made a call in this runtime: the blocking profiler. Calls in
    /// a root future that is not guarded are plain calls, and are not in it; of more than 4,094
    /// sites in a process the rest is not either.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Handle;
    ///
    /// async fn read_and_tell() {
    ///     let _ = threadlet::threadlet!(std::fs::read("/etc/hosts"));
    ///     for site in Handle::current().sites() {
    ///         println!("{}:{}: {} calls, {} blocked", site.file, site.line, site.calls, site.blocked);
    ///     }
    /// }
    ///
    /// threadlet::block_on(async { threadlet::spawn(read_and_tell()).await.unwrap() });
    /// ```
    pub fn sites(&self) -> Vec<SiteStats> {
        metrics::sites(&self.shared)
    }

    /// The same as a table to be printed; [`report`](crate::report) has all runtimes in one.
    pub fn report(&self) -> Report {
        Report::of(&self.shared)
    }
}

/// Which kind a runtime is of, and of which builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// That of [`Builder::new_current_thread`](super::Builder::new_current_thread).
    CurrentThread,
    /// That of [`Builder::new_multi_thread`](super::Builder::new_multi_thread).
    MultiThread,
}

/// Outside a runtime there is no current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryCurrentError(());

impl TryCurrentError {
    /// Always: the thread is in no runtime. (In the destructor of a thread-local it may be that it
    /// was in one.)
    pub fn is_missing_context(&self) -> bool {
        true
    }

    /// Never: in the destructor of a thread-local no runtime is a missing one. For programs written
    /// for tokio, which tells the two apart.
    pub fn is_thread_local_destroyed(&self) -> bool {
        false
    }
}

impl fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(context::words(Missing::Runtime, NO_RUNTIME))
    }
}

impl std::error::Error for TryCurrentError {}

/// Keeps a runtime entered on this thread. Of several guards, the youngest that lives counts.
#[derive(Debug)]
#[must_use = "the runtime is left again when the guard is dropped"]
pub struct EnterGuard<'a> {
    _entry: Entry,
    // Bound to the handle; but a runtime that is shut down while the guard lives is no fault, so
    // what is dropped names no lifetime.
    handle: PhantomData<&'a Handle>,
}

/// An entry of this thread, undone when it is dropped.
#[derive(Debug)]
struct Entry {
    name: u64,
    // Not to be sent to another thread; it may be looked at from there.
    thread: PhantomData<std::sync::MutexGuard<'static, ()>>,
}

impl EnterGuard<'_> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let entry = Entry { name: entered::enter(shared), thread: PhantomData };
        EnterGuard { _entry: entry, handle: PhantomData }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        entered::leave(self.name);
    }
}
