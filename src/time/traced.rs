//! What tokio-console is told of timers (feature `tracing`), by the names that tokio gave them.
//! (`traced_off` stands here without the feature.)
//!
//! | what | name, or target | fields |
//! |---|---|---|
//! | a timer, as long as it lives | `runtime.resource` | `concrete_type`, `kind` = `timer`, `loc.file`, `loc.line`, `loc.col` |
//! | the wait for it, in that | `runtime.resource.async_op` | `source` |
//! | a poll, in both | `runtime::resource::poll_op` | `op_name` = `poll_elapsed`, `is_ready` |
//!
//! Where nobody listens a timer looks at tracing's level when it is made, and at a pointer when it is
//! polled; where somebody does, it has a box.

use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};

use tracing::{Span, trace, trace_span};

use super::timer::Timer;

/// The spans of a timer, if somebody listens.
#[derive(Debug, Default)]
pub(super) struct Traced(Option<Box<Spans>>);

#[derive(Debug)]
struct Spans {
    // The first of the two to be dropped.
    wait: Span,
    timer: Span,
}

// A span is whole behind any panic, and a timer is to have the same traits with the feature as without.
impl UnwindSafe for Traced {}
impl RefUnwindSafe for Traced {}

impl Traced {
    #[inline]
    pub(super) fn new(what: &'static str, place: &'static Location<'static>) -> Self {
        let timer = trace_span!(
            target: "tokio::time",
            parent: None,
            "runtime.resource",
            concrete_type = what,
            kind = "timer",
            loc.file = place.file(),
            loc.line = place.line(),
            loc.col = place.column(),
        );
        if timer.is_disabled() { Traced(None) } else { Traced::begin(what, timer) }
    }

    #[cold]
    fn begin(source: &'static str, timer: Span) -> Self {
        let op = || trace_span!(target: "tokio::time", "runtime.resource.async_op", source);
        let wait = timer.in_scope(op);
        Traced(Some(Box::new(Spans { wait, timer })))
    }

    /// A poll of the timer.
    #[inline]
    #[track_caller]
    pub(super) fn poll(&self, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
        let Some(spans) = &self.0 else { return timer.poll_untold(cx) };
        let _timer = spans.timer.enter();
        let _wait = spans.wait.enter();
        let polled = timer.poll_untold(cx);
        let is_ready = polled.is_ready();
        trace!(target: "runtime::resource::poll_op", op_name = "poll_elapsed", is_ready);
        polled
    }
}
