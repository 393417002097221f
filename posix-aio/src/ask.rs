//! What can be done in the call that makes a request: without waiting, by asking (`threadlet::raw`
//! has the rules; whether there is a filter, `sys` knows better).

use std::ffi::c_int;

use threadlet::raw::{self, Answer, INLINE_MAX};

use crate::hints::{DIRECT_READS, DIRECT_WRITES, Hints, READS, WRITES};
use crate::process::Process;
use crate::request::{Action, Order};
use crate::sys::{self, Buffer, Kind, Outcome, Params, Quiet, Target};

/// How far a request has come in the call that makes it.
#[derive(Debug)]
pub(crate) enum Asked {
    Finished(Outcome),
    /// What is behind the first `done` bytes has to wait.
    Left {
        target: Target,
        order: Order,
        /// `None`: the target has no position.
        at: Option<i64>,
        done: usize,
        /// Whether the kernel's own queue may take it.
        queueable: bool,
    },
}

/// Does what can be done without waiting. `quiet` is set before a lock is taken.
pub(crate) fn ask(action: Action, params: &Params, quiet: &mut Option<Quiet>) -> Asked {
    match action {
        Action::Read => read(params, quiet),
        Action::Write => write(params, quiet),
        Action::Sync { .. } => with_target(params.fd, action, quiet, |target| Asked::Left {
            target,
            order: Order::AfterWrites,
            at: None,
            done: 0,
            queueable: false,
        }),
    }
}

/// With what a descriptor stands for. While there are requests on a file, that is known without a
/// system call.
fn with_target(
    fd: c_int,
    action: Action,
    quiet: &mut Option<Quiet>,
    then: impl FnOnce(Target) -> Asked,
) -> Asked {
    let is_believed = |target: &Target| target.kind == Kind::File || sys::behind_filter();
    let table = Process::existing().map(|process| &process.table);
    let known = table.filter(|table| table.may_have(fd)).and_then(|table| {
        *quiet = Some(Quiet::new());
        table.target(fd)
    });
    match known.filter(is_believed).map_or_else(|| find_target(fd, action), Ok) {
        Ok(target) => then(target),
        Err(error) => Asked::Finished(Err(error)),
    }
}

/// Where it may not be looked at, the call of the request itself tells a stream from a file.
fn find_target(fd: c_int, action: Action) -> Result<Target, c_int> {
    if !sys::behind_filter() {
        match sys::target(fd) {
            // Of a filter that was not seen.
            Err(error) if error != libc::EBADF => {}
            found => return found,
        }
    }
    let is_stream = match action {
        Action::Read => sys::refuses_position(fd, false)?,
        Action::Write => sys::refuses_position(fd, true)?,
        Action::Sync { .. } => false,
    };
    Ok(Target::unseen(is_stream))
}

/// Whether so much may be asked for, at an offset. (-1 would mean the file's position.)
fn is_askable(buffer: Buffer, offset: i64) -> bool {
    offset >= 0 && buffer.len <= INLINE_MAX && !sys::behind_filter()
}

fn read(params: &Params, quiet: &mut Option<Quiet>) -> Asked {
    let &Params { fd, buffer, offset, .. } = params;
    if fd < 0 {
        return Asked::Finished(Err(libc::EBADF));
    }
    let mut done = 0;
    let mut has_position = true;
    let is_direct = |of| sys::flags(fd).is_ok_and(|flags| (flags & libc::O_DIRECT != 0) == of);
    let askable = is_askable(buffer, offset);
    let asks = askable && READS.may_ask(fd, || is_direct(false));
    if asks {
        let began = sys::ticks();
        let asked = read_file(fd, buffer, offset, &mut done);
        READS.took_since(fd, began);
        match asked {
            Some(Err(libc::ESPIPE)) => has_position = false,
            None => {}
            Some(outcome) => return Asked::Finished(outcome),
        }
    }
    with_target(fd, Action::Read, quiet, |target| match target.kind {
        Kind::Stream => read_stream(params, target),
        // A file that the kernel makes up, and that is read like a stream.
        Kind::File if !has_position => {
            Asked::Left { target, order: Order::ReadLane, at: None, done: 0, queueable: false }
        }
        Kind::File => {
            let queueable = askable && !asks && DIRECT_READS.may_ask(fd, || is_direct(true));
            Asked::Left { target, order: Order::Free, at: Some(offset), done, queueable }
        }
        Kind::Device => {
            Asked::Left { target, order: Order::Free, at: Some(offset), done, queueable: false }
        }
    })
}

/// Reads what is in memory. `None`: the rest, behind the first `done`, would have to wait.
fn read_file(fd: c_int, buffer: Buffer, offset: i64, done: &mut usize) -> Option<Outcome> {
    let ask = |done| sys::read_nowait(fd, buffer, done, Some(offset));
    let is_end = |done| sys::is_end(fd, offset.saturating_add(done as i64));
    transfer(&READS, fd, buffer.len, done, ask, is_end)
}

/// Reads from what has no position, if nobody is before us.
fn read_stream(params: &Params, target: Target) -> Asked {
    let &Params { fd, buffer, .. } = params;
    let is_free = |process: &Process| {
        !process.table.may_have(fd) || process.table.is_free(fd, target, Order::ReadLane)
    };
    let is_free = || Process::existing().is_none_or(is_free);
    if !sys::behind_filter() && buffer.len <= INLINE_MAX && is_free() {
        match sys::read_nowait(fd, buffer, 0, None) {
            // No bytes may mean the end, or not (the rules of `threadlet::raw`).
            Answer::Done(Ok(n)) if n > 0 || buffer.len == 0 => return Asked::Finished(Ok(n)),
            Answer::Done(Err(error)) => return Asked::Finished(Err(sys::errno_of(&error))),
            Answer::Done(Ok(_)) | Answer::WouldBlock | Answer::Unsupported => {}
        }
    }
    Asked::Left { target, order: Order::ReadLane, at: None, done: 0, queueable: false }
}

/// A write is asked only where it cannot raise a signal: those are blocked on our threads, and not
/// on the caller's. So a stream (`SIGPIPE`) is never asked.
fn write(params: &Params, quiet: &mut Option<Quiet>) -> Asked {
    let fd = params.fd;
    let flags = match sys::behind_filter() {
        true => None,
        false => match sys::flags(fd) {
            Err(libc::EBADF) => return Asked::Finished(Err(libc::EBADF)),
            flags => flags.ok(),
        },
    };
    with_target(fd, Action::Write, quiet, |target| match target.kind {
        Kind::Stream => {
            Asked::Left { target, order: Order::WriteLane, at: None, done: 0, queueable: false }
        }
        Kind::File | Kind::Device => write_file(params, target, flags),
    })
}

/// Without its flags it may be one to append to.
fn write_file(params: &Params, target: Target, flags: Option<c_int>) -> Asked {
    let &Params { fd, buffer, offset, .. } = params;
    let Some(flags) = flags.filter(|flags| flags & libc::O_APPEND == 0) else {
        return Asked::Left {
            target,
            order: Order::WriteLane,
            at: Some(offset),
            done: 0,
            queueable: false,
        };
    };
    let mut done = 0;
    // `O_SYNC` contains `O_DSYNC`.
    let waits = flags & (libc::O_DIRECT | libc::O_DSYNC) != 0;
    let askable = is_askable(buffer, offset);
    if askable && !waits && WRITES.may_ask(fd, sys::file_size_is_unlimited) {
        let ask = |done| sys::write_nowait(fd, buffer, done, offset);
        match transfer(&WRITES, fd, buffer.len, &mut done, ask, |_| false) {
            // A file that the kernel makes up, and that is written like a stream.
            Some(Err(libc::ESPIPE)) => {
                return Asked::Left {
                    target,
                    order: Order::WriteLane,
                    at: None,
                    done: 0,
                    queueable: false,
                };
            }
            None => {}
            Some(outcome) => return Asked::Finished(outcome),
        }
    }
    // Writes to memory wait for each other in the kernel, on the file's own lock: then rather in
    // line, and on one thread.
    let order = if waits { Order::Free } else { Order::WriteLane };
    let is_direct = target.kind == Kind::File && flags & libc::O_DIRECT != 0;
    let may_queue = || DIRECT_WRITES.may_ask(fd, sys::file_size_is_unlimited);
    let queueable = askable && is_direct && may_queue();
    Asked::Left { target, order, at: Some(offset), done, queueable }
}

/// Asks until all `len` bytes are done. `None`: what is behind the first `done` would have to wait.
/// Both functions are given how much is done; `is_end` whether no more bytes mean the end.
fn transfer(
    hints: &Hints,
    fd: c_int,
    len: usize,
    done: &mut usize,
    ask: impl Fn(usize) -> Answer<usize>,
    is_end: impl Fn(usize) -> bool,
) -> Option<Outcome> {
    let ask = |done| match ask(done) {
        Answer::Done(Ok(0)) if done < len && !is_end(done) => Answer::WouldBlock,
        answer => answer,
    };
    match raw::ask_all(len, done, ask) {
        Answer::Done(Err(error)) if *done == 0 => Some(Err(sys::errno_of(&error))),
        // Also after an error, as in a plain call: what was done counts.
        Answer::Done(_) => Some(Ok(*done)),
        Answer::WouldBlock => None,
        Answer::Unsupported => {
            hints.refused(fd);
            None
        }
    }
}
