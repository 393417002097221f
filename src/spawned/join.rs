//! The handles of a task.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use async_task::FallibleTask;

use super::awaiter::{Shell, is_ours};
use super::caught::{Outcome, Payload};
use super::header::{Header, Id, as_task};
use super::header_ref::HeaderRef;
use crate::coop;

/// The handle of a spawned task: a future of its result.
///
/// Dropping the handle *detaches* the task, which runs on. [`abort`](Self::abort) stops it.
///
/// # Cancel safety
///
/// Waiting for a handle by `&mut` in a `select!` or a `timeout` loses nothing: the task goes on,
/// and the handle can be awaited again.
///
/// Polled again after it has returned the result, it says that the task was cancelled.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, sleep};
///
/// threadlet::block_on(async {
///     let answer = threadlet::spawn(async { 7 });
///     assert_eq!(answer.await.unwrap(), 7);
///
///     let panics = threadlet::spawn(async { panic!("on purpose") });
///     assert!(panics.await.unwrap_err().is_panic());
///
///     let too_long = threadlet::spawn(sleep(Duration::from_secs(60)));
///     too_long.abort();
///     assert!(too_long.await.unwrap_err().is_cancelled());
/// });
/// ```
pub struct JoinHandle<T> {
    // `None` only once the task was detached by `drop`.
    task: Option<FallibleTask<Outcome<T>, Header>>,
    // Of that task; of no use without it.
    header: HeaderRef,
    // The waker of a stranger that waits for it.
    stranger: Option<Arc<Shell>>,
    // Sent, and looked at by other threads, only where the result may be sent.
    result: PhantomData<std::sync::Mutex<Box<T>>>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(task: async_task::Task<Outcome<T>, Header>) -> Self {
        #[allow(unsafe_code, reason = "one promise of `HeaderRef`")]
        // SAFETY: it stands beside the task's handle, and `drop` does not use it once that is gone.
        let header = unsafe { HeaderRef::new(task.metadata()) };
        JoinHandle { task: Some(task.fallible()), header, stranger: None, result: PhantomData }
    }

    /// The waker that `async_task` may have, in place of a stranger's.
    #[cold]
    fn shell_of(&mut self, waker: &Waker) -> Waker {
        let known = self.stranger.take().filter(|shell| shell.is_of(waker));
        let shell = known.unwrap_or_else(|| Shell::new(waker));
        self.stranger = Some(shell.clone());
        Waker::from(shell)
    }

    /// Stops the task at its next `.await`: it is not polled again, its future is dropped by the
    /// runtime, and the handle returns a [`JoinError`] that [`is_cancelled`] (or that has the
    /// panic, if dropping the future panicked).
    ///
    /// A call inside `threadlet!` or `spawn_blocking` that has started is not interrupted: it runs
    /// to its end, and so does the rest of that poll; one that has not started never will. A task
    /// that ends by itself first keeps its result.
    ///
    /// [`is_cancelled`]: JoinError::is_cancelled
    pub fn abort(&self) {
        self.header.abort();
        if let Some(waker) = self.header.waker() {
            waker.wake();
        }
    }

    /// A handle that can abort the task and ask after it, but does not wait for it.
    pub fn abort_handle(&self) -> AbortHandle {
        let Some(waker) = self.header.waker() else {
            return AbortHandle { id: self.id(), task: None };
        };
        #[allow(unsafe_code, reason = "one promise of `HeaderRef`")]
        // SAFETY: it stands beside a waker of its task.
        let header = unsafe { self.header.again() };
        AbortHandle { id: self.id(), task: Some(Kept { header, waker }) }
    }

    /// Lets go of the task, which runs on: what dropping the handle does, by smol's word for it.
    ///
    /// # Examples
    ///
    /// ```
    /// # threadlet::block_on(async {
    /// threadlet::spawn(async { println!("on its own") }).detach();
    /// # });
    /// ```
    pub fn detach(self) {}

    /// Whether the task has ended, by returning, by a panic, or because it was aborted.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(FallibleTask::is_finished)
    }

    /// The task's number.
    pub fn id(&self) -> Id {
        self.header.id
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let id = self.id();
        let Some(task) = self.task.take() else { return };
        if task.is_finished() {
            // What it has returned is dropped here.
            as_task(Some(id), || task.detach());
        } else {
            task.detach();
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(coop::poll_left(cx));
        let id = self.id();
        let shell = if is_ours(cx.waker()) { None } else { Some(self.shell_of(cx.waker())) };
        let mut cx = Context::from_waker(shell.as_ref().unwrap_or(cx.waker()));
        let task = self.task.as_mut().expect("only `drop` takes it");
        let outcome = ready!(Pin::new(task).poll(&mut cx));
        coop::spend(1);
        Poll::Ready(match outcome.and_then(Outcome::into_result) {
            Some(Ok(value)) => Ok(value),
            Some(Err(payload)) => {
                Err(JoinError { id, why: Why::Panicked(std::sync::Mutex::new(Some(payload))) })
            }
            None => Err(JoinError { id, why: Why::Cancelled }),
        })
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Aborts a task, or asks whether it has ended, without waiting for it.
///
/// It keeps the memory of the task, not the task: its future is dropped when it ends.
///
/// # Examples
///
/// ```
/// use threadlet::time::{Duration, sleep};
///
/// threadlet::block_on(async {
///     let task = threadlet::spawn(sleep(Duration::from_secs(60)));
///     let stop = task.abort_handle();
///     threadlet::spawn(async move { stop.abort() });
///     assert!(task.await.is_err());
/// });
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    id: Id,
    // `None`: the task had ended when this was made.
    task: Option<Kept>,
}

/// A task's header, and the waker that keeps it.
struct Kept {
    header: HeaderRef,
    waker: Waker,
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        #[allow(unsafe_code, reason = "one promise of `HeaderRef`")]
        // SAFETY: it stands beside a waker of its task.
        let header = unsafe { self.header.again() };
        Kept { header, waker: self.waker.clone() }
    }
}

impl AbortHandle {
    /// Stops the task at its next `.await`, as [`JoinHandle::abort`] does.
    pub fn abort(&self) {
        if let Some(task) = &self.task {
            task.header.abort();
            task.waker.wake_by_ref();
        }
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.header.is_ended())
    }

    /// The task's number.
    pub fn id(&self) -> Id {
        self.id
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Why a task has no result: it panicked, or it was cancelled.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let task = threadlet::spawn(async { panic!("seven is too much") });
///     let error = task.await.unwrap_err();
///     assert!(error.to_string().contains("seven is too much"));
///     // To go on with the panic here: `std::panic::resume_unwind(error.into_panic())`.
/// });
/// ```
pub struct JoinError {
    id: Id,
    why: Why,
}

enum Why {
    Cancelled,
    // In a lock, so that the error is `Sync` though a panic's payload need not be.
    Panicked(std::sync::Mutex<Option<Payload>>),
}

impl JoinError {
    /// The task was aborted, or its runtime was shut down.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.why, Why::Cancelled)
    }

    /// The task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.why, Why::Panicked(_))
    }

    /// What the task panicked with, for [`resume_unwind`](std::panic::resume_unwind).
    ///
    /// # Panics
    ///
    /// If the task did not panic; see [`try_into_panic`](Self::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.try_into_panic().expect("`JoinError` is not a panic: the task was cancelled")
    }

    /// What the task panicked with.
    ///
    /// # Errors
    ///
    /// The error itself, if the task was cancelled.
    pub fn try_into_panic(self) -> Result<Box<dyn std::any::Any + Send + 'static>, JoinError> {
        match self.why {
            Why::Panicked(payload) => Ok(payload
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .expect("taken by value, once")),
            Why::Cancelled => Err(self),
        }
    }

    /// The number of the task.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The text of the panic, if it is one: `panic!` with a literal or with arguments.
    fn text(&self) -> Option<String> {
        let Why::Panicked(payload) = &self.why else { return None };
        let payload = payload.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let payload = payload.as_ref()?;
        let literal = payload.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
        literal.or_else(|| payload.downcast_ref::<String>().cloned())
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_cancelled(), self.text()) {
            (true, _) => write!(f, "task {} was cancelled", self.id),
            (false, Some(text)) => write!(f, "task {} panicked with message {text:?}", self.id),
            (false, None) => write!(f, "task {} panicked", self.id),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_cancelled(), self.text()) {
            (true, _) => write!(f, "JoinError::Cancelled({:?})", self.id),
            (false, Some(text)) => write!(f, "JoinError::Panic({:?}, {text:?}, ...)", self.id),
            (false, None) => write!(f, "JoinError::Panic({:?}, ...)", self.id),
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        std::io::Error::other(error)
    }
}
