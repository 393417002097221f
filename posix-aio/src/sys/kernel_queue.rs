//! The kernel's own queue of requests (`io_setup`): a request in it needs no thread.
//!
//! What the kernel has finished stands in a ring of events, in memory that it shares with us. We
//! take events out of it there, with no system call, and let the kernel do no more than wait: it is
//! given no place to put an event, so it finds that there is one, fails (`EFAULT`), and leaves it
//! where it is. So a thread that a signal has interrupted while it waited has no event in its
//! hands, and any other may take them meanwhile.

use std::ffi::{c_int, c_long};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::clock::Waited;
use super::control_block::Buffer;
use super::kernel::{address, call};
use super::signals::Quiet;

/// `struct iocb`: what the kernel is to do.
#[repr(C)]
struct Order {
    data: u64,
    #[cfg(target_endian = "big")]
    flags: c_int,
    key: u32,
    #[cfg(target_endian = "little")]
    flags: c_int,
    opcode: u16,
    priority: i16,
    fd: c_int,
    buffer: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    notify_flags: u32,
    notify_fd: u32,
}

const READ: u16 = 0;
const WRITE: u16 = 1;

/// `struct io_event`: what the kernel has done.
#[derive(Clone, Copy)]
#[repr(C)]
struct Event {
    data: u64,
    order: u64,
    result: i64,
    second_result: i64,
}

/// `struct aio_ring`, which the events stand behind.
#[repr(C)]
struct Ring {
    id: u32,
    size: u32,
    /// The next event to be taken, by us.
    head: AtomicU32,
    /// Where the kernel puts the next one.
    tail: AtomicU32,
    magic: u32,
    compatible: u32,
    incompatible: u32,
    header: u32,
}

const MAGIC: u32 = 0xa10a_10a1;

const _: () = assert!(size_of::<Order>() == 64 && size_of::<Event>() == 32);
const _: () = assert!(size_of::<Ring>() == 32);

/// What is to be read or written: the bytes behind the first `done`, of a file that is at `at`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) fd: c_int,
    pub(crate) writes: bool,
    pub(crate) buffer: Buffer,
    pub(crate) done: usize,
    pub(crate) at: i64,
}

/// A queue, whose requests are for owners of that type. It is never given back.
pub(crate) struct KernelQueue<T: Send + Sync> {
    ring: NonNull<Ring>,
    size: u32,
    /// Whether somebody takes events.
    taking: AtomicBool,
    owners: PhantomData<Arc<T>>,
}

// SAFETY: what the ring says is atomic; its events are looked at by one at a time (`take`).
unsafe impl<T: Send + Sync> Send for KernelQueue<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for KernelQueue<T> {}

impl<T: Send + Sync> fmt::Debug for KernelQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelQueue").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<T: Send + Sync> KernelQueue<T> {
    /// `None`: the system has none for us, or one that we do not know.
    pub(crate) fn new(requests: u32) -> Option<KernelQueue<T>> {
        let mut context: c_long = 0;
        // SAFETY: the place is ours to write.
        unsafe { call(libc::SYS_io_setup, [requests.into(), address(&raw mut context)]) }.ok()?;
        let ring = NonNull::new(std::ptr::with_exposed_provenance_mut::<Ring>(context as usize))?;
        // SAFETY: what names the queue is where its ring is, which is there until the process is at its
        // end, and is nobody's but the kernel's until we are given it.
        let Ring { magic, incompatible, header, size, .. } = unsafe { ring.read() };
        let known = magic == MAGIC && incompatible == 0 && header as usize == size_of::<Ring>();
        let queue = KernelQueue { ring, size, taking: AtomicBool::new(false), owners: PhantomData };
        // One that fails before it has looked would never wait.
        let waits = || queue.wait(libc::timespec { tv_sec: 0, tv_nsec: 0 }) == Waited::Late;
        if known && size > 0 && waits() {
            return Some(queue);
        }
        // SAFETY: it is ours, and nothing is in it.
        let _destroyed = unsafe { call(libc::SYS_io_destroy, [context]) };
        None
    }

    fn context(&self) -> c_long {
        address(self.ring.as_ptr())
    }

    fn head(&self) -> &AtomicU32 {
        // SAFETY: the ring is there, and this field is nobody's but ours.
        unsafe { &self.ring.as_ref().head }
    }

    fn tail(&self) -> &AtomicU32 {
        // SAFETY: the ring is there; the kernel writes this field as a whole.
        unsafe { &self.ring.as_ref().tail }
    }

    /// Gives the kernel a request, which it takes only if it can begin it without waiting. What it
    /// has come to is [taken](Self::take) together with the owner. `Err`: nothing was begun.
    pub(crate) fn submit(&self, transfer: Transfer, owner: Arc<T>) -> Result<(), c_int> {
        let Transfer { fd, writes, buffer, done, at } = transfer;
        let libc::iovec { iov_base: start, iov_len: len } = buffer.rest(done);
        let owner = Arc::into_raw(owner);
        let mut order = Order {
            data: address(owner) as u64,
            key: 0,
            flags: libc::RWF_NOWAIT,
            opcode: if writes { WRITE } else { READ },
            priority: 0,
            fd,
            buffer: address(start) as u64,
            len: len as u64,
            offset: at.saturating_add(done as i64),
            reserved: 0,
            notify_flags: 0,
            notify_fd: 0,
        };
        // The kernel writes the key into it.
        let orders = [&raw mut order];
        let arguments = [self.context(), 1, address(orders.as_ptr())];
        // SAFETY: the order outlives the call; its buffer is the program's, for the kernel to check,
        // and stays until the request is finished.
        unsafe { call(libc::SYS_io_submit, arguments) }.map(drop).inspect_err(|_| {
            // SAFETY: from above; the kernel has not taken it.
            drop(unsafe { Arc::from_raw(owner) });
        })
    }

    /// How many events there are.
    pub(crate) fn count(&self) -> u32 {
        // Ordering: Relaxed, twice, a hint; `take` looks again.
        let (head, tail) =
            (self.head().load(Ordering::Relaxed), self.tail().load(Ordering::Relaxed));
        if tail >= head { tail - head } else { tail + self.size - head }
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        self.count() > 0
    }

    /// Where the first of them stands.
    pub(crate) fn first(&self) -> u32 {
        // Ordering: Relaxed, a hint.
        self.head().load(Ordering::Relaxed)
    }

    /// Waits until there are events.
    pub(crate) fn wait(&self, timeout: libc::timespec) -> Waited {
        // Where no process can have memory: the kernel finds that out when it has an event to write.
        let nowhere = -4096;
        let arguments = [self.context(), 1, 1, nowhere, address(&raw const timeout)];
        // SAFETY: the time outlives the call; nothing is written.
        match unsafe { call(libc::SYS_io_getevents, arguments) } {
            Ok(_) => Waited::Late,
            Err(libc::EINTR) => Waited::Signal,
            Err(_) => Waited::Woken,
        }
    }

    /// Takes all events out, each a number of bytes or, below zero, an error number. All signals are
    /// blocked on this thread, so that no handler waits for what it has interrupted; `f` must
    /// neither wait nor allocate.
    ///
    /// Does nothing if another thread is at it.
    pub(crate) fn take(&self, _quiet: &Quiet, mut f: impl FnMut(Arc<T>, i64)) {
        // Ordering: Acquire. Partner: the store below; the head is where the one before left it.
        if self.taking.swap(true, Ordering::Acquire) {
            return;
        }
        // Ordering: Relaxed, as above.
        let mut head = self.head().load(Ordering::Relaxed);
        // Ordering: Acquire. Partner: the kernel, which writes events before it says so.
        while head != self.tail().load(Ordering::Acquire) {
            // SAFETY: both are below the size, and this one has been written.
            let event = unsafe { self.event(head) };
            head = if head + 1 == self.size { 0 } else { head + 1 };
            // Ordering: Release. Partner: the kernel, which writes over an event only then.
            self.head().store(head, Ordering::Release);
            let owner = std::ptr::with_exposed_provenance(event.data as usize);
            // SAFETY: from `submit`, and of each there is one event.
            f(unsafe { Arc::from_raw(owner) }, event.result);
        }
        // Ordering: Release. Partner: the swap above.
        self.taking.store(false, Ordering::Release);
    }

    /// # Safety
    ///
    /// `index` is that of an event that was written, and not yet taken.
    unsafe fn event(&self, index: u32) -> Event {
        // SAFETY: the events stand behind the ring.
        let events = unsafe { self.ring.as_ptr().add(1) }.cast::<Event>();
        // SAFETY: the index is below their number.
        let event = unsafe { events.add(index as usize) };
        // SAFETY: as the caller's.
        unsafe { event.read_volatile() }
    }
}
