//! A future whose panics stay inside: in a poll, in its own `Drop`, in the `Drop` of its output.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// The result of a task. Dropping it unseen (the handle was detached) does not unwind: a value
/// whose `Drop` panics must not take a worker with it.
#[derive(Debug)]
pub(crate) struct Outcome<T>(Option<Result<T, Payload>>);

impl<T> Outcome<T> {
    pub(crate) fn into_result(mut self) -> Result<T, Payload> {
        self.0.take().expect("taken once")
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        if let Some(result) = self.0.take() {
            quietly(|| drop(result));
        }
    }
}

/// Runs `f`, and drops what it may have panicked with.
pub(crate) fn quietly(f: impl FnOnce()) {
    let mut caught = catch_unwind(AssertUnwindSafe(f)).err();
    // The payload of a panic may panic in its own `Drop`, and so on. Somebody who builds that
    // on purpose gets a leak.
    for _ in 0..2 {
        let Some(payload) = caught else { return };
        caught = catch_unwind(AssertUnwindSafe(|| drop(payload))).err();
    }
    std::mem::forget(caught);
}

pin_project! {
    /// The future of a task, together with what is to happen when it is gone.
    pub(crate) struct Caught<F: Future, D: FnOnce()> {
        #[pin]
        future: Option<F>,
        on_drop: Option<D>,
    }

    impl<F: Future, D: FnOnce()> PinnedDrop for Caught<F, D> {
        fn drop(this: Pin<&mut Self>) {
            this.finish();
        }
    }
}

impl<F: Future, D: FnOnce()> Caught<F, D> {
    pub(crate) fn new(future: F, on_drop: D) -> Self {
        Caught { future: Some(future), on_drop: Some(on_drop) }
    }

    fn finish(self: Pin<&mut Self>) {
        let mut this = self.project();
        quietly(|| this.future.set(None));
        if let Some(on_drop) = this.on_drop.take() {
            on_drop();
        }
    }
}

impl<F: Future, D: FnOnce()> Future for Caught<F, D> {
    type Output = Outcome<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.as_mut().project().future.as_pin_mut();
        let future = future.expect("a task is not polled after its end");
        let result = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => Ok(ready!(poll)),
            Err(payload) => Err(payload),
        };
        // The future goes before its result is seen, so that what it borrowed or locked is free
        // again when the one that joins it runs.
        self.finish();
        Poll::Ready(Outcome(Some(result)))
    }
}
