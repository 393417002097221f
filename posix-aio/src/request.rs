//! A request, from the call that makes it to its notification.

use std::ffi::c_int;
use std::sync::Arc;

use threadlet::raw::{self, Answer};

use crate::abi::AIO_PRIO_DELTA_MAX;
use crate::hints::{READS, WRITES};
use crate::list::List;
use crate::notify::notify;
use crate::state::State;
use crate::suspend;
use crate::table::{Cancelled, Order, Ready};
use crate::user::{self, Buffer, ControlBlock, Event, Outcome, Params};

/// What is longer is not copied in the call that asks for it: another thread is there sooner.
const ASK_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Sync {
        /// Not the metadata.
        data: bool,
    },
}

/// A request that was not answered at once.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) cb: ControlBlock,
    pub(crate) fd: c_int,
    pub(crate) order: Order,
    op: Op,
    buffer: Buffer,
    /// `None`: the file has no position.
    at: Option<i64>,
    /// How many bytes the ask has brought.
    done: usize,
    event: Event,
    list: Option<Arc<List>>,
}

/// How far a request has come in the call that makes it.
enum Start {
    Finished(Outcome),
    Queue { order: Order, at: Option<i64>, done: usize },
}

/// Starts a request.
///
/// # Errors
///
/// The request is refused, and its control block says why.
pub(crate) fn start(cb: ControlBlock, op: Op, list: Option<&Arc<List>>) -> Result<(), c_int> {
    let params = cb.params();
    let is_sync = matches!(op, Op::Sync { .. });
    if !is_sync && !(0..=AIO_PRIO_DELTA_MAX).contains(&params.reqprio) {
        cb.finish(Err(libc::EINVAL));
        return Err(libc::EINVAL);
    }
    let start = match op {
        Op::Read => start_read(&params),
        Op::Write => start_write(&params),
        Op::Sync { .. } => Start::Queue { order: Order::Sync, at: None, done: 0 },
    };
    match start {
        Start::Finished(outcome) => {
            cb.finish(outcome);
            told(&params.event, list.map(|list| &**list), outcome, true);
            Ok(())
        }
        Start::Queue { order, at, done } => {
            let Params { fd, buffer, event, .. } = params;
            let list = list.cloned();
            queue(Request { cb, fd, order, op, buffer, at, done, event, list })
        }
    }
}

fn start_read(params: &Params) -> Start {
    let &Params { fd, buffer, offset, .. } = params;
    if fd < 0 {
        return Start::Finished(Err(libc::EBADF));
    }
    let mut done = 0;
    // -1 as an offset would mean the position.
    let askable = offset >= 0 && buffer.len <= ASK_MAX && raw::may_ask();
    if askable && READS.may_ask(fd, || user::flags(fd).is_ok_and(|f| f & libc::O_DIRECT == 0)) {
        let began = user::ticks();
        let asked = ask_read(fd, buffer, offset, &mut done);
        READS.took_since(fd, began);
        match asked {
            Some(Err(libc::ESPIPE)) => return start_stream_read(params),
            Some(outcome) => return Start::Finished(outcome),
            None => {}
        }
    }
    if user::is_stream(fd) {
        return start_stream_read(params);
    }
    Start::Queue { order: Order::Free, at: Some(offset), done }
}

/// Reads what is in memory. `None`: the rest, behind the first `done`, would have to wait.
fn ask_read(fd: c_int, buffer: Buffer, offset: i64, done: &mut usize) -> Option<Outcome> {
    loop {
        match user::read_nowait(fd, buffer, *done, Some(offset)) {
            Answer::Done(Ok(0)) if *done < buffer.len => {
                let end = user::is_end(fd, offset.saturating_add(*done as i64));
                return end.then_some(Ok(*done));
            }
            Answer::Done(Ok(n)) => *done += n,
            // As a plain call: what was read counts.
            Answer::Done(Err(_)) if *done > 0 => return Some(Ok(*done)),
            Answer::Done(Err(error)) => return Some(Err(user::errno_of(&error))),
            Answer::WouldBlock => return None,
            Answer::Unsupported => {
                READS.refused(fd);
                return None;
            }
        }
        if *done == buffer.len {
            return Some(Ok(*done));
        }
    }
}

/// Reads from what has no position, if nobody is before us.
fn start_stream_read(params: &Params) -> Start {
    let &Params { fd, buffer, .. } = params;
    let free = || State::existing().is_none_or(|state| state.table.is_free(fd, Order::Reads));
    if raw::may_ask() && buffer.len <= ASK_MAX && free() {
        match user::read_nowait(fd, buffer, 0, None) {
            // No bytes may mean the end, or not (the rules of `syslet`).
            Answer::Done(Ok(n)) if n > 0 || buffer.len == 0 => return Start::Finished(Ok(n)),
            Answer::Done(Err(error)) => return Start::Finished(Err(user::errno_of(&error))),
            Answer::Done(Ok(_)) | Answer::WouldBlock | Answer::Unsupported => {}
        }
    }
    Start::Queue { order: Order::Reads, at: None, done: 0 }
}

/// A write is asked only where it cannot raise a signal: those are blocked on our threads, and not on
/// the caller's. So a stream (`SIGPIPE`) is never asked.
fn start_write(params: &Params) -> Start {
    let &Params { fd, buffer, offset, .. } = params;
    let flags = match user::flags(fd) {
        Ok(flags) => flags,
        Err(error) => return Start::Finished(Err(error)),
    };
    if user::is_stream(fd) {
        return Start::Queue { order: Order::Writes, at: None, done: 0 };
    }
    if flags & libc::O_APPEND != 0 {
        return Start::Queue { order: Order::Writes, at: Some(offset), done: 0 };
    }
    let mut done = 0;
    // `O_SYNC` contains `O_DSYNC`.
    let waits = flags & (libc::O_DIRECT | libc::O_DSYNC) != 0;
    let askable = !waits && offset >= 0 && buffer.len <= ASK_MAX && raw::may_ask();
    if askable && WRITES.may_ask(fd, user::file_size_is_unlimited) {
        if let Some(outcome) = ask_write(fd, buffer, offset, &mut done) {
            return Start::Finished(outcome);
        }
    }
    // Writes to memory wait for each other in the kernel, on the file's own lock: then rather in line,
    // and on one thread.
    let order = if waits { Order::Free } else { Order::Writes };
    Start::Queue { order, at: Some(offset), done }
}

fn ask_write(fd: c_int, buffer: Buffer, offset: i64, done: &mut usize) -> Option<Outcome> {
    loop {
        match user::write_nowait(fd, buffer, *done, offset) {
            Answer::Done(Ok(0)) if *done < buffer.len => return None,
            Answer::Done(Ok(n)) => *done += n,
            Answer::Done(Err(_)) if *done > 0 => return Some(Ok(*done)),
            Answer::Done(Err(error)) => return Some(Err(user::errno_of(&error))),
            Answer::WouldBlock => return None,
            Answer::Unsupported => {
                WRITES.refused(fd);
                return None;
            }
        }
        if *done == buffer.len {
            return Some(Ok(*done));
        }
    }
}

fn queue(request: Request) -> Result<(), c_int> {
    let state = State::get();
    let request = Arc::new(request);
    match state.table.enter(&request) {
        Ok(true) => submit(state, request),
        Ok(false) => {}
        // The control block is another request's, and says what that has come to.
        Err(()) => return Err(libc::EINVAL),
    }
    Ok(())
}

fn submit(state: &'static State, request: Arc<Request>) {
    state.engine.submit(move || run(state, request));
}

fn submit_all(state: &'static State, ready: Ready) {
    for request in ready {
        submit(state, request);
    }
}

/// On a thread that may block: the request, and those behind it in its lane.
fn run(state: &'static State, request: Arc<Request>) {
    let first = state.table.begin(&request);
    let mut next = if first { Some(request) } else { state.table.pass_on(&request) };
    while let Some(request) = next {
        let outcome = request.execute();
        let (behind, ready) = state.table.finish(&request, outcome);
        request.told(outcome);
        submit_all(state, ready);
        next = behind;
    }
}

/// Cancels what has not started; whether anything was cancelled, and whether some run.
pub(crate) fn cancel(state: &'static State, fd: c_int, cb: Option<ControlBlock>) -> (bool, bool) {
    let cancelled = state.table.cancel(fd, cb.map(ControlBlock::address));
    let answer = (!cancelled.requests.is_empty(), cancelled.some_run);
    tell_cancelled(state, cancelled);
    answer
}

/// Before a descriptor is closed: nothing that has not started may find another file behind its number.
pub(crate) fn before_close(fd: c_int) {
    let Some(state) = State::existing().filter(|state| state.table.may_have(fd)) else { return };
    // The child of a `vfork` closes descriptors of its own, and has our memory.
    if !state.is_own() {
        return;
    }
    if let Some(cancelled) = state.table.close(fd) {
        tell_cancelled(state, cancelled);
        state.table.wait(fd);
    }
}

fn tell_cancelled(state: &'static State, cancelled: Cancelled) {
    for request in &cancelled.requests {
        suspend::finished(request.cb.address());
        let list = request.list.as_deref();
        told(&request.event, list, Err(libc::ECANCELED), true);
    }
    submit_all(state, cancelled.ready);
}

/// Tells whoever wants to know.
fn told(event: &Event, list: Option<&List>, outcome: Outcome, in_call: bool) {
    notify(event, in_call);
    if let Some(list) = list {
        list.one_finished(outcome.is_err(), in_call);
    }
}

impl Request {
    pub(crate) fn is_write(&self) -> bool {
        self.op == Op::Write
    }

    pub(crate) fn is_read(&self) -> bool {
        self.op == Op::Read
    }

    pub(crate) fn is_on_stream(&self) -> bool {
        self.at.is_none() && self.order != Order::Sync
    }

    fn told(&self, outcome: Outcome) {
        suspend::finished(self.cb.address());
        told(&self.event, self.list.as_deref(), outcome, false);
    }

    fn execute(&self) -> Outcome {
        let Request { fd, buffer, done, at, .. } = *self;
        let rest = match self.op {
            Op::Read => user::read(fd, buffer, done, at),
            Op::Write => user::write(fd, buffer, done, at),
            Op::Sync { data } => user::sync(fd, data),
        };
        match rest {
            Ok(n) => Ok(done + n),
            // As of one call: what was done counts, and the error is the next one's.
            Err(_) if done > 0 => Ok(done),
            Err(error) => Err(error),
        }
    }
}
