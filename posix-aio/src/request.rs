//! A request, from the call that makes it to its notification.

use std::ffi::c_int;
use std::sync::Arc;

use threadlet::raw::{self, Answer};

use crate::abi::AIO_PRIO_DELTA_MAX;
use crate::engine;
use crate::hints::{READS, WRITES};
use crate::list::List;
use crate::notify::notify;
use crate::state::State;
use crate::suspend;
use crate::table::{Cancelled, Order, Stage};
use crate::user::{self, Buffer, ControlBlock, Event, File, Kind, Outcome, Params};

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
    /// The program's descriptor, and what it meant when the request was made.
    pub(crate) number: c_int,
    pub(crate) file: File,
    /// The descriptor that is used (`kept.rs`), and whose requests this one is among in the table.
    pub(crate) fd: c_int,
    pub(crate) home: u64,
    /// When it came, and how far it is.
    pub(crate) turn: u64,
    pub(crate) stage: Stage,
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
    Queue { file: File, order: Order, at: Option<i64>, done: usize },
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
        Op::Sync { .. } => with_file(params.fd, |file| Start::Queue {
            file,
            order: Order::Sync,
            at: None,
            done: 0,
        }),
    };
    match start {
        Start::Finished(outcome) => {
            cb.finish(outcome);
            told(&params.event, list.map(|list| &**list), outcome, true);
            Ok(())
        }
        Start::Queue { file, order, at, done } => {
            let Params { fd: number, buffer, event, .. } = params;
            let list = list.cloned();
            let (fd, home, turn, stage) = (number, 0, 0, Stage::default());
            queue(Request {
                cb,
                number,
                file,
                fd,
                home,
                turn,
                stage,
                order,
                op,
                buffer,
                at,
                done,
                event,
                list,
            })
        }
    }
}

/// With what a descriptor stands for. While there are requests on a file, that is known without a system
/// call.
fn with_file(fd: c_int, then: impl FnOnce(File) -> Start) -> Start {
    let known = State::existing().and_then(|state| state.table.file(fd));
    match known.map_or_else(|| user::file(fd), Ok) {
        Ok(file) => then(file),
        Err(error) => Start::Finished(Err(error)),
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
            Some(Err(libc::ESPIPE)) | None => {}
            Some(outcome) => return Start::Finished(outcome),
        }
    }
    with_file(fd, |file| match file.kind {
        Kind::Stream => start_stream_read(params, file),
        Kind::File | Kind::Device => {
            Start::Queue { file, order: Order::Free, at: Some(offset), done }
        }
    })
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
fn start_stream_read(params: &Params, file: File) -> Start {
    let &Params { fd, buffer, .. } = params;
    let free = |state: &State| state.table.is_free(fd, file, Order::Reads);
    let free = || State::existing().is_none_or(free);
    if raw::may_ask() && buffer.len <= ASK_MAX && free() {
        match user::read_nowait(fd, buffer, 0, None) {
            // No bytes may mean the end, or not (the rules of `syslet`).
            Answer::Done(Ok(n)) if n > 0 || buffer.len == 0 => return Start::Finished(Ok(n)),
            Answer::Done(Err(error)) => return Start::Finished(Err(user::errno_of(&error))),
            Answer::Done(Ok(_)) | Answer::WouldBlock | Answer::Unsupported => {}
        }
    }
    Start::Queue { file, order: Order::Reads, at: None, done: 0 }
}

/// A write is asked only where it cannot raise a signal: those are blocked on our threads, and not on
/// the caller's. So a stream (`SIGPIPE`) is never asked.
fn start_write(params: &Params) -> Start {
    let fd = params.fd;
    let flags = match user::flags(fd) {
        Ok(flags) => flags,
        Err(error) => return Start::Finished(Err(error)),
    };
    with_file(fd, |file| match file.kind {
        Kind::Stream => Start::Queue { file, order: Order::Writes, at: None, done: 0 },
        Kind::File | Kind::Device => start_write_at(params, file, flags),
    })
}

fn start_write_at(params: &Params, file: File, flags: c_int) -> Start {
    let &Params { fd, buffer, offset, .. } = params;
    if flags & libc::O_APPEND != 0 {
        return Start::Queue { file, order: Order::Writes, at: Some(offset), done: 0 };
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
    Start::Queue { file, order, at: Some(offset), done }
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
    // The control block of one that is not taken in is another request's, and says what that has come to.
    let entered = state.table.enter(request).map_err(|()| libc::EINVAL)?;
    tell_cancelled(state, entered.cancelled);
    submit_all(state, entered.ready);
    Ok(())
}

fn submit_all(state: &'static State, ready: impl IntoIterator<Item = Arc<Request>>) {
    for request in ready {
        state.engine.submit(move || run(state, request));
    }
}

/// On a thread that may block: the request, and those behind it in its lane.
fn run(state: &'static State, request: Arc<Request>) {
    let mut next = Some(request);
    while let Some(request) = next.take_if(|request| request.stage.begin()) {
        next = run_begun(state, &request, false);
    }
}

/// Runs a request. Returns the next in its lane, which anybody may begin.
#[must_use = "it is ready, and not with the pump"]
fn run_begun(state: &'static State, request: &Arc<Request>, in_call: bool) -> Option<Arc<Request>> {
    let outcome = request.execute();
    let behind = state.table.finish(request, outcome);
    submit_all(state, behind.ready);
    suspend::finished(request.cb.address());
    told(&request.event, request.list.as_deref(), outcome, in_call);
    behind.next
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
    // A signal handler that has interrupted a call to the pump would wait for itself.
    if !state.is_own() || engine::is_submitting() {
        return;
    }
    let Some((cancelled, until)) = state.table.close(fd, user::file(fd).ok()) else { return };
    tell_cancelled(state, cancelled);
    while let Some(request) = state.table.next_before_close(fd, until) {
        let next = user::without_signals(|| run_begun(state, &request, true));
        submit_all(state, next);
    }
}

/// The same for all descriptors from the first to the last.
pub(crate) fn before_close_of_range(first: u32, last: u32) {
    let Some(state) = State::existing().filter(|state| state.is_own()) else { return };
    let within = |fd: &c_int| u32::try_from(*fd).is_ok_and(|fd| (first..=last).contains(&fd));
    state.table.numbers().into_iter().filter(within).for_each(before_close);
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

    /// Whether it has changed the file already: the ask has written some.
    pub(crate) fn is_partly_written(&self) -> bool {
        self.is_write() && self.done > 0
    }

    fn execute(&self) -> Outcome {
        let Request { fd, buffer, done, at, .. } = *self;
        let rest = match self.op {
            Op::Read => match user::read(fd, buffer, done, at) {
                // It was a file when it was last looked at, and was closed unseen.
                Err(libc::ESPIPE) => user::read(fd, buffer, done, None),
                outcome => outcome,
            },
            Op::Write => match user::write(fd, buffer, done, at) {
                Err(libc::ESPIPE) => user::write(fd, buffer, done, None),
                outcome => outcome,
            },
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
