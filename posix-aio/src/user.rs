//! What touches the program's memory, and every other system call: all `unsafe` of this library but
//! for the C functions themselves, the threads of `notify.rs` and one pointer in `state.rs`.
//!
//! Each function here is safe to call on the strength of one promise, which whoever calls a C
//! function of this library makes, and which [`ControlBlock::new`] takes note of: *the control block
//! and its buffer stay what and where they are until the request is finished*. Buffers are never
//! made into references: they are given to the kernel, which refuses those that are not there.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use threadlet::raw;

use crate::abi::{Aiocb, Sigevent};

/// What a request has come to: bytes, or an error number.
pub(crate) type Outcome = Result<usize, c_int>;

/// The offset by which `preadv2` means the file's own position.
const AT_POSITION: i64 = -1;

/// A control block of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlBlock(NonNull<Aiocb>);

// SAFETY: a control block may be used on any thread; its results are atomic, and the rest of it is
// not changed while a request is under way (see `new`).
unsafe impl Send for ControlBlock {}
// SAFETY: as above.
unsafe impl Sync for ControlBlock {}

/// What the program has written into a control block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params {
    pub(crate) fd: c_int,
    pub(crate) opcode: c_int,
    pub(crate) reqprio: c_int,
    pub(crate) buffer: Buffer,
    pub(crate) offset: i64,
    pub(crate) event: Event,
}

/// How the program wants to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event(pub(crate) Sigevent);

// SAFETY: its pointers are values to pass on; the thread attributes, which are read, are the
// program's to keep until it was told.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

/// The program's memory that a request reads from or writes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    start: *mut c_void,
    pub(crate) len: usize,
}

// SAFETY: a number and an address, which only the kernel follows.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl ControlBlock {
    /// `None` for a null pointer.
    ///
    /// # Safety
    ///
    /// `cb` is null or a control block. If a request is started with it, it and its buffer stay what
    /// and where they are until the request is finished ([`finish`](Self::finish)).
    pub(crate) unsafe fn new(cb: *mut Aiocb) -> Option<ControlBlock> {
        NonNull::new(cb).map(ControlBlock)
    }

    fn get(&self) -> &Aiocb {
        // SAFETY: it is a control block (see `new`), and nothing but its atomics changes meanwhile.
        unsafe { self.0.as_ref() }
    }

    /// What names it.
    pub(crate) fn address(self) -> usize {
        self.0.as_ptr().addr()
    }

    pub(crate) fn params(self) -> Params {
        let cb = self.get();
        Params {
            fd: cb.fildes,
            opcode: cb.lio_opcode,
            reqprio: cb.reqprio,
            buffer: Buffer { start: cb.buf, len: cb.nbytes },
            offset: cb.offset,
            event: Event(cb.sigevent),
        }
    }

    pub(crate) fn fd(self) -> c_int {
        self.get().fildes
    }

    /// The error number: `EINPROGRESS` while the request is under way.
    pub(crate) fn error(self) -> c_int {
        // Ordering: Acquire pairs with Release in `finish`: the result and the buffer are there.
        self.get().error_code.load(Ordering::Acquire)
    }

    /// In which generation the request was made, if it is under way.
    pub(crate) fn generation(self) -> u32 {
        // Ordering: Relaxed; whoever saw `EINPROGRESS` sees this.
        self.get().generation.load(Ordering::Relaxed)
    }

    pub(crate) fn result(self) -> isize {
        // Ordering: Relaxed; whoever saw the error number sees this.
        self.get().return_value.load(Ordering::Relaxed)
    }

    /// The request is under way, in a process of that generation.
    pub(crate) fn begin(self, generation: u32) {
        let cb = self.get();
        cb.generation.store(generation, Ordering::Relaxed);
        cb.return_value.store(0, Ordering::Relaxed);
        cb.error_code.store(libc::EINPROGRESS, Ordering::Release);
    }

    /// The request is finished. The control block is the program's again: it may be gone before this
    /// returns.
    pub(crate) fn finish(self, outcome: Outcome) {
        let (value, error) = match outcome {
            Ok(n) => (n as isize, 0),
            Err(error) => (-1, error),
        };
        let cb = self.get();
        cb.return_value.store(value, Ordering::Relaxed);
        // Ordering: Release pairs with Acquire in `error`.
        cb.error_code.store(error, Ordering::Release);
    }
}

impl Buffer {
    fn rest(self, done: usize) -> libc::iovec {
        // Only the kernel follows it.
        libc::iovec { iov_base: self.start.wrapping_byte_add(done), iov_len: self.len - done }
    }
}

fn outcome(answer: isize) -> io::Result<usize> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as usize) }
}

/// Repeats what a signal has interrupted; an error as its number.
fn retry(mut call: impl FnMut() -> isize) -> Outcome {
    loop {
        match outcome(call()) {
            Ok(n) => return Ok(n),
            Err(error) => match errno_of(&error) {
                libc::EINTR => {}
                errno => return Err(errno),
            },
        }
    }
}

pub(crate) fn errno_of(error: &io::Error) -> c_int {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Reads what is in memory of the bytes behind the first `done`, without waiting; `None`: at the
/// file's own position.
pub(crate) fn read_nowait(
    fd: c_int,
    buffer: Buffer,
    done: usize,
    at: Option<i64>,
) -> raw::Answer<usize> {
    raw::judge(nowait(libc::SYS_preadv2, fd, buffer, done, at))
}

/// Writes what can be written without waiting.
pub(crate) fn write_nowait(fd: c_int, buffer: Buffer, done: usize, at: i64) -> raw::Answer<usize> {
    raw::judge(nowait(libc::SYS_pwritev2, fd, buffer, done, Some(at)))
}

fn nowait(
    number: libc::c_long,
    fd: c_int,
    buffer: Buffer,
    done: usize,
    at: Option<i64>,
) -> io::Result<usize> {
    let iov = buffer.rest(done);
    let at = at.map_or(AT_POSITION, |at| at.wrapping_add(done as i64));
    loop {
        // SAFETY: the buffer is the program's, for the kernel to check; its description outlives the
        // call. With words of 64 bits the second one of the offset is ignored.
        let answer =
            unsafe { libc::syscall(number, fd, &raw const iov, 1, at, 0, libc::RWF_NOWAIT) };
        match outcome(answer as isize) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads, and waits if it must.
pub(crate) fn read(fd: c_int, buffer: Buffer, done: usize, at: Option<i64>) -> Outcome {
    let libc::iovec { iov_base: start, iov_len: len } = buffer.rest(done);
    retry(|| match at {
        // SAFETY: the buffer is the program's to give, and the kernel's to check.
        Some(at) => unsafe { libc::pread64(fd, start, len, at.saturating_add(done as i64)) },
        // SAFETY: as above.
        None => unsafe { libc::read(fd, start, len) },
    })
}

/// Writes, and waits if it must.
pub(crate) fn write(fd: c_int, buffer: Buffer, done: usize, at: Option<i64>) -> Outcome {
    let libc::iovec { iov_base: start, iov_len: len } = buffer.rest(done);
    retry(|| match at {
        // SAFETY: the kernel only reads the buffer, and checks it.
        Some(at) => unsafe { libc::pwrite64(fd, start, len, at.saturating_add(done as i64)) },
        // SAFETY: as above.
        None => unsafe { libc::write(fd, start, len) },
    })
}

/// `fsync`, or `fdatasync` for `data`.
pub(crate) fn sync(fd: c_int, data: bool) -> Outcome {
    let call = if data { libc::fdatasync } else { libc::fsync };
    // SAFETY: numbers only.
    retry(|| unsafe { call(fd) } as isize)
}

/// Whether reading nothing at `position` means the end of the file.
pub(crate) fn is_end(fd: c_int, position: i64) -> bool {
    // SAFETY: a descriptor of the program, which was open just now; if it no longer is the kernel
    // says so.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    u64::try_from(position).is_ok_and(|position| raw::is_end(fd, position))
}

/// The flags of an open file.
pub(crate) fn flags(fd: c_int) -> Result<c_int, c_int> {
    // SAFETY: numbers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    outcome(flags as isize).map(|flags| flags as c_int).map_err(|error| errno_of(&error))
}

// A thread that is cancelled in `close` is unwound from there.
unsafe extern "C-unwind" {
    /// The C library's `close`, by the name under which we do not stand before it.
    fn __close(fd: c_int) -> c_int;
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// Whether this thread can be cancelled, from now on; what it was before.
fn set_cancel_state(state: c_int) -> c_int {
    let mut before = 0;
    // SAFETY: the place is ours to write.
    unsafe { pthread_setcancelstate(state, &raw mut before) };
    before
}

/// Closes a descriptor of our own: no place for the thread to be cancelled.
pub(crate) fn close_own(fd: c_int) {
    // SAFETY: numbers only; the descriptor is ours.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

/// Closes a range of descriptors, or marks them.
pub(crate) fn close_range(first: u32, last: u32, flags: c_int) -> c_int {
    // SAFETY: numbers only; the descriptors are the program's.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) as c_int }
}

pub(crate) fn close(fd: c_int) -> c_int {
    // SAFETY: numbers only; the descriptor is the program's.
    unsafe { __close(fd) }
}

/// `dup2`, or with flags `dup3`.
pub(crate) fn duplicate(old: c_int, new: c_int, flags: Option<c_int>) -> c_int {
    let answer = match flags {
        // SAFETY: numbers only. (By the number: the function of the C library is ours.)
        Some(flags) => unsafe { libc::syscall(libc::SYS_dup3, old, new, flags) },
        // `dup3` refuses two equal numbers, which `dup2` gives back.
        None if old == new => match self::flags(old) {
            Ok(_) => new.into(),
            Err(error) => {
                set_errno(error);
                -1
            }
        },
        // SAFETY: numbers only.
        None => unsafe { libc::syscall(libc::SYS_dup3, old, new, 0) },
    };
    answer as c_int
}

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    pub(crate) kind: Kind,
    pub(crate) identity: Identity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file, a directory or a disk: a request on it takes a device's time.
    File,
    /// Something else with a position; a request may wait for ever.
    Device,
    /// Has no position (a pipe, a socket, a terminal), and may have one wait for ever.
    Stream,
}

/// The same as long as the descriptor stands for the same: the file system, the number in it, and, as the
/// two ends of a pipe have one number, whether it reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(libc::dev_t, libc::ino64_t, c_int);

pub(crate) fn file(fd: c_int) -> Result<File, c_int> {
    // SAFETY: a plain structure, for which zeros are a value.
    let mut stat: libc::stat64 = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours to write.
    let answer = unsafe { libc::fstat64(fd, &raw mut stat) };
    outcome(answer as isize).map_err(|error| errno_of(&error))?;
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR => Kind::File,
        _ if has_position(fd) => Kind::Device,
        _ => Kind::Stream,
    };
    let access = match kind {
        Kind::File => 0,
        Kind::Device | Kind::Stream => flags(fd)? & libc::O_ACCMODE,
    };
    Ok(File { kind, identity: Identity(stat.st_dev, stat.st_ino, access) })
}

/// Some that have none let themselves be positioned all the same (an eventfd), but not read from there.
fn has_position(fd: c_int) -> bool {
    let is_stream = |answer: isize| outcome(answer).is_err_and(|e| errno_of(&e) == libc::ESPIPE);
    // SAFETY: numbers only.
    let moved = unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) };
    // SAFETY: nothing is read.
    let read = || unsafe { libc::syscall(libc::SYS_pread64, fd, std::ptr::null::<u8>(), 0, 0_i64) };
    !is_stream(moved as isize) && !is_stream(read() as isize)
}

/// A duplicate with the lowest free number from `first` on, closed by `exec`.
pub(crate) fn duplicate_from(fd: c_int, first: c_int) -> Option<c_int> {
    // SAFETY: numbers only.
    let duplicate = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, first) };
    (duplicate >= 0).then_some(duplicate)
}

/// How many descriptors the process may have.
pub(crate) fn most_descriptors() -> c_int {
    let limit = limit(libc::RLIMIT_NOFILE).unwrap_or(libc::RLIM64_INFINITY);
    c_int::try_from(limit).unwrap_or(c_int::MAX)
}

fn limit(of: libc::__rlimit_resource_t) -> Option<libc::rlim64_t> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours to write.
    let answer = unsafe { libc::getrlimit64(of, &raw mut limit) };
    (answer == 0).then_some(limit.rlim_cur)
}

/// The descriptors that are open, as far as the system says so.
pub(crate) fn open_descriptors() -> Vec<c_int> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Whether no write can meet the limit on the size of files, which is told by a signal.
pub(crate) fn file_size_is_unlimited() -> bool {
    limit(libc::RLIMIT_FSIZE) == Some(libc::RLIM64_INFINITY)
}

/// A clock that costs next to nothing; see `hints.rs`.
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of the kind has it.
    #[allow(unused_unsafe, reason = "safe in younger compilers")]
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is ours to write.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Woken, or it is not what it was.
    Woken,
    Signal,
    Late,
}

/// Waits until `word` is not `expected`, or the time of the monotonic clock has come. Without a time
/// a signal whose handler asks for it (`SA_RESTART`) does not end the wait.
pub(crate) fn wait(word: &AtomicU32, expected: u32, until: Option<&libc::timespec>) -> Waited {
    let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    let until = until.map_or(std::ptr::null(), std::ptr::from_ref);
    let any = libc::FUTEX_BITSET_MATCH_ANY;
    let nothing = std::ptr::null::<u32>();
    // SAFETY: the word and the time outlive the call.
    let answer = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, until, nothing, any)
    };
    match outcome(answer as isize).map_err(|error| errno_of(&error)) {
        Err(libc::EINTR) => Waited::Signal,
        Err(libc::ETIMEDOUT) => Waited::Late,
        _ => Waited::Woken,
    }
}

/// Wakes all that wait for the word.
pub(crate) fn wake(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel only looks for waiters at the address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, c_int::MAX) };
}

/// The time of the monotonic clock.
pub(crate) fn now() -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now
}

/// Blocks all signals on this thread; the mask before.
fn block_signals() -> libc::sigset_t {
    // SAFETY: a plain bit set, for which zero is a value.
    let [mut all, mut before]: [libc::sigset_t; 2] = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours to write.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets outlive the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    before
}

/// Sets the signals that are blocked on this thread.
fn set_signals(mask: &libc::sigset_t) {
    // SAFETY: the set outlives the call; the one before is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// The two signals that a call raises on the thread that makes it.
const RAISED: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Runs `f` with all signals blocked, on a thread that is not cancelled meanwhile: a request that has begun
/// has to be finished. The program is not told of a signal that a call in `f` raises, as
/// it is not told of those of our threads.
pub(crate) fn without_signals<T>(f: impl FnOnce() -> T) -> T {
    let cancel = set_cancel_state(PTHREAD_CANCEL_DISABLE);
    let mask = block_signals();
    let before = RAISED.map(is_pending);
    let result = f();
    for (signo, before) in RAISED.into_iter().zip(before) {
        if !before && is_pending(signo) {
            take_pending(signo);
        }
    }
    set_signals(&mask);
    set_cancel_state(cancel);
    result
}

fn is_pending(signo: c_int) -> bool {
    // SAFETY: a plain bit set, for which zero is a value.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours to write.
    unsafe { libc::sigpending(&raw mut set) };
    // SAFETY: the set outlives the call.
    unsafe { libc::sigismember(&raw const set, signo) == 1 }
}

fn take_pending(signo: c_int) {
    // SAFETY: a plain bit set, for which zero is a value.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours to write.
    unsafe { libc::sigaddset(&raw mut set, signo) };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time outlive the call; what is taken is not asked for.
    unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const now) };
}

/// Unblocks all signals on this thread.
pub(crate) fn unblock_signals() {
    // SAFETY: a plain bit set; all zeros is the empty one.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    set_signals(&none);
}

pub(crate) fn set_errno(error: c_int) {
    // SAFETY: takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the place is this thread's.
    unsafe { *place = error };
}

/// Has `f` called in the child after each `fork`.
pub(crate) fn on_fork_in_child(f: unsafe extern "C" fn()) {
    // SAFETY: a function of this library, which is never unloaded. Without memory for it a child
    // that uses requests is on its own.
    unsafe { libc::pthread_atfork(None, None, Some(f)) };
}
