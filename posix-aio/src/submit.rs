//! From the call that makes a request to its answer, or to the table.

use std::ffi::c_int;
use std::sync::Arc;

use crate::abi::AIO_PRIO_DELTA_MAX;
use crate::ask::{Asked, ask};
use crate::keep;
use crate::list::List;
use crate::notify::tell;
use crate::process::Process;
use crate::request::{Action, Submission};
use crate::run::tell_cancelled;
use crate::sys::{self, ControlBlock, Params, Quiet};
use crate::table::Refused;

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
    // A handler that waits for a request must not have interrupted whoever has a lock.
    let mut quiet = None;
    match ask(action, &params, &mut quiet) {
        Asked::Finished(outcome) => {
            cb.finish(outcome);
            tell(&params.event, list.map(|list| &**list), outcome, true);
            Ok(())
        }
        Asked::Left { target, order, at, done, queueable } => {
            let Params { fd: number, buffer, event, .. } = params;
            let list = list.cloned();
            let _quiet = quiet.unwrap_or_else(Quiet::new);
            enter(Submission {
                cb,
                action,
                number,
                target,
                order,
                buffer,
                at,
                done,
                queueable,
                event,
                list,
            })
        }
    }
}

fn enter(submission: Submission) -> Result<(), c_int> {
    let process = Process::get();
    keep::settle(process, true);
    let mut entered = process.table.enter(submission);
    let mut turns = 0;
    while let Err(Refused::Soon(submission)) = entered {
        // Another thread has the one before in its hands, and signals blocked.
        sys::yield_or_sleep(turns);
        turns += 1;
        keep::settle(process, true);
        entered = process.table.enter(*submission);
    }
    // The control block of one that is not taken in is another request's, and says what that has
    // come to.
    let entered = entered.map_err(|_| libc::EINVAL)?;
    tell_cancelled(process, entered.cancelled);
    if let Some(request) = entered.ready {
        keep::start(process, request);
    }
    Ok(())
}
