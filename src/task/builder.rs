//! Tasks with names.

use std::future::Future;
use std::io;

use super::{JoinHandle, LocalSet, local_set};
use crate::call::in_place::spawn_call;
use crate::runtime::{Handle, spawn_on};
use crate::spawned::Origin;

/// Spawns a task that has a name.
///
/// The name is for people: with the feature `tracing` it is the field `task.name` of the task's span,
/// which tokio-console shows. Without that feature nobody reads it. It is not kept: what it was made
/// of may be dropped once the task is spawned.
///
/// The methods are tokio's, and so is the [`io::Result`] that they give: here it is always `Ok`.
///
/// # Examples
///
/// ```
/// use threadlet::task::Builder;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     for line in ["north", "south"] {
///         let task = Builder::new().name(&format!("line {line}")).spawn(async move { line.len() })?;
///         assert_eq!(task.await?, 5);
///     }
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "it does nothing until something is spawned with it"]
pub struct Builder<'a> {
    name: &'a str,
}

impl<'a> Builder<'a> {
    /// For a task without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the task. Two tasks may have the same.
    pub fn name(&self, name: &'a str) -> Self {
        Builder { name }
    }

    /// As [`task::spawn`](super::spawn).
    ///
    /// # Errors
    ///
    /// None.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Ok(super::spawn_from(future, self.origin()))
    }

    /// As [`Handle::spawn`].
    ///
    /// # Errors
    ///
    /// None.
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Ok(spawn_on(&handle.shared, future, self.origin()))
    }

    /// As [`task::spawn_local`](super::spawn_local).
    ///
    /// # Errors
    ///
    /// None.
    ///
    /// # Panics
    ///
    /// Where nothing runs tasks that stay on one thread.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(local_set::spawn_from(future, self.origin()))
    }

    /// As [`LocalSet::spawn_local`].
    ///
    /// # Errors
    ///
    /// None.
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, set: &LocalSet) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(set.tasks.spawn_local(future, self.origin()))
    }

    /// As [`task::spawn_blocking`](super::spawn_blocking).
    ///
    /// # Errors
    ///
    /// None.
    ///
    /// # Panics
    ///
    /// If the global runtime is needed and cannot be started.
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(super::spawn_blocking_from(f, self.origin()))
    }

    /// As [`Handle::spawn_blocking`].
    ///
    /// # Errors
    ///
    /// None.
    #[track_caller]
    pub fn spawn_blocking_on<F, T>(self, f: F, handle: &Handle) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(spawn_call(&handle.shared, f, self.origin()))
    }

    #[track_caller]
    fn origin(self) -> Origin<'a> {
        Origin { name: self.name, ..Origin::caller() }
    }
}
