//! The twin of the kernel and of the program's memory: what is done is noted.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::marker::PhantomData;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};

use crate::engine::Engine;

pub(crate) type Outcome = Result<usize, c_int>;

/// What is done, in order, by the number of whoever had it done.
pub(crate) const SYNC: usize = 1000;

thread_local! {
    /// Of the model that this thread explores. Its threads run one at a time, and none of them stops
    /// in here.
    static DONE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static FUTEX: Cell<Option<&'static Futex>> = const { Cell::new(None) };
    static HELD_ONE: Cell<Option<&'static Held>> = const { Cell::new(None) };
}

/// In each run anew. (It is little, and never freed.)
pub(crate) fn begin() {
    DONE.with_borrow_mut(Vec::clear);
    FUTEX.set(Some(Box::leak(Box::default())));
    HELD_ONE.set(Some(Box::leak(Box::default())));
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

/// The kernel's queue: what it has, ends at any time.
#[derive(Debug)]
pub(crate) struct KernelQueue<T>(std::sync::Arc<Events<T>>);

#[derive(Debug)]
struct Events<T> {
    events: Mutex<Vec<(Arc<T>, i64)>>,
    came: Condvar,
}

#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) fd: c_int,
    pub(crate) writes: bool,
    pub(crate) buffer: Buffer,
    pub(crate) done: usize,
    pub(crate) at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Woken,
    Late,
}

#[derive(Debug)]
pub(crate) struct Quiet;

impl Quiet {
    pub(crate) fn new() -> Quiet {
        Quiet
    }

    pub(crate) fn pause(&self, f: impl FnOnce()) {
        f();
    }
}

impl<T: Send + Sync + 'static> KernelQueue<T> {
    pub(crate) fn new(_size: u32) -> Option<KernelQueue<T>> {
        Some(KernelQueue(std::sync::Arc::new(Events {
            events: Mutex::new(Vec::new()),
            came: Condvar::new(),
        })))
    }

    pub(crate) fn submit(&self, transfer: Transfer, owner: Arc<T>) -> Result<(), c_int> {
        let (queue, number) = (self.0.clone(), transfer.buffer.number);
        let held = (number == HELD).then(held);
        let does = move || {
            held.inspect(|held| held.wait());
            transfer.buffer.place.touch();
            note(number);
            queue.events.lock().unwrap().push((owner, transfer.buffer.len as i64));
            queue.came.notify_all();
        };
        if number >= ENDED {
            does()
        } else {
            Engine.submit(does)
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.events.lock().unwrap().len() as u32
    }

    pub(crate) fn any(&self) -> bool {
        self.count() > 0
    }

    pub(crate) fn first(&self) -> u32 {
        0
    }

    pub(crate) fn wait(&self, _timeout: libc::timespec) -> Waited {
        let mut events = self.0.events.lock().unwrap();
        while events.is_empty() {
            events = self.0.came.wait(events).unwrap();
        }
        Waited::Woken
    }

    pub(crate) fn take(&self, _quiet: &Quiet, mut f: impl FnMut(Arc<T>, i64)) {
        let events = std::mem::take(&mut *self.0.events.lock().unwrap());
        events.into_iter().for_each(|(owner, result)| f(owner, result));
    }
}

/// Whether it is empty is said without the lock, as by the real one.
#[derive(Debug)]
pub(crate) struct Stack<T> {
    things: Mutex<Vec<Arc<T>>>,
    count: AtomicU32,
}

impl<T> Stack<T> {
    pub(crate) fn new() -> Stack<T> {
        Stack { things: Mutex::new(Vec::new()), count: AtomicU32::new(0) }
    }

    pub(crate) fn push(&self, thing: Arc<T>) {
        let mut things = self.things.lock().unwrap();
        things.push(thing);
        self.count.store(things.len() as u32, Ordering::Relaxed);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn take(&self) -> Vec<Arc<T>> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut things = self.things.lock().unwrap();
        self.count.store(0, Ordering::Relaxed);
        std::mem::take(&mut *things)
    }
}

/// What the keeper sleeps on.
#[derive(Debug, Default)]
struct Futex {
    lock: Mutex<()>,
    woken: Condvar,
}

fn futex() -> &'static Futex {
    FUTEX.get().expect("a model has begun")
}

pub(crate) fn wake(_word: &AtomicU32) {
    let _lock = futex().lock.lock().unwrap();
    futex().woken.notify_all();
}

/// No time has come yet.
pub(crate) const NEVER: libc::timespec = libc::timespec { tv_sec: 1, tv_nsec: 0 };
/// This one has.
pub(crate) const AT_ONCE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

pub(crate) fn wait(word: &AtomicU32, value: u32, until: Option<&libc::timespec>) -> Waited {
    if until.is_some_and(|until| until.tv_sec == 0) {
        return Waited::Late;
    }
    let lock = futex().lock.lock().unwrap();
    if word.load(Ordering::Relaxed) == value {
        let _lock = futex().woken.wait(lock).unwrap();
    }
    Waited::Woken
}

/// The number of a request that the kernel's queue has until it is let go.
pub(crate) const HELD: usize = 2000;

/// Those of this number and of greater ones have ended when they have been submitted.
pub(crate) const ENDED: usize = 3000;

#[derive(Debug, Default)]
pub(crate) struct Held {
    is_free: Mutex<bool>,
    freed: Condvar,
}

/// Of this model.
pub(crate) fn held() -> &'static Held {
    HELD_ONE.get().expect("a model has begun")
}

impl Held {
    pub(crate) fn let_go(&self) {
        *self.is_free.lock().unwrap() = true;
        self.freed.notify_all();
    }

    fn wait(&self) {
        let mut is_free = self.is_free.lock().unwrap();
        while !*is_free {
            is_free = self.freed.wait(is_free).unwrap();
        }
    }
}

pub(crate) fn wants_threads() -> bool {
    false
}

/// Nothing is linked.
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

    pub(crate) fn set_queued(self, _queued: bool) {}

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

pub(crate) fn yield_or_sleep(_turn: u32) {
    loom::thread::yield_now();
}
