//! `LocalSet` and `spawn_local`.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::JoinHandle;
use crate::context;
use crate::runtime::{Id, Runtime};
use crate::shared::next_id;
use crate::spawned::Origin;
use crate::spawned::local::{self, Entered, Locals};

/// Tasks whose futures need not be [`Send`]: they are polled on this thread, and on no other.
///
/// The set is a future. Its tasks run while it, or a [`run_until`](Self::run_until) of it, is
/// polled as (a part of) the future in `block_on`: that one stays on its thread in every runtime,
/// whatever becomes of the core. Dropping the set drops its tasks.
///
/// # Calls that block
///
/// All tasks of a set are polled within *one* poll, that of the root future. While a call of one of
/// them blocks, in a [`threadlet!`](crate::threadlet) too, the others of the set wait: none of them
/// could run elsewhere. What has been spawned by [`task::spawn`](super::spawn) goes on, as it does
/// beside any root future that blocks ([what is guarded](crate#what-is-guarded)). A call that is
/// not to hold up the set goes into [`spawn_blocking`](super::spawn_blocking).
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use threadlet::task::{self, LocalSet};
///
/// threadlet::block_on(async {
///     let set = LocalSet::new();
///     let names = Rc::new(["a", "b"]);
///     let answer = set
///         .run_until(async {
///             let names = names.clone();
///             task::spawn_local(async move { names.len() }).await.unwrap()
///         })
///         .await;
///     assert_eq!(answer, 2);
/// });
/// ```
pub struct LocalSet {
    pub(super) tasks: Arc<Locals>,
    id: NonZeroU64,
    /// It stays with its thread, and so do its tasks.
    thread: PhantomData<Rc<()>>,
}

impl LocalSet {
    /// A set of no task.
    pub fn new() -> LocalSet {
        LocalSet { tasks: Locals::new(), id: next_id(), thread: PhantomData }
    }

    /// Makes this the set that [`spawn_local`] spawns on, on this thread, while the guard lives.
    /// The tasks do not run before the set is polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::task::{self, LocalSet};
    ///
    /// let set = LocalSet::new();
    /// let guard = set.enter();
    /// let task = task::spawn_local(async { 7 });
    /// drop(guard);
    /// threadlet::block_on(set);
    /// assert!(task.is_finished());
    /// ```
    pub fn enter(&self) -> LocalEnterGuard {
        LocalEnterGuard { _entered: self.tasks.enter(false), thread: PhantomData }
    }

    /// Spawns a task on this set. It runs when the set is polled next.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::task::LocalSet;
    ///
    /// let set = LocalSet::new();
    /// let task = set.spawn_local(async { 7 });
    /// assert_eq!(threadlet::block_on(set.run_until(task)).unwrap(), 7);
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.tasks.spawn_local(future, Origin::caller())
    }

    /// Runs `future` to its end as the root future of `runtime`, and the tasks beside it. Those
    /// that have not ended by then wait until the set is polled again.
    ///
    /// # Panics
    ///
    /// If `future` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::task::{LocalSet, spawn_local};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Runtime::new()?;
    /// let set = LocalSet::new();
    /// let answer = set.block_on(&runtime, async { spawn_local(async { 7 }).await });
    /// assert_eq!(answer?, 7);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        runtime.block_on(self.run_until(future))
    }

    /// Runs `future` to its end, and the tasks beside it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `future`. The tasks stay in the set, and go on when it is polled again.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        self.tasks.run_until(future).await
    }

    /// The set's number: that of no other set and no runtime.
    pub fn id(&self) -> Id {
        Id::new(self.id)
    }
}

/// Runs the tasks, and is ready when none is left.
impl Future for LocalSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.tasks.run(cx, |_| None::<()>);
        if self.tasks.alive() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        self.tasks.close();
    }
}

impl Default for LocalSet {
    fn default() -> Self {
        LocalSet::new()
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSet").field("tasks", &self.tasks.alive()).finish_non_exhaustive()
    }
}

/// Keeps a [`LocalSet`] the current one of this thread.
#[must_use = "the set is left again when the guard is dropped"]
pub struct LocalEnterGuard {
    _entered: Entered,
    thread: PhantomData<Rc<()>>,
}

impl fmt::Debug for LocalEnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEnterGuard").finish_non_exhaustive()
    }
}

/// Spawns a task that stays on this thread, and whose future need not be [`Send`]: on the
/// [`LocalSet`] that is polled here or was entered last, or else on the
/// [`LocalRuntime`](crate::runtime::LocalRuntime) of this thread.
///
/// # Panics
///
/// Where there is neither. A task of [`task::spawn`](super::spawn) may be on any thread, so it is
/// in none.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use threadlet::task::{LocalSet, spawn_local};
///
/// let shared = Rc::new(7);
/// let set = LocalSet::new();
/// let answer = threadlet::block_on(set.run_until(async {
///     spawn_local(async move { *shared }).await
/// }));
/// assert_eq!(answer.unwrap(), 7);
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_from(future, Origin::caller())
}

#[track_caller]
pub(super) fn spawn_from<F>(future: F, origin: Origin<'_>) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    // Not `expect`, whose place would be this one.
    match local::current().or_else(of_the_runtime) {
        Some(tasks) => tasks.spawn_local(future, origin),
        None if in_a_local_runtime() => panic!(
            "Local tasks can only be spawned on a LocalRuntime from the thread the runtime was created \
             on: send the work there, or use `Handle::spawn`, whose tasks run there as well"
        ),
        None => panic!(
            "`spawn_local` called from outside of a `task::LocalSet` or `runtime::LocalRuntime`: call \
             it in `LocalSet::run_until` or in a task of the set, or enter the set first (a task of \
             `task::spawn` is in no set)"
        ),
    }
}

fn in_a_local_runtime() -> bool {
    context::with_shared(|shared| shared.is_some_and(|shared| shared.locals.get().is_some()))
}

fn of_the_runtime() -> Option<Arc<Locals>> {
    context::with_shared(|shared| shared?.locals.get().cloned()).filter(|tasks| tasks.is_here())
}
