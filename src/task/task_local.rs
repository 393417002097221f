//! `task_local!`: values that a future carries along.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pin_project_lite::pin_project;

/// Declares values that a future carries along: like `thread_local!`, with a [`LocalKey`] that has
/// a value only within [`scope`](LocalKey::scope).
///
/// # Examples
///
/// ```
/// threadlet::task_local! {
///     /// Who asks.
///     pub static USER: String;
///     static DEPTH: u32;
/// }
///
/// threadlet::block_on(async {
///     let name = USER.scope("ada".to_owned(), async { USER.with(|user| user.len()) }).await;
///     assert_eq!(name, 3);
///     assert_eq!(DEPTH.sync_scope(1, || DEPTH.get()), 1);
/// });
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attr])* $vis static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty) => {
        $(#[$attr])*
        $vis static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static PLACE: ::std::cell::RefCell<::core::option::Option<$type>> = const {
                    ::std::cell::RefCell::new(::core::option::Option::None)
                };
            }
            $crate::task::LocalKey { __place: PLACE }
        };
    };
}

/// The key of a value that a future carries along, made by [`task_local!`](crate::task_local).
///
/// While a [`scope`](Self::scope) is polled, its value stands in a thread-local, and is taken back
/// before the poll returns: the future may go on on another thread. (A call in
/// [`threadlet!`](crate::threadlet) stays on its thread, and finds the value.) What is spawned
/// inside is another task, and does not have it.
pub struct LocalKey<T: 'static> {
    #[doc(hidden)]
    pub __place: thread::LocalKey<RefCell<Option<T>>>,
}

/// Why a value could not be put into its place.
enum Refused {
    /// Somebody looks at what is there.
    Borrowed,
    /// The thread ends.
    Gone,
}

impl Refused {
    #[track_caller]
    fn panic(&self) -> ! {
        match self {
            Refused::Borrowed => panic!(
                "a scope of a task-local cannot be entered inside `with` of the same key: take a \
                 copy with `get`"
            ),
            Refused::Gone => panic!(
                "a scope of a task-local cannot be entered in the destructor of a thread-local: the \
                 thread has none any more"
            ),
        }
    }
}

impl<T: 'static> LocalKey<T> {
    /// A future that carries `value` along while it polls `future`.
    ///
    /// # Panics
    ///
    /// The future panics when it is polled inside a [`with`](Self::with) of the same key, or in the
    /// destructor of a thread-local.
    ///
    /// # Examples
    ///
    /// ```
    /// threadlet::task_local!(static NUMBER: u32);
    ///
    /// threadlet::block_on(NUMBER.scope(7, async {
    ///     assert_eq!(NUMBER.get(), 7);
    /// }));
    /// ```
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture { key: self, value: Some(value), future: Some(future) }
    }

    /// Runs `f` with `value` in place.
    ///
    /// # Panics
    ///
    /// If `f` does; inside a [`with`](Self::with) of the same key; in the destructor of a
    /// thread-local.
    #[track_caller]
    pub fn sync_scope<F, R>(&'static self, value: T, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        let mut value = Some(value);
        match self.within(&mut value, f) {
            Ok(result) => result,
            Err(refused) => refused.panic(),
        }
    }

    /// Runs `f` with what is in `value`; what is in place afterwards, if it is still there, is put
    /// back into `value`.
    fn within<R>(
        &'static self,
        value: &mut Option<T>,
        f: impl FnOnce() -> R,
    ) -> Result<R, Refused> {
        struct Restore<'v, T: 'static>(&'static LocalKey<T>, &'v mut Option<T>);
        impl<T: 'static> Drop for Restore<'_, T> {
            fn drop(&mut self) {
                // It cannot be borrowed: who borrows it is called inside `f`.
                let _gone = self.0.__place.try_with(|place| {
                    if let Ok(mut place) = place.try_borrow_mut() {
                        mem::swap(&mut *place, self.1);
                    }
                });
            }
        }
        self.__place
            .try_with(|place| match place.try_borrow_mut() {
                Ok(mut place) => {
                    mem::swap(&mut *place, value);
                    Ok(())
                }
                Err(_) => Err(Refused::Borrowed),
            })
            .unwrap_or(Err(Refused::Gone))?;
        let _restore = Restore(self, value);
        Ok(f())
    }

    /// Runs `f` with the value.
    ///
    /// # Panics
    ///
    /// If there is none, outside a [`scope`](Self::scope).
    #[track_caller]
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs `f` with the value.
    ///
    /// # Errors
    ///
    /// If there is none, outside a [`scope`](Self::scope).
    ///
    /// # Examples
    ///
    /// ```
    /// threadlet::task_local!(static NUMBER: u32);
    ///
    /// assert!(NUMBER.try_with(|number| *number).is_err());
    /// ```
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        let with = |place: &RefCell<Option<T>>| place.borrow().as_ref().map(f);
        self.__place.try_with(with).ok().flatten().ok_or(AccessError(()))
    }
}

impl<T: Clone + 'static> LocalKey<T> {
    /// A copy of the value.
    ///
    /// # Panics
    ///
    /// If there is none, outside a [`scope`](Self::scope).
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// A copy of the value.
    ///
    /// # Errors
    ///
    /// If there is none, outside a [`scope`](Self::scope).
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`LocalKey::scope`]. What it carries is in place while the inner future is
    /// dropped, too.
    #[must_use = "futures do nothing unless you await or poll them"]
    pub struct TaskLocalFuture<T, F>
    where
        T: 'static,
    {
        key: &'static LocalKey<T>,
        value: Option<T>,
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let future = &mut this.future;
                // Where it cannot be in place, the future is dropped all the same, behind this.
                let _refused = this.key.within(this.value, || future.set(None));
            }
        }
    }
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value out: before the first poll, between two, or at the end. Afterwards the
    /// future is polled without one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    ///
    /// threadlet::task_local!(static NUMBER: u32);
    ///
    /// threadlet::block_on(async {
    ///     let mut scope = pin!(NUMBER.scope(7, async {}));
    ///     scope.as_mut().await;
    ///     assert_eq!(scope.take_value(), Some(7));
    /// });
    /// ```
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.project().value.take()
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let future = &mut this.future;
        let poll = || {
            let polled = future.as_mut().as_pin_mut()?.poll(cx);
            if polled.is_ready() {
                // Inside the scope, where its destructors find the value.
                future.set(None);
            }
            Some(polled)
        };
        match this.key.within(this.value, poll) {
            Ok(Some(polled)) => polled,
            Ok(None) => panic!("the future of a task-local's scope was polled after its end"),
            Err(refused) => refused.panic(),
        }
    }
}

impl<T: fmt::Debug + 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").field("value", &self.value).finish_non_exhaustive()
    }
}

/// Outside a scope a task-local has no value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Debug for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessError").finish()
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task-local has no value here: it has one within `LocalKey::scope` only")
    }
}

impl Error for AccessError {}
