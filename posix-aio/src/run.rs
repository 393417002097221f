//! Runs the requests whose turn has come, on the pump's threads or in a call of the program; and
//! has those told that were cancelled.

use std::ffi::c_int;

use crate::notify::tell;
use crate::primitive::Arc;
use crate::process::Process;
use crate::request::{Action, Request, Submission};
use crate::suspend;
use crate::sys::{self, Buffer, Outcome};
use crate::table::Cancelled;

/// Gives them to the pump.
pub(crate) fn run_soon(process: &'static Process, ready: impl IntoIterator<Item = Arc<Request>>) {
    for request in ready {
        process.engine.submit(move || run(process, request));
    }
}

/// On a thread that may block: the request, and those behind it in its lane.
fn run(process: &'static Process, request: Arc<Request>) {
    let mut next = Some(request);
    while let Some(request) = next.take_if(|request| request.stage.begin()) {
        next = run_begun(process, &request, false);
    }
}

/// Runs a request. Returns the next in its lane, which anybody may begin.
#[must_use = "it is ready, and not with the pump"]
pub(crate) fn run_begun(
    process: &'static Process,
    request: &Arc<Request>,
    in_call: bool,
) -> Option<Arc<Request>> {
    let outcome = execute(request);
    let followers = process.table.finish(request, outcome);
    run_soon(process, followers.syncs);
    suspend::finished(request.address());
    let Submission { event, list, .. } = &request.submission;
    tell(event, list.as_deref(), outcome, in_call);
    followers.next
}

/// In a call of the program.
pub(crate) fn tell_cancelled(process: &'static Process, cancelled: Cancelled) {
    for request in &cancelled.requests {
        suspend::finished(request.address());
        let Submission { event, list, .. } = &request.submission;
        tell(event, list.as_deref(), Err(libc::ECANCELED), true);
    }
    run_soon(process, cancelled.ready);
}

fn execute(request: &Request) -> Outcome {
    let fd = request.fd;
    let Submission { buffer, at, .. } = request.submission;
    let done = request.done();
    type Transfer = fn(c_int, Buffer, usize, Option<i64>) -> Outcome;
    let transfer = |call: Transfer| match call(fd, buffer, done, at) {
        // It was a file when it was last looked at, and was closed unseen.
        Err(libc::ESPIPE) => call(fd, buffer, done, None),
        outcome => outcome,
    };
    let rest = match request.submission.action {
        Action::Read => transfer(sys::read),
        Action::Write => transfer(sys::write),
        Action::Sync { data } => sys::sync(fd, data),
    };
    match rest {
        Ok(n) => Ok(done + n),
        // As of one call: what was done counts, and the error is the next one's.
        Err(_) if done > 0 => Ok(done),
        Err(error) => Err(error),
    }
}
