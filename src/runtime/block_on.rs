//! Waiting for a future on a thread that is not a worker.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::EnterGuard;
use crate::context::Thread;
use crate::park::Parker;
use crate::scheduler::core::{NO_SLOT, SlotId};
use crate::scheduler::shared::Shared;
use crate::scheduler::shutdown;
use crate::scheduler::worker::{self, Root};
use crate::task::in_place;

/// Polls `future` to its end on the calling thread.
#[track_caller]
pub(crate) fn block_on<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let _entered = EnterGuard::new(shared.clone());
    // On a worker, of this runtime or another, the wait is a call that blocks like any other.
    in_place(std::panic::Location::caller(), "block_on", || {
        if shared.config.current_thread && shared.at_home.swap(false, Ordering::AcqRel) {
            return at_home(shared, future);
        }
        poll_here(future)
    })
}

/// A waker that unparks one thread, which has no core.
struct Unpark(Parker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        let _ = self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _ = self.0.unpark();
    }
}

fn poll_here<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let unpark = Arc::new(Unpark(Parker::new()));
    let waker = Waker::from(unpark.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        unpark.0.park(None);
    }
}

/// The waker of a root that is polled by a thread with a slot.
struct Woken {
    shared: Arc<Shared>,
    slot: SlotId,
    woken: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Ordering: Release. Partner: the swap in `poll_if_woken`. The unpark behind it leaves a
        // token, so a thread that looked here too early does not sleep.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.shared.unpark(self.shared.slots.get(self.slot));
        }
    }
}

struct RootFuture<'f, F: Future> {
    future: Pin<&'f mut F>,
    woken: Arc<Woken>,
    waker: Waker,
    output: Option<std::thread::Result<F::Output>>,
}

impl<F: Future> Root for RootFuture<'_, F> {
    fn poll_if_woken(&mut self, thread: &Thread<'_>) -> ControlFlow<()> {
        if !self.woken.woken.swap(false, Ordering::AcqRel) {
            return ControlFlow::Continue(());
        }
        let mut cx = Context::from_waker(&self.waker);
        let poll = worker::in_poll(thread, || {
            catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(&mut cx)))
        });
        self.output = match poll {
            Ok(Poll::Pending) => return ControlFlow::Continue(()),
            Ok(Poll::Ready(output)) => Some(Ok(output)),
            Err(payload) => Some(Err(payload)),
        };
        ControlFlow::Break(())
    }

    fn is_woken(&self) -> bool {
        self.woken.woken.load(Ordering::Acquire)
    }
}

/// In a runtime of one core, whose core waits for a thread: this one takes it.
fn at_home<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let Some(id) = shared.slots.allocate() else {
        shared.at_home.store(true, Ordering::Release);
        return poll_here(future);
    };
    let thread = Thread::new(shared, id);
    thread.slot.tid.store(crate::sys::thread::tid(), Ordering::Relaxed);
    let thread = &thread;
    let woken = Arc::new(Woken { shared: shared.clone(), slot: id, woken: AtomicBool::new(true) });
    let waker = Waker::from(woken.clone());
    let mut root = RootFuture { future: pin!(future), woken, waker, output: None };
    thread.install(|| {
        thread.claim(0);
        worker::run(thread, &mut Some(&mut root));
        if shared.is_shutdown() {
            // The threads may all have been out when this one left its last task in a queue.
            shutdown::drop_tasks(shared);
        }
        // Without the core from here on: a spare has it, and the tasks go on there.
        thread.release_permit();
        while root.output.is_none() {
            if root.poll_if_woken(thread).is_continue() {
                thread.slot.parker.park(None);
            }
        }
    });
    go_home(thread);
    match root.output.take().expect("the loop above ends with it") {
        Ok(output) => output,
        Err(payload) => resume_unwind(payload),
    }
}

/// The thread leaves `block_on`. Its core stays here for the next one, or with the spare that took
/// it over.
fn go_home(thread: &Thread<'_>) {
    let shared = thread.shared;
    thread.ring.borrow_mut().take();
    thread.close_slot_ring();
    // A token left behind is nothing the slot's next thread could take for its own.
    let _ = thread.slot.parker.park(Some(Duration::ZERO));
    shared.slots.release(thread.id);
    if shared.pool.word(0).load().slot() == NO_SLOT {
        shared.at_home.store(true, Ordering::Release);
    }
}
