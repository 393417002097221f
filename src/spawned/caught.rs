//! A future whose panics stay inside: in a poll, in its own `Drop`, in the `Drop` of its output.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::awaiter::poll_with_ours;
use super::header_ref::HeaderRef;
use crate::primitive::quietly;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// The result of a task; `None` if it was stopped. Dropping it unseen (the handle was detached)
/// does not unwind: a value whose `Drop` panics must not take a worker with it.
#[derive(Debug)]
pub(crate) struct Outcome<T>(Option<Result<T, Payload>>);

impl<T> Outcome<T> {
    pub(crate) fn into_result(mut self) -> Option<Result<T, Payload>> {
        self.0.take()
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        if let Some(result) = self.0.take() {
            quietly(|| drop(result));
        }
    }
}

pin_project! {
    /// The future of a task, and the task's header until the future is gone.
    pub(crate) struct Caught<F: Future> {
        #[pin]
        future: Option<F>,
        header: Option<HeaderRef>,
    }

    impl<F: Future> PinnedDrop for Caught<F> {
        fn drop(this: Pin<&mut Self>) {
            // It was cancelled, and that is what its handle says.
            let panicked = this.finish();
            quietly(|| drop(panicked));
        }
    }
}

impl<F: Future> Caught<F> {
    /// `header` is that of the task whose future it is.
    pub(super) fn new(future: F, header: HeaderRef) -> Self {
        Caught { future: Some(future), header: Some(header) }
    }

    /// Drops the future. Returns what that panicked with.
    fn finish(self: Pin<&mut Self>) -> Option<Payload> {
        let this = self.project();
        let panicked = drop_future(this.future);
        if let Some(header) = this.header.take() {
            header.end();
        }
        panicked
    }

    /// Polls the future, and drops it while a panic of that poll unwinds: a lock that it holds is
    /// poisoned then, as it would be without us.
    fn poll_future(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        struct DropIt<'f, F>(Option<Pin<&'f mut Option<F>>>);
        impl<F> Drop for DropIt<'_, F> {
            fn drop(&mut self) {
                if let Some(future) = self.0.take() {
                    // Of two panics the first is the cause.
                    quietly(|| drop(drop_future(future)));
                }
            }
        }
        let mut guard = DropIt(Some(self.project().future));
        let future = guard.0.as_mut().and_then(|future| future.as_mut().as_pin_mut());
        let future = future.expect("a task is not polled after its end");
        // The waker is the task's, by `async_task`.
        let poll = poll_with_ours(future, cx);
        guard.0 = None;
        poll
    }
}

/// Returns what the drop panicked with.
fn drop_future<F>(mut future: Pin<&mut Option<F>>) -> Option<Payload> {
    catch_unwind(AssertUnwindSafe(|| future.set(None))).err()
}

impl<F: Future> Future for Caught<F> {
    type Output = Outcome<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Here and not before the task is run: whoever stops a task says so first and wakes it
        // then. While it is queued that wake does nothing, and a look from outside could still have
        // come before the word. Here the task counts as running. Either the wake came before it
        // began to run, and the word is seen; or it comes later, and the task will be polled again.
        if self.header.as_ref().is_some_and(|header| header.is_over()) {
            // That it was stopped is no reason to keep a panic from whoever waits for it.
            let panicked = self.finish();
            return Poll::Ready(Outcome(panicked.map(Err)));
        }
        let poll = AssertUnwindSafe(|| self.as_mut().poll_future(cx));
        let result = match catch_unwind(poll) {
            Ok(poll) => Ok(ready!(poll)),
            Err(payload) => Err(payload),
        };
        // The future goes before its result is seen, so that what it borrowed or locked is free
        // again when the one that joins it runs.
        let panicked = self.finish();
        let result = match (result, panicked) {
            (Ok(output), Some(payload)) => {
                quietly(|| drop(output));
                Err(payload)
            }
            // Of two panics the first is the cause.
            (result, second) => {
                quietly(|| drop(second));
                result
            }
        };
        Poll::Ready(Outcome(Some(result)))
    }
}
