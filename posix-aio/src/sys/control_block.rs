//! The program's control blocks: what it has written there, and where the results go.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use super::Outcome;
use crate::abi::{Aiocb, Sigevent};

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
    /// `cb` is null or a control block. If a request is started with it, it and its buffer stay
    /// what and where they are until the request is finished ([`finish`](Self::finish)).
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
        // Ordering: Acquire. Partner: `finish`; the result and the buffer are there.
        self.get().error_code.load(Ordering::Acquire)
    }

    /// In which generation the request was made, if it is under way.
    pub(crate) fn generation(self) -> u32 {
        // Ordering: Relaxed, behind the load in `error`: whoever saw `EINPROGRESS` sees this.
        self.get().generation.load(Ordering::Relaxed)
    }

    /// Whether the kernel's own queue has the request, if it is under way.
    pub(crate) fn is_queued(self) -> bool {
        // Ordering: Relaxed, as above; one that comes back from there is looked at anew by whoever
        // has taken it out.
        self.get().queued.load(Ordering::Relaxed) == 1
    }

    /// It gets the request, or has given it back.
    pub(crate) fn set_queued(self, queued: bool) {
        // Ordering: Relaxed, see `is_queued`.
        self.get().queued.store(queued.into(), Ordering::Relaxed);
    }

    pub(crate) fn result(self) -> isize {
        // Ordering: Relaxed, behind the load in `error`: whoever saw the error number sees this.
        self.get().return_value.load(Ordering::Relaxed)
    }

    /// The request is under way, in a process of that generation.
    pub(crate) fn begin(self, generation: u32) {
        let cb = self.get();
        // Ordering: Relaxed, three times; the store below brings them.
        cb.generation.store(generation, Ordering::Relaxed);
        cb.queued.store(0, Ordering::Relaxed);
        cb.return_value.store(0, Ordering::Relaxed);
        // Ordering: Release. Partner: `error`; the generation is there.
        cb.error_code.store(libc::EINPROGRESS, Ordering::Release);
    }

    /// The request is finished. The control block is the program's again: it may be gone before
    /// this returns.
    pub(crate) fn finish(self, outcome: Outcome) {
        let (value, error) = match outcome {
            Ok(n) => (n as isize, 0),
            Err(error) => (-1, error),
        };
        let cb = self.get();
        // Ordering: Relaxed; the store below brings it.
        cb.return_value.store(value, Ordering::Relaxed);
        // Ordering: Release. Partner: `error`; the result and the buffer are there.
        cb.error_code.store(error, Ordering::Release);
    }
}

impl Buffer {
    /// What is behind the first `done` bytes.
    pub(super) fn rest(self, done: usize) -> libc::iovec {
        // Only the kernel follows it.
        libc::iovec { iov_base: self.start.wrapping_byte_add(done), iov_len: self.len - done }
    }
}
