//! What `tracing` is told of tasks (feature `tracing`): the spans and events that tokio-console
//! reads, by the names that tokio gave them. (`traced_off` stands here without the feature.)
//!
//! | what | target | name | fields |
//! |---|---|---|---|
//! | a task, from its spawn until its future is gone; entered in each poll | `tokio::task`, for `spawn_blocking` `tokio::task::blocking` | `runtime.spawn` | `kind`, `task.id`, `task.name`, `size.bytes`, `loc.file`, `loc.line`, `loc.col` |
//! | a wake, and a waker that is kept or let go | `tokio::task::waker` | | `op`, `task.id` (which is the *span's*) |
//!
//! A subscriber is foreign code. It is called where the code of the task is, by whoever spawns it,
//! polls it, wakes it or drops its future; and never under a lock.
//!
//! Where nobody listens, a spawn looks at tracing's level, one relaxed load, and a poll at the span,
//! which is the task's own. Where somebody listens to wakers, each poll makes one of ours. It counts
//! as one that was cloned, and is dropped when the last clone of it is: so as many are cloned and not
//! yet dropped as polls whose wakers somebody has kept. A task that waits with none is lost.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;
use tracing::{Level, Span, event_enabled, trace, trace_span};

use super::header::{Birth, Id};
use crate::primitive::quietly;

pin_project! {
    /// A future with the span of its task.
    #[derive(Debug)]
    pub(crate) struct Traced<F> {
        // The first of the two to be dropped.
        #[pin]
        future: F,
        span: Span,
    }
}

/// The future of a task that is being spawned.
#[inline]
pub(crate) fn task<F>(future: F, kind: &str, name: &str, birth: &Birth) -> Traced<F> {
    let (place, id) = (birth.spawned_at, birth.id.number());
    let span = if birth.is_accepted() {
        trace_span!(
            target: "tokio::task::blocking",
            parent: None,
            "runtime.spawn",
            kind = %"blocking",
            task.name = name,
            task.id = id,
            size.bytes = size_of::<F>(),
            loc.file = place.file(),
            loc.line = place.line(),
            loc.col = place.column(),
        )
    } else {
        span(kind, name, || id, size_of::<F>(), place)
    };
    Traced { future, span }
}

/// The root future of a `block_on`.
#[inline]
pub(crate) fn root<F>(future: F, place: &'static Location<'static>) -> Traced<F> {
    let span = span("block_on", "", || Id::next().number(), size_of::<F>(), place);
    Traced { future, span }
}

#[inline]
fn span(kind: &str, name: &str, id: impl Fn() -> u64, size: usize, place: &Location<'_>) -> Span {
    trace_span!(
        target: "tokio::task",
        parent: None,
        "runtime.spawn",
        %kind,
        task.name = name,
        task.id = id(),
        size.bytes = size,
        loc.file = place.file(),
        loc.line = place.line(),
        loc.col = place.column(),
    )
}

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(id) = this.span.id() else { return this.future.poll(cx) };
        let _entered = this.span.enter();
        if !event_enabled!(target: "tokio::task::waker", Level::TRACE) {
            return this.future.poll(cx);
        }
        let waker = Waker::from(Heard::new(id.into_u64(), cx.waker()));
        this.future.poll(&mut Context::from_waker(&waker))
    }
}

/// A waker of which is told what becomes of it. None of its methods panics.
struct Heard {
    /// The number of the task's span.
    span: u64,
    waker: Waker,
}

impl Heard {
    fn new(span: u64, waker: &Waker) -> Arc<Self> {
        tell("waker.clone", span);
        Arc::new(Heard { span, waker: waker.clone() })
    }
}

fn tell(op: &str, span: u64) {
    quietly(|| trace!(target: "tokio::task::waker", op, task.id = span));
}

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        tell("waker.wake_by_ref", self.span);
        self.waker.wake_by_ref();
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        tell("waker.drop", self.span);
    }
}
