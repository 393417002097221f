//! From the call that makes a request to its answer, or to the table.

use std::ffi::c_int;
use std::sync::Arc;

use crate::abi::AIO_PRIO_DELTA_MAX;
use crate::ask::{Asked, ask};
use crate::list::List;
use crate::notify::tell;
use crate::process::Process;
use crate::request::{Action, Submission};
use crate::run::{run_soon, tell_cancelled};
use crate::sys::{ControlBlock, Params};

/// Makes a request.
///
/// # Errors
///
/// The request is refused, and its control block says why.
pub(crate) fn submit(
    cb: ControlBlock,
    action: Action,
    list: Option<&Arc<List>>,
) -> Result<(), c_int> {
    let params = cb.params();
    let is_sync = matches!(action, Action::Sync { .. });
    if !is_sync && !(0..=AIO_PRIO_DELTA_MAX).contains(&params.reqprio) {
        cb.finish(Err(libc::EINVAL));
        return Err(libc::EINVAL);
    }
    match ask(action, &params) {
        Asked::Finished(outcome) => {
            cb.finish(outcome);
            tell(&params.event, list.map(|list| &**list), outcome, true);
            Ok(())
        }
        Asked::Left { target, order, at, done } => {
            let Params { fd: number, buffer, event, .. } = params;
            let list = list.cloned();
            enter(Submission { cb, action, number, target, order, buffer, at, done, event, list })
        }
    }
}

fn enter(submission: Submission) -> Result<(), c_int> {
    let process = Process::get();
    // The control block of one that is not taken in is another request's, and says what that has
    // come to.
    let entered = process.table.enter(submission).map_err(|()| libc::EINVAL)?;
    tell_cancelled(process, entered.cancelled);
    run_soon(process, entered.ready);
    Ok(())
}
