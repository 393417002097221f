//! What tokio-console is told beside tasks (feature `tracing`): sites whose calls lose their core, as
//! resources, with what has happened there as their attributes.
//!
//! | what | name, or target | fields |
//! |---|---|---|
//! | a site, from its first hand-off that somebody listens to | `runtime.resource` | `concrete_type`, which is the text of the call, `kind` = `call`, `loc.file`, `loc.line`, `loc.col` |
//! | a hand-off, when its call has returned | `runtime::resource::state_update`, in the span of the site | one of `blocked`, `hog`, `predicted` and `rescued`; and for how long, `away_us`. Each is added to what was there |
//!
//! The span of a site is kept for ever, as the site is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Level, Span, event_enabled, trace, trace_span};

use crate::observe::site::Site;
use crate::primitive::{Mutex, quietly};
use crate::protocol::Cause;

/// The spans, by the row of their site. A span's clone and its drop are foreign code: not under the
/// lock.
static SITES: Mutex<BTreeMap<u32, Arc<Span>>> = Mutex::new(BTreeMap::new());

/// A call of that site, or an unmarked poll of a task that was spawned there, has lost its core for so
/// long.
pub(super) fn handed_over(site: &'static Site, cause: Cause, lasted: Duration) {
    if event_enabled!(target: "runtime::resource::state_update", Level::TRACE) {
        quietly(|| tell(site, cause, lasted));
    }
}

fn tell(site: &'static Site, cause: Cause, lasted: Duration) {
    let known = SITES.lock().get(&site.id()).cloned();
    let Some(span) = known.or_else(|| begin(site)) else { return };
    let away_us = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX);
    // One attribute each, as the console reads them.
    macro_rules! add {
        ($($field:tt)+) => {
            trace!(target: "runtime::resource::state_update", $($field)+)
        };
    }
    span.in_scope(|| {
        match cause {
            Cause::Blocked => add!(blocked = 1_u64, blocked.op = "add"),
            Cause::Hog => add!(hog = 1_u64, hog.op = "add"),
            Cause::Predicted => add!(predicted = 1_u64, predicted.op = "add"),
            Cause::Rescued => add!(rescued = 1_u64, rescued.op = "add"),
        }
        add!(away_us, away_us.unit = "us", away_us.op = "add");
    });
}

#[cold]
fn begin(site: &'static Site) -> Option<Arc<Span>> {
    let span = trace_span!(
        target: "threadlet::site",
        parent: None,
        "runtime.resource",
        concrete_type = site.text(),
        kind = "call",
        loc.file = site.file(),
        loc.line = site.line(),
        loc.col = site.column(),
    );
    if span.is_disabled() {
        return None;
    }
    let mine = Arc::new(span);
    // Another thread may have come first; ours is closed then, behind the lock.
    let kept = SITES.lock().entry(site.id()).or_insert_with(|| mine.clone()).clone();
    Some(kept)
}
