//! The kernel's queue, from a request to its leave; its keeper; and waiting in `aio_suspend`.

use crate::notify::tell;
use crate::primitive::Arc;
use crate::process::Process;
use crate::queue::{Queue, Submitted};
use crate::request::{Request, Submission};
use crate::run::run_soon;
use crate::suspend::{self, Leader};
use crate::sys::{self, ControlBlock, Waited};
use crate::{abi, engine};

/// How often the keeper looks.
const LOOK_NS: i64 = 1_000_000;
/// How often it looks for nothing before it sleeps.
const IDLE_LOOKS: u32 = 8;
/// After how many looks it takes out what another should have.
const LATE_LOOKS: u32 = 10;
/// How long one leads before it looks whether it is still to do so.
const LEAD_NS: i64 = 10_000_000;

const fn ns(tv_nsec: i64) -> libc::timespec {
    libc::timespec { tv_sec: 0, tv_nsec }
}

/// Whether somebody wants to be told of the request, beyond its result.
fn is_told(request: &Request) -> bool {
    let Submission { event, list, .. } = &request.submission;
    list.is_some() || event.0.notify == abi::SIGEV_SIGNAL || event.0.notify == abi::SIGEV_THREAD
}

/// Has the kernel's queue do it, if that will; else the pump.
pub(crate) fn start(process: &'static Process, request: Arc<Request>) {
    let queue = &process.queue;
    if !request.submission.queueable || sys::behind_filter() {
        return run_soon(process, [request]);
    }
    if !request.stage.begin() {
        return;
    }
    let is_told = is_told(&request);
    if is_told {
        queue.hurry();
    }
    let keeper = || sys::start_own(process, keep).is_ok();
    match queue.submit(&request, keeper) {
        Submitted::Taken if is_told => queue.call_keeper(),
        Submitted::Taken => {}
        Submitted::Refused => {
            if is_told {
                queue.calm();
            }
            process.table.take_back(&request);
            run_soon(process, [request]);
        }
    }
}

/// Has leave the table what was taken out of the queue, and has those told who want to be.
pub(crate) fn settle(process: &'static Process, in_call: bool) {
    for request in process.queue.taken() {
        if is_told(&request) {
            process.queue.calm();
        }
        if !request.stage.is_done() {
            process.table.take_back(&request);
            run_soon(process, [request]);
            continue;
        }
        let followers = process.table.finish_done(&request);
        run_soon(process, followers.next.into_iter().chain(followers.syncs));
        let Submission { event, list, buffer, .. } = &request.submission;
        tell(event, list.as_deref(), Ok(buffer.len), in_call);
    }
}

/// The keeper's thread.
fn keep(process: &'static Process) {
    let queue = &process.queue;
    let mut idle = 0;
    let mut standing = (None, 0);
    let mut has_led = false;
    loop {
        queue.keeper_looks();
        settle(process, false);
        if queue.is_hurried() && queue.any_in_flight() && !sys::behind_filter() {
            if let Some(lead) = queue.lead_as_keeper() {
                if !queue.keeper_is_called() {
                    lead.wait(ns(LEAD_NS));
                }
                has_led = true;
                continue;
            }
        }
        if std::mem::take(&mut has_led) {
            queue.pass_on();
        }
        queue.look();
        let first = queue.standing();
        standing = if first == standing.0 { (first, standing.1 + 1) } else { (first, 0) };
        if first.is_some() && standing.1 >= LATE_LOOKS {
            queue.take_out_for_another();
        }
        idle = if queue.any_in_flight() { 0 } else { idle + 1 };
        if idle < IDLE_LOOKS {
            queue.keeper_waits(&sys::later(sys::now(), ns(LOOK_NS)));
        } else if !queue.keeper_sleeps(&sys::later(sys::now(), engine::idle_time())) {
            return;
        }
    }
}

/// The error number of a request. Takes no lock: it may be asked in a signal handler.
pub(crate) fn look_at(cb: ControlBlock) {
    if cb.is_queued() {
        if let Some(process) = Process::existing() {
            process.queue.look_often();
        }
    }
}

/// Waits until `done` says so. The requests have those bits; `all_queued` says whether the kernel's
/// queue has all of them. The thread may be cancelled here.
pub(crate) fn wait(
    bits: u64,
    until: Option<&libc::timespec>,
    done: impl Fn() -> bool,
    all_queued: impl Fn() -> bool,
) -> Waited {
    let waiter = Waiter { queue: Process::existing().map(|process| &process.queue), all_queued };
    suspend::wait(bits, until, done, &waiter)
}

/// Who waits, as far as the queue has to know.
struct Waiter<F> {
    queue: Option<&'static Queue>,
    all_queued: F,
}

impl<F: Fn() -> bool> Leader for Waiter<F> {
    fn can_lead(&self) -> bool {
        self.queue.is_some_and(Queue::any_in_flight) && !sys::behind_filter() && (self.all_queued)()
    }

    fn lead(&self, until: Option<&libc::timespec>, done: &dyn Fn() -> bool) -> Option<Waited> {
        let lead = self.queue?.lead()?;
        lead.take_out();
        loop {
            if done() || !self.can_lead() {
                return Some(Waited::Woken);
            }
            let left = until.map(|until| sys::between(sys::now(), *until));
            let timeout = match left {
                Some(None) => return Some(Waited::Late),
                Some(Some(left)) if left.tv_sec == 0 && left.tv_nsec < LEAD_NS => left,
                _ => ns(LEAD_NS),
            };
            match lead.wait(timeout) {
                Waited::Woken => {}
                // The thread may be to be cancelled.
                Waited::Late => return Some(Waited::Woken),
                Waited::Signal => return Some(Waited::Signal),
            }
        }
    }

    fn follows(&self, could_lead: bool) -> bool {
        let Some(queue) = self.queue else { return true };
        if could_lead {
            return queue.is_led();
        }
        if queue.any_in_flight() {
            queue.call_keeper();
        }
        true
    }

    fn leaves(&self) {
        if let Some(queue) = self.queue {
            queue.follower_leaves();
        }
    }
}
