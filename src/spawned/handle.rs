//! What a task's handle does with the task's memory: it waits for the result, takes it, or lets go.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::task::{Poll, RawWakerVTable, Waker};

use super::header::{Header, as_task};
use super::raw::{Outcome, TaskRef};
use crate::primitive::quietly;
use crate::protocol::task::Dropped;

/// The place of the waker of whoever waits for a task.
#[derive(Debug)]
pub(super) struct Awaiter(UnsafeCell<Option<Waker>>);

// SAFETY: wakers may be sent. Whoever uses the place has to be the one whose it is.
unsafe impl Sync for Awaiter {}

impl Awaiter {
    pub(super) fn new() -> Self {
        Awaiter(UnsafeCell::new(None))
    }

    /// # Safety
    ///
    /// The place is the caller's, by the task's word.
    pub(super) unsafe fn take(&self) -> Option<Waker> {
        // SAFETY: the caller's.
        unsafe { &mut *self.0.get() }.take()
    }

    /// # Safety
    ///
    /// The place is the caller's, by the task's word.
    unsafe fn put(&self, waker: Waker) {
        // SAFETY: the caller's. It was empty: nothing foreign runs in this.
        let before = unsafe { &mut *self.0.get() }.replace(waker);
        debug_assert!(before.is_none(), "the one that was there is taken first");
    }
}

/// A waker's identity: what `will_wake` compares.
type Name = (*const (), *const RawWakerVTable);

/// The handle of a task: its result, and whoever waits for it.
pub(super) struct RawHandle<T> {
    task: NonNull<Header>,
    /// The name of the awaiter that the task was offered, and has, or has woken.
    offered: Option<Name>,
    taken: bool,
    // Sent, and looked at by other threads, only where the result may be sent.
    output: PhantomData<std::sync::Mutex<Box<T>>>,
}

// SAFETY: the pointers are those of a task, which all threads may refer to, and a name. What it
// reads and drops is a `T`.
unsafe impl<T: Send> Send for RawHandle<T> where Header: Sync {}
// SAFETY: by a shared reference one gets at the header alone.
unsafe impl<T: Send> Sync for RawHandle<T> where Header: Sync {}

impl<T> Unpin for RawHandle<T> {}
// A task is whole behind any panic, and its result is read once.
impl<T> UnwindSafe for RawHandle<T> {}
impl<T> RefUnwindSafe for RawHandle<T> {}

impl<T> RawHandle<T> {
    /// # Safety
    ///
    /// The task's future has an output of this type, and a reference and `HANDLE` are this one's.
    pub(super) unsafe fn new(task: NonNull<Header>) -> Self {
        RawHandle { task, offered: None, taken: false, output: PhantomData }
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: it has a reference.
        unsafe { self.task.as_ref() }
    }

    /// One more reference to the task.
    pub(super) fn task(&self) -> TaskRef {
        // SAFETY: the handle has one.
        unsafe { TaskRef::new(self.task) }
    }

    /// The result, when it is there: nothing if the task was cancelled, or if it was taken before.
    pub(super) fn poll(&mut self, waker: &Waker) -> Poll<Option<Outcome<T>>> {
        if !self.header().word.is_complete() && self.wait(waker) {
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }

    /// Offers the waker to the task. `false`: it has become complete.
    fn wait(&mut self, waker: &Waker) -> bool {
        let name: Name = (waker.data(), waker.vtable());
        // The one that was offered lives, in its place, as long as the task is not complete, which
        // it was not: no other has its name. If it is by now, that one is woken.
        if self.offered == Some(name) {
            return true;
        }
        // SAFETY: by the handle's reference.
        let header = unsafe { self.task.as_ref() };
        if self.offered.take().is_some() {
            if !header.word.take_awaiter_back() {
                return false;
            }
            // SAFETY: it was just taken back.
            drop(unsafe { header.awaiter.take() });
        }
        let waker = waker.clone();
        // SAFETY: none is offered: the place is the handle's.
        unsafe { header.awaiter.put(waker) };
        if header.word.offer_awaiter() {
            self.offered = Some(name);
            return true;
        }
        // SAFETY: it was not accepted: the place is the handle's still.
        drop(unsafe { header.awaiter.take() });
        false
    }

    /// Of a task that is complete.
    fn take(&mut self) -> Option<Outcome<T>> {
        if self.taken || self.header().word.is_cancelled() {
            return None;
        }
        self.taken = true;
        let read = self.header().table.read;
        let mut outcome = MaybeUninit::<Outcome<T>>::uninit();
        // SAFETY: the task is complete and has a result, which is the handle's, once; `T` is the
        // output of its future, by `new`.
        unsafe { read(self.task, outcome.as_mut_ptr().cast()) };
        // SAFETY: `read` has written it.
        Some(unsafe { outcome.assume_init() })
    }
}

impl<T> Drop for RawHandle<T> {
    fn drop(&mut self) {
        loop {
            // SAFETY: by the handle's reference, which it has in each turn.
            let header = unsafe { self.task.as_ref() };
            match header.word.drop_handle() {
                Dropped::Detached => return,
                Dropped::Awaiter => {
                    // SAFETY: `Awaiter`: the place is the handle's.
                    let awaiter = unsafe { header.awaiter.take() };
                    quietly(|| drop(awaiter));
                }
                Dropped::Complete => {
                    let (id, outcome) = (header.id, self.take());
                    as_task(Some(id), || quietly(|| drop(outcome)));
                    return drop(TaskRef(self.task));
                }
            }
        }
    }
}
