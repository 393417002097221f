//! Takes requests back: when the program cancels them, and before it closes their descriptor.

use std::ffi::c_int;

use crate::engine;
use crate::process::Process;
use crate::run::{run_begun, run_soon, tell_cancelled};
use crate::sys::{self, ControlBlock, Quiet};
use crate::table::Closing;

/// What cancelling has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Withdrawn {
    /// Whether anything was cancelled.
    pub(crate) some: bool,
    /// Whether some run, and cannot be.
    pub(crate) some_run: bool,
}

/// Cancels what has not started: the request with that control block, or all of the descriptor.
pub(crate) fn cancel(process: &'static Process, fd: c_int, cb: Option<ControlBlock>) -> Withdrawn {
    let cancelled = process.table.cancel(fd, cb.map(ControlBlock::address));
    let (some, some_run) = (!cancelled.requests.is_empty(), cancelled.some_run);
    tell_cancelled(process, cancelled);
    Withdrawn { some, some_run }
}

/// Whether there may be requests on a descriptor.
pub(crate) fn may_have(fd: c_int) -> bool {
    Process::existing().is_some_and(|process| process.table.may_have(fd))
}

/// Before a descriptor is closed: nothing that has not started may find another file behind its
/// number.
pub(crate) fn before_close(fd: c_int) {
    let Some(process) = Process::existing().filter(|process| process.table.may_have(fd)) else {
        return;
    };
    // The child of a `vfork` closes descriptors of its own, and has our memory.
    // A signal handler that has interrupted a call to the pump would wait for itself.
    if !process.is_own() || engine::is_submitting() {
        return;
    }
    let target = (!sys::behind_filter()).then(|| sys::target(fd).ok());
    // A handler that waits for a request must not have interrupted whoever has a lock, or has begun a
    // request: it may come while we wait for others, and at no other time.
    let quiet = Quiet::new();
    let Some((cancelled, until)) = process.table.close(fd, target) else { return };
    tell_cancelled(process, cancelled);
    // What the kernel's queue has done leaves without our doing.
    process.queue.hurry();
    process.queue.call_keeper();
    let mut waited = None;
    loop {
        match process.table.next_before_close(fd, until, waited.take()) {
            Closing::Nothing => break,
            Closing::Run(request) => {
                let next = sys::without_signals(|| run_begun(process, &request, true));
                run_soon(process, next);
            }
            Closing::Wait(waits) => {
                quiet.pause(|| process.table.wait_before_close(fd, &waits));
                waited = Some(waits);
            }
        }
    }
    process.queue.calm();
}

/// The same for all descriptors from the first to the last.
pub(crate) fn before_close_of_range(first: u32, last: u32) {
    let Some(process) = Process::existing().filter(|process| process.is_own()) else { return };
    let within = |fd: &c_int| u32::try_from(*fd).is_ok_and(|fd| (first..=last).contains(&fd));
    process.table.numbers().into_iter().filter(within).for_each(before_close);
}
