//! The twin of the kernel and of the program's memory: what is done is noted.

use std::cell::RefCell;
use std::ffi::c_int;
use std::marker::PhantomData;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};

pub(crate) type Outcome = Result<usize, c_int>;

/// What is done, in order, by the number of whoever had it done.
pub(crate) const SYNC: usize = 1000;

thread_local! {
    /// Of the model that this thread explores. Its threads run one at a time, and none of them stops
    /// in here.
    static DONE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn begin() {
    DONE.with_borrow_mut(Vec::clear);
}

pub(crate) fn done() -> Vec<usize> {
    DONE.with_borrow(Clone::clone)
}

fn note(number: usize) {
    DONE.with_borrow_mut(|done| done.push(number));
}

/// Something that only one thread at a time may be at, and only after what was done there before:
/// loom reports any two that nothing orders.
#[derive(Debug)]
pub(crate) struct Place(UnsafeCell<()>);

// SAFETY: loom checks what this promises; that is the purpose of the type.
unsafe impl Sync for Place {}

impl Place {
    pub(crate) fn new() -> &'static Place {
        Box::leak(Box::new(Place(UnsafeCell::new(()))))
    }

    fn touch(&self) {
        self.0.with_mut(|_| ());
    }
}

/// What a request reads or writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    pub(crate) number: usize,
    pub(crate) place: &'static Place,
    pub(crate) len: usize,
}

pub(crate) fn read(_fd: c_int, buffer: Buffer, _done: usize, _at: Option<i64>) -> Outcome {
    buffer.place.touch();
    note(buffer.number);
    Ok(buffer.len)
}

pub(crate) fn write(fd: c_int, buffer: Buffer, done: usize, at: Option<i64>) -> Outcome {
    read(fd, buffer, done, at)
}

pub(crate) fn sync(_fd: c_int, _data: bool) -> Outcome {
    note(SYNC);
    Ok(0)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Event;

/// No stack is modelled.
#[derive(Debug)]
pub(crate) struct Link<T>(PhantomData<fn(T)>);

impl<T> Default for Link<T> {
    fn default() -> Self {
        Link(PhantomData)
    }
}

pub(crate) trait Linked: Sized {
    fn link(&self) -> &Link<Self>;
}

const IDLE: u32 = u32::MAX;

/// What the program sees of a request.
#[derive(Debug)]
struct Block {
    number: usize,
    error: AtomicU32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlBlock(&'static Block);

impl ControlBlock {
    pub(crate) fn new(number: usize) -> ControlBlock {
        ControlBlock(Box::leak(Box::new(Block { number, error: AtomicU32::new(IDLE) })))
    }

    pub(crate) fn number(self) -> usize {
        self.0.number
    }

    /// The same in each run, as the order in a map hangs on it.
    pub(crate) fn address(self) -> usize {
        0x1000 + 168 * self.0.number
    }

    pub(crate) fn begin(self, _generation: u32) {
        self.0.error.store(libc::EINPROGRESS as u32, Ordering::Release);
    }

    pub(crate) fn finish(self, outcome: Outcome) {
        let error = outcome.err().unwrap_or(0);
        let before = self.0.error.swap(error as u32, Ordering::AcqRel);
        assert_eq!(before, libc::EINPROGRESS as u32, "it is finished once");
    }

    pub(crate) fn error(self) -> c_int {
        self.0.error.load(Ordering::Acquire) as c_int
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Device,
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) identity: u32,
}

/// The one file.
pub(crate) const FILE: Target = Target { kind: Kind::File, identity: 1 };
/// The one stream, and what its number means next.
pub(crate) const STREAM: Target = Target { kind: Kind::Stream, identity: 2 };
pub(crate) const NEXT_STREAM: Target = Target { kind: Kind::Stream, identity: 3 };

/// The number of the file, and of the streams.
pub(crate) const FILE_FD: c_int = 3;
pub(crate) const STREAM_FD: c_int = 4;

pub(crate) fn target(fd: c_int) -> Result<Target, c_int> {
    Ok(if fd == FILE_FD { FILE } else { STREAM })
}

pub(crate) fn behind_filter() -> bool {
    false
}

pub(crate) fn without_signals<T>(f: impl FnOnce() -> T) -> T {
    f()
}

pub(crate) fn yield_now() {
    loom::thread::yield_now();
}
