//! Tasks, and calls that block.
//!
//! The names are tokio's. What differs is the price: [`spawn_blocking`] and [`block_in_place`]
//! run their closure on the thread that is here, and a spare thread takes over the other tasks only
//! if the closure really blocks (or computes for longer than
//! [`hog_after`](crate::runtime::Builder::hog_after)).

mod builder;
mod join_set;
mod local_set;
mod task_local;

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use self::builder::Builder;
pub use self::coop::{Unconstrained, consume_budget, unconstrained};
pub use self::join_set::JoinSet;
pub use self::local_set::{LocalEnterGuard, LocalSet, spawn_local};
pub use self::task_local::{AccessError, LocalKey};
use crate::call::in_place::{run_here, spawn_call};
use crate::context::{self, Missing};
use crate::runtime::Handle;
pub use crate::spawned::{AbortHandle, Id, JoinError, JoinHandle};
use crate::spawned::{Origin, told};
pub use crate::unblock::{Unblocked, unblock};

/// The cooperative budget: what is always ready lets others have their turn.
///
/// A poll of a task, or of the future given to `block_on`, begins with 128 units. What may be ready
/// again and again spends one each time: reading and writing a socket, accepting, a timer, the
/// handle of a task, an [`Unblock`](crate::Unblock), a file, an operation of [`aio`](crate::aio); a
/// [`threadlet!`](crate::threadlet) spends two. With none left they are pending, once, though they
/// are ready: the task goes to the end of its queue, and begins anew. So a loop around them can be
/// ended by a [`timeout`](crate::time::timeout()), by an
/// [`abort`](JoinHandle::abort) and by the end of the runtime, and others have their turn.
///
/// What this crate does not know is not counted: the channels and locks of other crates, and
/// computing. [`consume_budget`] and [`cooperative`](coop::cooperative) make them count;
/// [`unconstrained`] lets nothing count. Waiting for readiness alone
/// ([`readable`](crate::net::TcpStream::readable) and the like) does not count, and neither do the
/// methods `try_...`, which are no futures.
///
/// Outside a runtime of this crate nothing is counted and nothing refused.
pub mod coop {
    pub use crate::coop::{
        Coop, RestoreOnPending, Unconstrained, consume_budget, cooperative, has_budget_remaining,
        poll_proceed, unconstrained,
    };
}

/// Spawns a task on the current runtime.
///
/// The task starts at once, whether or not its handle is awaited; dropping the handle detaches it.
///
/// # Panics
///
/// Outside a runtime: call it in a task, in `block_on`, or while [`Handle::enter`]'s guard lives.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let handle = threadlet::spawn(async { 1 + 1 });
///     assert_eq!(handle.await.unwrap(), 2);
/// });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_from(future, Origin::caller())
}

#[track_caller]
fn spawn_from<F>(future: F, origin: Origin<'_>) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let spawned = context::with_shared(|shared| {
        shared.map(|shared| crate::runtime::spawn_on(shared, future, origin))
    });
    // Not in the closure, which would hide the caller's place from the panic.
    match spawned {
        Some(handle) => handle,
        None => panic!("{}", context::words(Missing::Runtime, crate::runtime::NO_RUNTIME)),
    }
}

/// Runs a closure that may block or compute for long, as a task of its own.
///
/// The caller's task goes on: use it where [`threadlet!`](crate::threadlet) would hold up a
/// `select!`, a `join!` or a `timeout`. The closure starts on a worker without a hop to another
/// thread; if it blocks, or runs for longer than
/// [`hog_after`](crate::runtime::Builder::hog_after), a spare thread takes over that worker's other
/// tasks. Outside a runtime it goes to a global one, which is started at the first such call and
/// lives as long as the process.
///
/// In a current-thread runtime the closure never runs on the thread that polls the future of
/// `block_on`, so it may wait for what that future does; and it runs though nobody is in
/// `block_on`.
///
/// # Cancel safety
///
/// Dropping the handle detaches the closure ([`unblock`] has a future that cancels).
/// [`JoinHandle::abort`] keeps one that has not started from starting; one that has started runs to
/// its end.
///
/// # Shutting down
///
/// A closure that was accepted runs, though its runtime is shut down before it has started:
/// [`Runtime::shutdown_timeout`](crate::runtime::Runtime::shutdown_timeout) and dropping the runtime
/// wait for it as for one that has. (By then there are no spare threads any more: those that are
/// left run them one after another.) One that comes when the shutdown has begun is cancelled.
///
/// # Panics
///
/// A panic in `f` becomes a [`JoinError`]. The call itself panics if the global runtime is needed
/// and cannot be started.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let hosts = threadlet::task::spawn_blocking(|| std::fs::read("/etc/hosts")).await.unwrap();
///     assert!(hosts.is_ok());
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_blocking_from(f, Origin::caller())
}

fn spawn_blocking_from<F, T>(f: F, origin: Origin<'_>) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = Handle::try_current().unwrap_or_else(|_| crate::runtime::global());
    spawn_call(&handle.shared, f, origin)
}

/// Runs a closure that may block, right here.
///
/// tokio's name for [`run`](crate::run). Unlike tokio's it costs next to nothing if the closure
/// does not block, and it never panics for the flavour of the runtime: outside a runtime, in
/// another runtime, or inside another such call, it is a plain call.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let text = threadlet::task::block_in_place(|| std::fs::read_to_string("/etc/hosts"));
///     assert!(text.is_ok());
/// });
/// ```
#[track_caller]
pub fn block_in_place<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    run_here(Location::caller(), "block_in_place", f)
}

/// The number of the task that is polled, or dropped, on this thread.
///
/// # Panics
///
/// Outside a task: in the future of `block_on`, or on a plain thread.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let task = threadlet::spawn(async { threadlet::task::id() });
///     let id = task.id();
///     assert_eq!(task.await.unwrap(), id);
/// });
/// ```
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("there is no task here: `task::try_id` tells without a panic"),
    }
}

/// The number of the task that is polled, or dropped, on this thread; `None` outside a task.
///
/// # Examples
///
/// ```
/// assert!(threadlet::task::try_id().is_none());
/// ```
pub fn try_id() -> Option<Id> {
    told().or_else(context::polled_task)
}

/// Futures of this module.
pub mod futures {
    pub use super::task_local::TaskLocalFuture;
}

/// Lets other tasks run, once.
///
/// With nobody else in line, the worker looks at the sockets in between: who yields until something
/// has come over one need not wait for the next regular look.
///
/// # Cancel safety
///
/// Dropping it before it is ready has no effect but that the task does not wait.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     threadlet::task::yield_now().await;
/// });
/// ```
pub async fn yield_now() {
    YieldNow(false).await;
}

struct YieldNow(bool);

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        if !context::yield_at(cx.waker()) {
            context::yields();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
