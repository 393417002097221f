//! What touches the program's memory, and every other system call: all `unsafe` of this library but
//! for the C functions themselves, the threads of `notify.rs` and one pointer in `state.rs`.
//!
//! Each function here is safe to call on the strength of one promise, which whoever calls a C
//! function of this library makes, and which [`ControlBlock::new`] takes note of: *the control block
//! and its buffer stay what and where they are until the request is finished*. Buffers are never
//! made into references: they are given to the kernel, which refuses those that are not there.

mod files;
mod signals;

pub(crate) use self::files::{
    File, Kind, close, close_own, close_range, duplicate, duplicate_from, file,
    file_size_is_unlimited, flags, most_descriptors, open_descriptors,
};
pub(crate) use self::signals::{unblock_signals, without_signals};

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
