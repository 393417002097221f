//! The C functions.
//!
//! Each makes of what it is given what the rest of the library works on, and of what the rest says
//! a number and `errno`. Their callers promise what the C library's ask for: pointers are null or
//! good, and a control block and its buffer stay until the request is finished.

use std::ffi::{c_int, c_long, c_uint};
use std::slice;
use std::sync::Arc;

use crate::abi::{
    AIO_ALLDONE, AIO_CANCELED, AIO_NOTCANCELED, Aiocb, Aioinit, LIO_NOP, LIO_NOWAIT, LIO_READ,
    LIO_WAIT, LIO_WRITE, Sigevent,
};
use crate::duplicates;
use crate::engine::{self, Engine};
use crate::generation;
use crate::keep;
use crate::list::{Interrupted, List};
use crate::notify::tell_list;
use crate::process::Process;
use crate::request::Action;
use crate::submit::submit;
use crate::suspend;
use crate::sys::{self, ControlBlock, Event, Outcome, Quiet, Waited};
use crate::withdraw::{self, Withdrawn};

fn fail(error: c_int) -> c_int {
    sys::set_errno(error);
    -1
}

/// Makes a request of a control block, if there is one.
///
/// # Safety
///
/// As [`ControlBlock::new`].
unsafe fn with_block(
    cb: *mut Aiocb,
    make: impl FnOnce(ControlBlock) -> Result<(), c_int>,
) -> c_int {
    // SAFETY: as the caller's.
    let cb = unsafe { ControlBlock::new(cb) };
    cb.ok_or(libc::EINVAL).and_then(make).map_or_else(fail, |()| 0)
}

/// `None`: the number is below zero.
///
/// # Safety
///
/// At `first` stand `count` elements, for as long as the answer is used.
unsafe fn elements<'a, T>(first: *const T, count: c_int) -> Option<&'a [T]> {
    match usize::try_from(count).ok()? {
        0 => Some(&[]),
        // SAFETY: as the caller's.
        count => Some(unsafe { slice::from_raw_parts(first, count) }),
    }
}

/// Reads.
///
/// # Safety
///
/// As [`ControlBlock::new`].
#[unsafe(no_mangle)]
unsafe extern "C" fn aio_read(cb: *mut Aiocb) -> c_int {
    // SAFETY: as the caller's.
    unsafe { with_block(cb, |cb| submit(cb, Action::Read, None)) }
}

/// Writes.
///
/// # Safety
///
/// As [`ControlBlock::new`].
#[unsafe(no_mangle)]
unsafe extern "C" fn aio_write(cb: *mut Aiocb) -> c_int {
    // SAFETY: as the caller's.
    unsafe { with_block(cb, |cb| submit(cb, Action::Write, None)) }
}

/// Has what was written before reach the device.
///
/// # Safety
///
/// As [`ControlBlock::new`].
#[unsafe(no_mangle)]
unsafe extern "C" fn aio_fsync(op: c_int, cb: *mut Aiocb) -> c_int {
    let data = match op {
        libc::O_DSYNC => true,
        libc::O_SYNC => false,
        _ => return fail(libc::EINVAL),
    };
    let sync = |cb: ControlBlock| {
        sys::flags(cb.fd())?;
        submit(cb, Action::Sync { data }, None)
    };
    // SAFETY: as the caller's.
    unsafe { with_block(cb, sync) }
}

/// Whether a request is under way.
fn is_pending(cb: ControlBlock) -> bool {
    error_of(cb) == libc::EINPROGRESS
}

/// Takes no lock: it may be asked in a signal handler.
fn error_of(cb: ControlBlock) -> c_int {
    match cb.error() {
        // In a child of a fork: a request of the parent's.
        libc::EINPROGRESS if cb.generation() != generation::current() => libc::EINVAL,
        libc::EINPROGRESS => {
            keep::look_at(cb);
            cb.error()
        }
        error => error,
    }
}

/// The error number of a request.
///
/// # Safety
///
/// As [`ControlBlock::new`].
#[unsafe(no_mangle)]
unsafe extern "C" fn aio_error(cb: *const Aiocb) -> c_int {
    // SAFETY: as the caller's; nothing is started.
    match unsafe { ControlBlock::new(cb.cast_mut()) } {
        Some(cb) => error_of(cb),
        None => fail(libc::EINVAL),
    }
}

/// The result of a finished request.
///
/// # Safety
///
/// As [`ControlBlock::new`].
#[unsafe(no_mangle)]
unsafe extern "C" fn aio_return(cb: *mut Aiocb) -> isize {
    // SAFETY: as the caller's; nothing is started.
    match unsafe { ControlBlock::new(cb) } {
        Some(cb) if cb.error() != libc::EINPROGRESS => cb.result(),
        _ => fail(libc::EINVAL) as isize,
    }
}

/// Waits until one of some requests is finished. The thread may be cancelled meanwhile.
///
/// # Safety
///
/// `list` has `count` pointers, each null or as for [`ControlBlock::new`]; `timeout` is null or a
/// time.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn aio_suspend(
    list: *const *const Aiocb,
    count: c_int,
    timeout: *const libc::timespec,
) -> c_int {
    // SAFETY: as the caller's.
    let Some(list) = (unsafe { elements(list, count) }) else { return fail(libc::EINVAL) };
    // SAFETY: as the caller's; nothing is started.
    let block = |cb: &*const Aiocb| unsafe { ControlBlock::new(cb.cast_mut()) };
    let blocks = || list.iter().filter_map(block);
    if blocks().next().is_none() || blocks().any(|cb| !is_pending(cb)) {
        return 0;
    }
    // SAFETY: as the caller's.
    let timeout = unsafe { timeout.as_ref() };
    if timeout.is_some_and(|t| t.tv_sec < 0 || !(0..1_000_000_000).contains(&t.tv_nsec)) {
        return fail(libc::EINVAL);
    }
    let bits = blocks().fold(0, |bits, cb| bits | suspend::bit(cb.address()));
    let until = timeout.map(|timeout| sys::later(sys::now(), *timeout));
    let all_queued = || blocks().all(ControlBlock::is_queued);
    match keep::wait(bits, until.as_ref(), || blocks().any(|cb| !is_pending(cb)), all_queued) {
        Waited::Woken => 0,
        Waited::Signal => fail(libc::EINTR),
        Waited::Late => fail(libc::EAGAIN),
    }
}

/// Cancels a request, or all of a descriptor, as far as they have not started.
///
/// # Safety
///
/// `cb` is null or as for [`ControlBlock::new`].
#[unsafe(no_mangle)]
unsafe extern "C" fn aio_cancel(fd: c_int, cb: *mut Aiocb) -> c_int {
    if let Err(error) = sys::flags(fd) {
        return fail(error);
    }
    // SAFETY: as the caller's; nothing is started.
    let cb = unsafe { ControlBlock::new(cb) };
    if cb.is_some_and(|cb| cb.fd() != fd) {
        return fail(libc::EINVAL);
    }
    let Some(process) = Process::existing() else { return AIO_ALLDONE };
    let _quiet = Quiet::new();
    keep::settle(process, true);
    match withdraw::cancel(process, fd, cb) {
        Withdrawn { some_run: true, .. } => AIO_NOTCANCELED,
        Withdrawn { some: true, .. } => AIO_CANCELED,
        // It runs on something that the number does not mean any more.
        _ if cb.is_some_and(is_pending) => AIO_NOTCANCELED,
        _ => AIO_ALLDONE,
    }
}

/// Starts several requests.
///
/// # Safety
///
/// `list` has `count` pointers, each null or as for [`ControlBlock::new`]; `event` is null or good.
#[unsafe(no_mangle)]
unsafe extern "C" fn lio_listio(
    mode: c_int,
    list: *const *mut Aiocb,
    count: c_int,
    event: *const Sigevent,
) -> c_int {
    if mode != LIO_WAIT && mode != LIO_NOWAIT {
        return fail(libc::EINVAL);
    }
    // SAFETY: as the caller's.
    let Some(blocks) = (unsafe { elements(list, count) }) else { return fail(libc::EINVAL) };
    // SAFETY: as the caller's.
    let event = unsafe { event.as_ref() }.filter(|_| mode == LIO_NOWAIT);
    let list = Arc::new(List::new(event.map(|event| Event(*event))));
    let mut refused = false;
    for cb in blocks {
        // SAFETY: as the caller's.
        let Some(cb) = (unsafe { ControlBlock::new(*cb) }) else { continue };
        refused |= start_element(cb, &list).is_err();
    }
    tell_list(&list, refused, true);
    match mode {
        LIO_WAIT => match list.wait() {
            Ok(false) => 0,
            Ok(true) => fail(libc::EIO),
            Err(Interrupted) => fail(libc::EINTR),
        },
        _ if refused => fail(libc::EIO),
        _ => 0,
    }
}

fn start_element(cb: ControlBlock, list: &Arc<List>) -> Result<(), c_int> {
    let action = match cb.params().opcode {
        LIO_NOP => return Ok(()),
        LIO_READ => Action::Read,
        LIO_WRITE => Action::Write,
        _ => {
            cb.finish(Err(libc::EINVAL));
            return Err(libc::EINVAL);
        }
    };
    list.add();
    let made = submit(cb, action, Some(list));
    if made.is_err() {
        tell_list(list, true, true);
    }
    made
}

/// How many threads at most, and how long one waits that has nothing to do. What else the program
/// says changes nothing here.
///
/// # Safety
///
/// `init` is null or good.
#[unsafe(no_mangle)]
unsafe extern "C" fn aio_init(init: *const Aioinit) {
    // SAFETY: as the caller's.
    if let Some(init) = unsafe { init.as_ref() } {
        let limit = usize::try_from(init.threads).unwrap_or(1);
        Engine::set_limit(Process::existing().map(|process| &process.engine), limit);
        if init.idle_time != 0 {
            engine::set_idle_time(init.idle_time);
        }
    }
}

/// As the C library's, once nothing is left that might find another file behind the number.
#[unsafe(no_mangle)]
extern "C-unwind" fn close(fd: c_int) -> c_int {
    if duplicates::is_ours(fd) {
        return fail(libc::EBADF);
    }
    withdraw::before_close(fd);
    sys::close(fd)
}

/// As the C library's; it closes the stream's descriptor. (What the stream itself has still to write
/// comes behind the requests.)
///
/// # Safety
///
/// `stream` is an open one.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fclose(stream: *mut libc::FILE) -> c_int {
    // SAFETY: as the caller's.
    if let Some(fd) = unsafe { sys::descriptor_of(stream) } {
        withdraw::before_close(fd);
    }
    // SAFETY: as the caller's.
    unsafe { sys::close_stream(stream) }
}

/// As the C library's; it closes `new`.
#[unsafe(no_mangle)]
extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    duplicate(old, new, None)
}

/// As the C library's; it closes `new`.
#[unsafe(no_mangle)]
extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    duplicate(old, new, Some(flags))
}

fn duplicate(old: c_int, new: c_int, flags: Option<c_int>) -> c_int {
    if duplicates::is_ours(new) {
        return fail(libc::EBUSY);
    }
    let possible = flags.is_none_or(|flags| flags & !libc::O_CLOEXEC == 0);
    if possible && old != new && withdraw::may_have(new) && sys::flags(old).is_ok() {
        withdraw::before_close(new);
    }
    answer(sys::duplicate_onto(old, new, flags)) as c_int
}

/// As the C library's.
#[unsafe(no_mangle)]
extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // With flags the descriptors stay what they are, or are not those of our threads.
    if flags != 0 || first > last {
        return answer(sys::close_range(first, last, flags)) as c_int;
    }
    withdraw::before_close_of_range(first, last);
    let (mut next, mut closed) = (first, Ok(0));
    for ours in duplicates::within(first, last) {
        if ours > next {
            closed = sys::close_range(next, ours - 1, 0);
        }
        next = ours + 1;
    }
    if next <= last {
        closed = sys::close_range(next, last, 0);
    }
    answer(closed) as c_int
}

/// As the C library's.
#[unsafe(no_mangle)]
extern "C" fn closefrom(first: c_int) {
    let first = first.max(0);
    if close_range(first as c_uint, c_uint::MAX, 0) != 0 {
        // A kernel before 5.9, or a filter that does not know the call.
        for fd in sys::open_descriptors().into_iter().filter(|fd| *fd >= first) {
            close_directly(fd);
        }
    }
}

/// What a function of the C library says that makes a system call.
fn answer(outcome: Outcome) -> c_long {
    outcome.map_or_else(|error| fail(error).into(), |value| value as c_long)
}

/// As `close`, but no place for the thread to be cancelled.
fn close_directly(fd: c_int) -> c_int {
    if duplicates::is_ours(fd) {
        return fail(libc::EBADF);
    }
    withdraw::before_close(fd);
    answer(sys::close_directly(fd)) as c_int
}

/// As the C library's; so we learn of a filter that is put on by it, and see what it closes.
///
/// # Safety
///
/// As the system call.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    match number {
        libc::SYS_close => return close_directly(a as c_int).into(),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_dup2 => return dup2(a as c_int, b as c_int).into(),
        libc::SYS_dup3 => return dup3(a as c_int, b as c_int, c as c_int).into(),
        libc::SYS_close_range => {
            return close_range(a as c_uint, b as c_uint, c as c_int).into();
        }
        _ => {}
    }
    // SAFETY: as the caller's.
    let call = || unsafe { sys::call(number, [a, b, c, d, e, f]) };
    answer(if sys::puts_filter_on(number, a) { sys::putting_filter_on(call) } else { call() })
}

/// As the C library's; so we learn of a filter that is put on by it.
///
/// # Safety
///
/// As the system call.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[unsafe(no_mangle)]
unsafe extern "C" fn prctl(option: c_int, a: c_long, b: c_long, c: c_long, d: c_long) -> c_int {
    // SAFETY: as the caller's.
    unsafe { syscall(libc::SYS_prctl, option.into(), a, b, c, d, 0) as c_int }
}

/// The names for files of more than two gigabytes, which all files may be here.
macro_rules! also {
    ($($name:ident = $other:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {$(
        /// # Safety
        ///
        /// As the function without the number.
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $name($($argument: $kind),*) -> $result {
            // SAFETY: as the caller's.
            unsafe { $other($($argument),*) }
        }
    )*};
}

also! {
    aio_read64 = aio_read(cb: *mut Aiocb) -> c_int;
    aio_write64 = aio_write(cb: *mut Aiocb) -> c_int;
    aio_fsync64 = aio_fsync(op: c_int, cb: *mut Aiocb) -> c_int;
    aio_error64 = aio_error(cb: *const Aiocb) -> c_int;
    aio_return64 = aio_return(cb: *mut Aiocb) -> isize;
    aio_suspend64 = aio_suspend(
        list: *const *const Aiocb, count: c_int, timeout: *const libc::timespec
    ) -> c_int;
    aio_cancel64 = aio_cancel(fd: c_int, cb: *mut Aiocb) -> c_int;
    lio_listio64 = lio_listio(
        mode: c_int, list: *const *mut Aiocb, count: c_int, event: *const Sigevent
    ) -> c_int;
}
