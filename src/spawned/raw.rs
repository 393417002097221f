//! The memory of a task: its header, and behind that its future, in whose place its result comes.
//!
//! It is one allocation, which begins with the [`Header`]. Whoever does not know the future's type
//! has a pointer to that, and gets at the rest by the functions of its [`Table`]. Who may touch
//! what, and when the memory goes, is decided by the header's word: `protocol::task` has the rules
//! and their proof; here they are followed.
//!
//! | type | what it has |
//! |---|---|
//! | [`TaskRef`] | a reference: it keeps the memory |
//! | a `Waker` | the same |
//! | [`Runnable`] | a reference, and the right to run |
//! | `JoinHandle`, by its [`RawHandle`] | a reference, the right to the result, and that to the awaiter's place |

use std::any::Any;
use std::cell::UnsafeCell;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::handle::RawHandle;
use super::header::{Birth, Header, Keeper};
use super::kept;
use crate::primitive::quietly;
use crate::protocol::queue::Item;
use crate::protocol::task::{Completed, Rest};

/// What a panic carries.
pub(super) type Payload = Box<dyn Any + Send + 'static>;

/// What a future came to: its output, or what it panicked with.
pub(super) type Outcome<T> = Result<T, Payload>;

/// Where a task goes that is ready.
pub(crate) trait Schedule: 'static {
    /// `yielded`: it was woken in its own poll, which has ended just now; nothing comes behind this.
    fn schedule(task: Runnable, yielded: bool);
}

/// What can be done with a task, by its type.
pub(super) struct Table {
    schedule: fn(Runnable, bool),
    inject: unsafe fn(Runnable),
    keeper: unsafe fn(&Header) -> &dyn Keeper,
    run: unsafe fn(NonNull<Header>),
    cancel: unsafe fn(NonNull<Header>),
    /// By the handle of a task that is complete and was not cancelled, once: writes its result there.
    pub(super) read: unsafe fn(NonNull<Header>, *mut ()),
    free: unsafe fn(NonNull<Header>),
}

/// A task's memory. The header comes first, so that a pointer to the one is a pointer to the other.
#[repr(C)]
struct Cell<F: Future, K, S> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
    types: PhantomData<fn(K, S)>,
}

/// What stands behind the header. Which of them, the word says.
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

/// A task that was made: nobody has it yet.
pub(super) type Built<T> = (Runnable, RawHandle<T>);

/// Makes a task, which `S` is to schedule. It has three references: the right to run, the handle,
/// and the list of those alive, in which it is not yet.
///
/// # Safety
///
/// If the future or its output is not `Send`, the task is run and dropped by the calling thread
/// alone: `S` and the keeper give it to no other.
pub(super) unsafe fn build<F, K, S>(birth: Birth, keeper: &Arc<K>, future: F) -> Built<F::Output>
where
    F: Future + 'static,
    K: Keeper + 'static,
    S: Schedule,
{
    let keeper = kept::pointer(keeper);
    let table = const { &Cell::<F, K, S>::TABLE };
    let cell = Box::new(Cell::<F, K, S> {
        header: Header::new(birth, table, keeper.cast()),
        stage: UnsafeCell::new(Stage { future: ManuallyDrop::new(future) }),
        types: PhantomData,
    });
    // SAFETY: it is an `Arc`'s, which the caller has. It is the task's until `free`.
    unsafe { kept::keep(keeper, cell.header.shard()) };
    let task = NonNull::from(Box::leak(cell)).cast();
    // SAFETY: the output is that of the task's future, and the second reference is the handle's.
    (Runnable(task), unsafe { RawHandle::new(task) })
}

impl<F, K, S> Cell<F, K, S>
where
    F: Future + 'static,
    K: Keeper + 'static,
    S: Schedule,
{
    // In each of the functions below, the pointer or the reference is that of a task of these types.
    const TABLE: Table = Table {
        schedule: S::schedule,
        inject: Self::inject,
        keeper: Self::any_keeper,
        run: Self::run,
        cancel: Self::cancel,
        read: Self::read,
        free: Self::free,
    };

    unsafe fn inject(task: Runnable) {
        let (keeper, shard) = (task.header().keeper.cast::<K>(), task.header().shard());
        // The task may be run and gone before `inject` returns.
        // SAFETY: the task keeps its keeper until `free`.
        unsafe { kept::keep(keeper, shard) };
        // SAFETY: it was counted just now.
        unsafe { keeper.as_ref() }.inject(task);
        // SAFETY: it counts no more from here on.
        unsafe { kept::let_go(keeper, shard) };
    }

    unsafe fn keeper(header: &Header) -> &K {
        // SAFETY: as in `inject`; and a header does not outlive its task.
        unsafe { header.keeper.cast::<K>().as_ref() }
    }

    /// The same for whoever does not know its type.
    unsafe fn any_keeper(header: &Header) -> &dyn Keeper {
        // SAFETY: the caller's.
        unsafe { Self::keeper(header) }
    }

    /// Where the future is, until it has ended.
    unsafe fn future(task: NonNull<Header>) -> *mut F {
        let cell = task.cast::<Self>().as_ptr();
        // SAFETY: the pointer is to a whole cell, and the place is in it.
        let stage = unsafe { &raw const (*cell).stage };
        // Each part of a union begins where that does.
        UnsafeCell::raw_get(stage).cast()
    }

    /// Where the result is, from then on.
    unsafe fn outcome(task: NonNull<Header>) -> *mut Outcome<F::Output> {
        // SAFETY: the caller's.
        unsafe { Self::future(task) }.cast()
    }

    /// By the one with the right to run, which is used up, with its reference.
    unsafe fn run(task: NonNull<Header>) {
        // SAFETY: that reference keeps the task.
        let header = unsafe { task.as_ref() };
        // SAFETY: the header is that of a task of these types.
        let keeper = unsafe { Self::keeper(header) };
        let is_aborted = header.word.begin();
        // Here, where the task counts as running, and not before: whoever stops all tasks says so
        // first, and wakes them then. While one is queued that wake does nothing, and a look could
        // still have come before the word. Here either the wake came before it began to run, and
        // the word is seen; or it comes later, and the task will be polled again.
        if is_aborted || (keeper.is_ending() && !header.is_accepted()) {
            // SAFETY: the task has begun, and its future is there.
            return unsafe { Self::stop(task) };
        }
        // SAFETY: the waker is not dropped, and the reference outlives the poll.
        let waker = ManuallyDrop::new(unsafe { waker(task) });
        // SAFETY: as above.
        let poll = catch_unwind(AssertUnwindSafe(|| unsafe { Self::poll(task, &waker) }));
        let outcome = match poll {
            Ok(Poll::Pending) => {
                if header.word.rest() == Rest::Again {
                    S::schedule(Runnable(task), true);
                }
                return;
            }
            // The future goes before its result is seen, so that what it borrowed or locked is free
            // again when the one that joins it runs.
            // SAFETY: as above, and the future has finished.
            Ok(Poll::Ready(output)) => match unsafe { Self::drop_future(task) } {
                None => Ok(output),
                Some(payload) => {
                    quietly(|| drop(output));
                    Err(payload)
                }
            },
            Err(payload) => Err(payload),
        };
        // SAFETY: as above, and the future is gone.
        unsafe { Self::finish(task, Some(outcome)) };
    }

    /// One poll. If it panics, the future is dropped as that unwinds: a lock that it holds is
    /// poisoned then, as it would be without us.
    unsafe fn poll(task: NonNull<Header>, waker: &Waker) -> Poll<F::Output> {
        struct Unwinds<F>(*mut F);
        impl<F> Drop for Unwinds<F> {
            fn drop(&mut self) {
                // Of two panics the first is the cause.
                // SAFETY: its poll has ended, and nobody uses it behind this.
                quietly(|| unsafe { self.0.drop_in_place() });
            }
        }
        // SAFETY: the caller's.
        let unwinds = Unwinds(unsafe { Self::future(task) });
        // SAFETY: the caller has begun: the future is there, and nobody else touches it.
        let future = unsafe { &mut *unwinds.0 };
        // SAFETY: it does not move until it is dropped, in its place.
        let future = unsafe { Pin::new_unchecked(future) };
        let poll = future.poll(&mut Context::from_waker(waker));
        mem::forget(unwinds);
        poll
    }

    /// Drops the future. Returns what that panicked with.
    unsafe fn drop_future(task: NonNull<Header>) -> Option<Payload> {
        // SAFETY: the caller's.
        let future = unsafe { Self::future(task) };
        // SAFETY: the caller has begun, and does not use the future behind this.
        catch_unwind(AssertUnwindSafe(|| unsafe { future.drop_in_place() })).err()
    }

    /// By the one with the right to run, which is used up, with its reference.
    unsafe fn cancel(task: NonNull<Header>) {
        // SAFETY: that reference keeps the task.
        unsafe { task.as_ref() }.word.begin();
        // SAFETY: it has begun, and the future is there.
        unsafe { Self::stop(task) };
    }

    /// The task ends before its future has.
    unsafe fn stop(task: NonNull<Header>) {
        // That it was stopped is no reason to keep a panic from whoever waits for it.
        // SAFETY: the caller's.
        let panicked = unsafe { Self::drop_future(task) };
        // SAFETY: the caller's, and the future is gone.
        unsafe { Self::finish(task, panicked.map(Err)) };
    }

    /// The future is gone; `None`: without a result.
    unsafe fn finish(task: NonNull<Header>, outcome: Option<Outcome<F::Output>>) {
        // SAFETY: the caller's reference keeps the task, until it is given up below.
        let header = unsafe { task.as_ref() };
        // SAFETY: as above.
        let place = unsafe { Self::outcome(task) };
        let cancelled = outcome.is_none();
        if let Some(outcome) = outcome {
            // SAFETY: the caller has begun, and alone touches this until `complete`.
            unsafe { place.write(outcome) };
        }
        // SAFETY: the header is that of a task of these types.
        let was_listed = unsafe { Self::keeper(header) }.ended(header);
        match header.word.complete(cancelled) {
            Completed::Unwanted if !cancelled => {
                // SAFETY: it was written above, and there is no handle.
                quietly(|| unsafe { place.drop_in_place() });
            }
            Completed::Awaited => {
                // SAFETY: `Awaited`: the place is this one's.
                let awaiter = unsafe { header.awaiter.take() };
                awaiter.into_iter().for_each(wake_quietly);
            }
            Completed::Unwanted | Completed::Left => {}
        }
        // The caller's, and that of the list.
        if header.word.let_go(1 + u64::from(was_listed)) {
            // SAFETY: they were the last.
            unsafe { Self::free(task) };
        }
    }

    /// By the handle of a task that is complete and was not cancelled, once.
    unsafe fn read(task: NonNull<Header>, to: *mut ()) {
        // SAFETY: the caller's reference keeps the task.
        let place = unsafe { Self::outcome(task) };
        // SAFETY: the result is there, and is the caller's.
        let outcome = unsafe { place.read() };
        // SAFETY: the caller has room for what the task's output is.
        unsafe { to.cast::<Outcome<F::Output>>().write(outcome) };
    }

    /// By the one that has given up the last reference.
    unsafe fn free(task: NonNull<Header>) {
        // SAFETY: it was made by a `Box` of this type, and nobody has a pointer to it any more.
        let cell = unsafe { Box::from_raw(task.cast::<Self>().as_ptr()) };
        debug_assert!(cell.header.word.is_complete(), "a future is dropped by who has its right");
        let (keeper, shard) = (cell.header.keeper.cast::<K>(), cell.header.shard());
        drop(cell);
        // SAFETY: `build` has counted the task, which is gone.
        unsafe { kept::let_go(keeper, shard) };
    }
}

impl Header {
    /// Whose task it is.
    #[inline]
    pub(super) fn keeper(&self) -> &dyn Keeper {
        // SAFETY: the table is that of the task's types.
        unsafe { (self.table.keeper)(self) }
    }
}

/// A reference to a task: it keeps its memory.
#[derive(Debug)]
pub(crate) struct TaskRef(pub(super) NonNull<Header>);

// SAFETY: what a reference gives access to may be used by all threads.
unsafe impl Send for TaskRef where Header: Sync {}
// SAFETY: as above.
unsafe impl Sync for TaskRef where Header: Sync {}

// A task is whole behind any panic, here and below.
impl UnwindSafe for TaskRef {}
impl RefUnwindSafe for TaskRef {}

impl TaskRef {
    /// One more.
    ///
    /// # Safety
    ///
    /// The task has one, and keeps it during the call. The pointer is that of its whole memory.
    pub(super) unsafe fn new(task: NonNull<Header>) -> Self {
        // SAFETY: the caller's.
        unsafe { task.as_ref() }.word.keep();
        TaskRef(task)
    }

    /// Wakes the task.
    pub(crate) fn wake(self) {
        if let Some(task) = self.into_runnable() {
            task.schedule();
        }
    }

    /// A wake whose caller has to schedule what it gets.
    pub(super) fn into_runnable(self) -> Option<Runnable> {
        let task = ManuallyDrop::new(self);
        if task.word.wake_and_go() {
            return Some(Runnable(task.0));
        }
        drop(ManuallyDrop::into_inner(task));
        None
    }

    /// Of a local task, on its thread, when its queue is closed: if some other thread has the right
    /// to run it, the future is dropped here, in that one's name. There it is void, and comes to
    /// [`Runnable::lapse`].
    ///
    /// # Safety
    ///
    /// The task is local, this is its thread, and its queue is closed: so a right to run that
    /// another thread has cannot be used any more, but by `lapse`.
    pub(super) unsafe fn cancel_for_another(self) {
        if self.word.is_scheduled() {
            drop(Runnable(ManuallyDrop::new(self).0));
        }
    }

    /// The task is dropped instead of polled from here on.
    pub(super) fn abort(&self) {
        if self.word.abort() {
            Runnable(self.0).schedule();
        }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        self.word.keep();
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        if self.word.let_go(1) {
            let free = self.table.free;
            // SAFETY: it was the last reference.
            unsafe { free(self.0) };
        }
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: the reference keeps it.
        unsafe { self.0.as_ref() }
    }
}

/// A task that is ready to be polled. Dropped, it drops the task's future.
#[derive(Debug)]
pub(crate) struct Runnable(NonNull<Header>);

// SAFETY: the future and its output may be sent, or the task stays with its thread: `build`.
unsafe impl Send for Runnable where Header: Sync {}
// SAFETY: by a shared reference one gets at the header alone.
unsafe impl Sync for Runnable where Header: Sync {}

impl UnwindSafe for Runnable {}
impl RefUnwindSafe for Runnable {}

impl Runnable {
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: it has a reference.
        unsafe { self.0.as_ref() }
    }

    /// Polls the task.
    #[inline]
    pub(crate) fn run(self) {
        let task = ManuallyDrop::new(self);
        let run = task.header().table.run;
        // SAFETY: the right to run is used up.
        unsafe { run(task.0) };
    }

    /// Gets it to where it goes.
    #[inline]
    pub(super) fn schedule(self) {
        (self.header().table.schedule)(self, false);
    }

    /// Leaves it with its keeper.
    pub(crate) fn inject(self) {
        let inject = self.header().table.inject;
        // SAFETY: the table is the task's.
        unsafe { inject(self) };
    }

    /// Its right to run is used by another ([`TaskRef::cancel_for_another`]): only the reference goes.
    pub(super) fn lapse(self) {
        drop(TaskRef(ManuallyDrop::new(self).0));
    }

    /// The pointer to the task's memory.
    pub(super) fn pointer(&self) -> NonNull<Header> {
        self.0
    }

    /// The task will be in no list: the reference that it was born with for one goes.
    ///
    /// # Safety
    ///
    /// It is in no list, and this is said once.
    pub(super) unsafe fn stays_out(&self) {
        let was_last = self.header().word.let_go(1);
        debug_assert!(!was_last, "this one has its own");
    }
}

impl Drop for Runnable {
    fn drop(&mut self) {
        let cancel = self.header().table.cancel;
        // SAFETY: the right to run is used up.
        unsafe { cancel(self.0) };
    }
}

// SAFETY: the value is a pointer, and is given up for it.
unsafe impl Item for Runnable {
    #[inline]
    fn into_raw(self) -> NonNull<()> {
        ManuallyDrop::new(self).0.cast()
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<()>) -> Self {
        Runnable(raw.cast())
    }
}

static WAKER: RawWakerVTable =
    RawWakerVTable::new(clone_waker, wake_and_go, wake_by_ref, drop_waker);

/// Wakes whoever waits: a task of ours, which does not panic, or a stranger, whose panics are nobody's
/// business. Such a one may panic when it is called, and again when it is dropped for that.
fn wake_quietly(waker: Waker) {
    if ptr::eq(waker.vtable(), &WAKER) {
        return waker.wake();
    }
    quietly(|| waker.wake_by_ref());
    quietly(|| drop(waker));
}

/// # Safety
///
/// The waker takes over a reference of the caller's, or is not dropped and is gone before that.
unsafe fn waker(task: NonNull<Header>) -> Waker {
    let raw = RawWaker::new(task.as_ptr().cast_const().cast(), &WAKER);
    // SAFETY: the functions below do what a waker's are to do, with the reference that it has.
    unsafe { Waker::from_raw(raw) }
}

/// The reference that the waker with this pointer has.
unsafe fn reference(data: *const ()) -> ManuallyDrop<TaskRef> {
    // SAFETY: the pointer is that of `waker`.
    let task = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    ManuallyDrop::new(TaskRef(task))
}

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: by the waker's, here and below.
    unsafe { reference(data) }.word.keep();
    RawWaker::new(data, &WAKER)
}

unsafe fn wake_and_go(data: *const ()) {
    // SAFETY: it is used up.
    ManuallyDrop::into_inner(unsafe { reference(data) }).wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: it stays.
    let task = unsafe { reference(data) };
    if task.word.wake() {
        Runnable(task.0).schedule();
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: it is used up.
    drop(ManuallyDrop::into_inner(unsafe { reference(data) }));
}
