//! The handles of a task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::handle::RawHandle;
use super::header::Id;
use super::raw::{Payload, TaskRef};
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
pub struct JoinHandle<T>(RawHandle<T>);

impl<T> JoinHandle<T> {
    pub(super) fn new(handle: RawHandle<T>) -> Self {
        JoinHandle(handle)
    }

    /// One more reference to the task.
    #[cfg(test)]
    pub(super) fn task(&self) -> TaskRef {
        self.0.task()
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
        abort(&self.0.task());
    }

    /// A handle that can abort the task and ask after it, but does not wait for it.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(self.0.task())
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
        self.0.header().word.is_complete()
    }

    /// The task's number.
    pub fn id(&self) -> Id {
        self.0.header().id
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(coop::poll_left(cx));
        let outcome = ready!(self.0.poll(cx.waker()));
        coop::spend(1);
        let id = self.id();
        Poll::Ready(match outcome {
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
pub struct AbortHandle(TaskRef);

/// In a child of `fork` nobody runs the task, and a lock that is on its way may be held by a thread
/// that is not there.
fn abort(task: &TaskRef) {
    if task.keeper().owned().is_some() {
        task.abort();
    }
}

impl AbortHandle {
    /// Stops the task at its next `.await`, as [`JoinHandle::abort`] does.
    pub fn abort(&self) {
        abort(&self.0);
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.0.word.is_complete()
    }

    /// The task's number.
    pub fn id(&self) -> Id {
        self.0.id
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
