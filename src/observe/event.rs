//! What `tracing` is told of a hand-off (feature `tracing`): an event of the target
//! `threadlet::block`, when the thread that was left behind has found out. (`event_off` stands here
//! without the feature.)
//!
//! A subscriber is foreign code: it is called by the thread that has blocked, which has no core, and
//! not by whoever has seen it block.

use std::time::Duration;

use tracing::{Level, debug, event_enabled, warn};

use crate::observe::resource;
use crate::observe::site::Site;
use crate::observe::stall::Stall;
use crate::primitive::quietly;
use crate::protocol::Cause;

/// A call, or an unmarked poll of a task that was spawned there, has lost its core for so long.
#[inline]
pub(crate) fn handed_over(site: &'static Site, cause: Cause, lasted: Duration, task: u64) {
    resource::handed_over(site, cause, lasted);
    let (file, line, call) = (site.file(), site.line(), site.text());
    let cause = word(cause);
    let length_us = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX);
    quietly(|| {
        debug!(
            target: "threadlet::block",
            cause,
            file,
            line,
            call,
            length_us,
            task.id = task,
            "a core went to another thread"
        );
    });
}

/// A poll or a call lasts too long. Whether anybody listens.
pub(crate) fn stalled(stall: &Stall) -> bool {
    if !event_enabled!(target: "threadlet::stall", Level::WARN) {
        return false;
    }
    let at = stall.site.map(|site| format!("{}:{}", site.file(), site.line()));
    let call = stall.site.map(Site::text);
    let spawned = stall.spawned.map(|place| format!("{}:{}", place.file(), place.line()));
    let kernel_stack = (!stall.stack.is_empty()).then(|| stall.stack.join(" < "));
    let backtrace = (!stall.backtrace.is_empty()).then(|| stall.backtrace.to_string());
    let length_us = u64::try_from(stall.lasts.as_micros()).unwrap_or(u64::MAX);
    quietly(|| {
        warn!(
            target: "threadlet::stall",
            at,
            call,
            spawned,
            doing = stall.doing.text(),
            kernel = stall.channel,
            kernel_stack,
            backtrace,
            length_us,
            thread = stall.tid,
            task.id = stall.task,
            task.name = stall.name,
            untold = stall.untold,
            "a poll lasts too long"
        );
    });
    true
}

fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Blocked => "blocked",
        Cause::Hog => "hog",
        Cause::Predicted => "predicted",
        Cause::Rescued => "rescued",
    }
}
