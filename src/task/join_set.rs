//! `JoinSet`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::stream::{FuturesUnordered, Stream};

use super::{AbortHandle, Id, JoinError, JoinHandle, LocalSet};
use crate::runtime::Handle;

/// Tasks that belong together: they are awaited in the order in which they end, and aborted when
/// the set is dropped.
///
/// # Examples
///
/// ```
/// use threadlet::task::JoinSet;
///
/// threadlet::block_on(async {
///     let mut set = JoinSet::new();
///     for number in 1..=10 {
///         set.spawn(async move { number });
///     }
///     let mut sum = 0;
///     while let Some(number) = set.join_next().await {
///         sum += number.unwrap();
///     }
///     assert_eq!(sum, 55);
/// });
/// ```
pub struct JoinSet<T> {
    members: FuturesUnordered<Member<T>>,
}

// A `FuturesUnordered` is whole behind a panic of what it polls or wakes.
impl<T> UnwindSafe for JoinSet<T> {}
impl<T> RefUnwindSafe for JoinSet<T> {}

/// A task of a set, which says at its end who it was.
struct Member<T>(JoinHandle<T>);

type Ended<T> = (Id, Result<T, JoinError>);

impl<T> Future for Member<T> {
    type Output = Ended<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
        let id = self.0.id();
        Pin::new(&mut self.0).poll(cx).map(|result| (id, result))
    }
}

impl<T> JoinSet<T> {
    /// A set of no task.
    pub fn new() -> Self {
        JoinSet { members: FuturesUnordered::new() }
    }

    /// How many tasks are in the set. One stays there until it is joined, though it has ended.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task on the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`task::spawn`](super::spawn).
    #[track_caller]
    pub fn spawn<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(super::spawn(task))
    }

    /// Spawns a task on the runtime of `handle`.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::task::JoinSet;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Runtime::new()?;
    /// let mut set = JoinSet::new();
    /// set.spawn_on(async { 7 }, runtime.handle());
    /// assert_eq!(runtime.block_on(set.join_all()), [7]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(&mut self, task: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn(task))
    }

    /// Spawns a task on the current [`LocalSet`].
    ///
    /// # Panics
    ///
    /// Where there is none, as [`task::spawn_local`](super::spawn_local).
    #[track_caller]
    pub fn spawn_local<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(super::spawn_local(task))
    }

    /// Spawns a task on a [`LocalSet`], which need not be polled yet.
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, task: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local_set.spawn_local(task))
    }

    /// Runs a closure that may block, as a task: see
    /// [`task::spawn_blocking`](super::spawn_blocking).
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::task::JoinSet;
    ///
    /// threadlet::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     for path in ["/etc/hosts", "/etc/passwd"] {
    ///         set.spawn_blocking(move || std::fs::read(path).map(|bytes| bytes.len()));
    ///     }
    ///     for length in set.join_all().await {
    ///         assert!(length.unwrap() > 0);
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(super::spawn_blocking(f))
    }

    /// The same on the runtime of `handle`.
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn_blocking(f))
    }

    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        self.members.push(Member(handle));
        abort
    }

    /// Waits for the next task to end, and takes it out of the set. `None`: the set is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, no result is lost.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// The same, with the task's number.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, no result is lost.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Takes a task that has ended out of the set, without waiting. `None`: there is no such task.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_next().map(|(_, result)| result)
    }

    /// The same, with the task's number.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.try_next().map(with_id)
    }

    fn try_next(&mut self) -> Option<Ended<T>> {
        // Whoever waits for the set later leaves a waker of its own. Nothing is counted: with the
        // budget spent, what has ended would be taken for what has not.
        let mut cx = Context::from_waker(Waker::noop());
        match crate::coop::unlimited(|| self.poll_next(&mut cx)) {
            Poll::Ready(ended) => ended,
            Poll::Pending => None,
        }
    }

    /// The form of [`join_next`](Self::join_next) for hand-written futures. Only the last task to
    /// poll is woken.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_next(cx).map(|ended| ended.map(|(_, result)| result))
    }

    /// The form of [`join_next_with_id`](Self::join_next_with_id) for hand-written futures.
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        self.poll_next(cx).map(|ended| ended.map(with_id))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended<T>>> {
        Pin::new(&mut self.members).poll_next(cx)
    }

    /// Aborts all tasks and waits until they have ended. What they return, or panic with, is lost.
    ///
    /// A call that has started runs to its end, and is waited for.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the tasks are aborted all the same, and the wait can be begun anew.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Waits for all tasks, and returns what they returned, in the order in which they ended.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it drops the set, which aborts the tasks.
    ///
    /// # Panics
    ///
    /// If a task panicked, with what it panicked with; if one was aborted, with the error. The
    /// others are aborted then.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result {
                Ok(output) => outputs.push(output),
                Err(error) => match error.try_into_panic() {
                    Ok(payload) => resume_unwind(payload),
                    Err(cancelled) => panic!("{cancelled}"),
                },
            }
        }
        outputs
    }

    /// Aborts all tasks. They stay in the set until they are joined.
    pub fn abort_all(&mut self) {
        self.members.iter().for_each(|member| member.0.abort());
    }

    /// Takes all tasks out of the set and lets them run on.
    pub fn detach_all(&mut self) {
        drop(std::mem::take(&mut self.members));
    }
}

fn with_id<T>((id, result): Ended<T>) -> Result<(Id, T), JoinError> {
    result.map(|output| (id, output))
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.members.iter().for_each(|member| member.0.abort());
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        JoinSet::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

/// Spawns each future on the current runtime.
///
/// # Examples
///
/// ```
/// use threadlet::task::JoinSet;
///
/// threadlet::block_on(async {
///     let set: JoinSet<u32> = (1..=10).map(|number| async move { number }).collect();
///     assert_eq!(set.join_all().await.iter().sum::<u32>(), 55);
/// });
/// ```
impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}

/// Spawns each future on the current runtime.
impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        futures.into_iter().for_each(|future| drop(self.spawn(future)));
    }
}
