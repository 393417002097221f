//! Waiting for a future on a thread that is not a worker.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{EnterGuard, replayed};
use crate::call::in_place::run_here;
use crate::context::{self, Thread};
use crate::coop;
use crate::driver::Awake;
use crate::primitive::park::Parker;
use crate::protocol::core::{NO_SLOT, SlotId};
use crate::scheduler::worker::{self, Root};
use crate::shared::Shared;
use crate::shared::leftover::{Accepted, drop_tasks};
use crate::spawned::{as_task, traced};

/// Polls `future` to its end on the calling thread.
#[track_caller]
pub(crate) fn block_on<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let _entered = EnterGuard::new(shared.clone());
    let future = traced::root(future, std::panic::Location::caller());
    as_task(None, || block_on_entered(shared, future))
}

#[track_caller]
fn block_on_entered<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    // On a worker, of this runtime or another, the wait is a call that blocks like any other.
    let wait = || {
        let mut future = pin!(future);
        if shared.turns.is_some() {
            if let Some(output) = replayed::block_on(shared, future.as_mut()) {
                return output;
            }
        }
        if !shared.config.current_thread || shared.turns.is_some() {
            return poll_here(future, &mut Parked::new(shared), || false)
                .expect("polled to its end");
        }
        loop {
            if shared.at_home.swap(false, Ordering::AcqRel) {
                if let Some(id) = shared.slots.allocate() {
                    return at_home(shared, id, future);
                }
                // No room for one more thread, for now.
                shared.go_home();
                std::thread::sleep(Duration::from_millis(1));
            }
            if let Some(output) = poll_beside(shared, future.as_mut()) {
                return output;
            }
        }
    };
    // The budget of the poll that waits here is not that of the future.
    run_here(std::panic::Location::caller(), "block_on", || coop::unlimited(wait))
}

/// A thread without a core that waits for a future.
struct Parked {
    parker: Arc<Unpark>,
    waker: Waker,
}

impl Parked {
    fn new(shared: &Shared) -> Self {
        let awake = Awake::new(&shared.driver_handle);
        let parker = Arc::new(Unpark { parker: Parker::new(), awake });
        let waker = Waker::from(parker.clone());
        Parked { parker, waker }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.parker.awake.close();
    }
}

/// A waker that unparks one thread, which has no core.
struct Unpark {
    parker: Parker,
    awake: Awake,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.awake.wake();
        let _ = self.parker.unpark();
    }
}

/// Polls on this thread, which has no core. `None`: `gives_up`, asked before each sleep, says so.
fn poll_here<F: Future>(
    mut future: Pin<&mut F>,
    parked: &mut Parked,
    gives_up: impl Fn() -> bool,
) -> Option<F::Output> {
    let mut cx = Context::from_waker(&parked.waker);
    loop {
        parked.parker.awake.begin();
        let poll = || context::outside_task(|| future.as_mut().poll(&mut cx));
        if let Poll::Ready(output) = context::in_root(|| coop::turn(poll)) {
            return Some(output);
        }
        if gives_up() {
            return None;
        }
        parked.parker.awake.end();
        parked.parker.parker.park(None);
    }
}

/// Polls beside the thread that has the core of a current-thread runtime. `None`: that thread has
/// gone and has left the core at home. Somebody has to take it, to run the tasks, timers and
/// sockets that the future may wait for.
///
/// Who brings the core home says so and wakes those on the list, both under its lock. So either
/// this thread is on the list by then, and is woken; or it comes to the list later, and sees the
/// core at home.
fn poll_beside<F: Future>(shared: &Arc<Shared>, future: Pin<&mut F>) -> Option<F::Output> {
    struct Listed<'a>(&'a Shared, &'a Waker);
    impl Drop for Listed<'_> {
        fn drop(&mut self) {
            self.0.beside.lock().retain(|waker| !waker.will_wake(self.1));
        }
    }
    let mut parked = Parked::new(shared);
    let waker = parked.waker.clone();
    shared.beside.lock().push(waker.clone());
    let _listed = Listed(shared, &waker);
    poll_here(future, &mut parked, || shared.at_home.load(Ordering::Acquire))
}

/// The waker of a root that is polled by a thread with a slot.
struct Woken {
    shared: Arc<Shared>,
    slot: SlotId,
    woken: AtomicBool,
    awake: Awake,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.awake.wake();
        // Ordering: Release. Partner: the swap in `take_wake`. The unpark behind it leaves a
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

impl<F: Future> Drop for RootFuture<'_, F> {
    fn drop(&mut self) {
        self.woken.awake.close();
    }
}

impl<F: Future> Root for RootFuture<'_, F> {
    fn is_woken(&self) -> bool {
        self.woken.woken.load(Ordering::Acquire)
    }

    fn take_wake(&self) -> bool {
        // Ordering: AcqRel. Partner: the swap in `wake_by_ref`.
        self.woken.woken.swap(false, Ordering::AcqRel)
    }

    fn poll(&mut self) -> ControlFlow<()> {
        let mut cx = Context::from_waker(&self.waker);
        self.woken.awake.begin();
        let poll = AssertUnwindSafe(|| self.future.as_mut().poll(&mut cx));
        self.output = match catch_unwind(poll) {
            Ok(Poll::Pending) => {
                self.woken.awake.end();
                return ControlFlow::Continue(());
            }
            Ok(Poll::Ready(output)) => Some(Ok(output)),
            Err(payload) => Some(Err(payload)),
        };
        ControlFlow::Break(())
    }
}

/// In a current-thread runtime, whose core waits for a thread: this one takes it, with the slot
/// `id`.
fn at_home<F: Future>(shared: &Arc<Shared>, id: SlotId, future: Pin<&mut F>) -> F::Output {
    let thread = Thread::new(shared, id);
    thread.slot.tid.store(crate::sys::thread::tid(), Ordering::Relaxed);
    let thread = &thread;
    let (shared_too, awake) = (shared.clone(), Awake::new(&shared.driver_handle));
    let woken =
        Arc::new(Woken { shared: shared_too, slot: id, woken: AtomicBool::new(true), awake });
    let waker = Waker::from(woken.clone());
    let mut root = RootFuture { future, woken, waker, output: None };
    thread.install(|| {
        worker::run(thread, thread.claim(0), Some(&mut root));
        if shared.is_shutdown() {
            // The threads may all have been out when this one left its last task in a queue.
            drop_tasks(shared, Accepted::Dropped);
        }
        // Without the core from here on: a spare has it, and the tasks go on there.
        thread.release_permit();
        while root.output.is_none() {
            if root.take_wake() {
                let (core, _) = worker::in_root_poll(thread, None, &mut root);
                assert!(core.is_none(), "a poll that begins without a core takes none");
            } else {
                thread.slot.parker.park(None);
            }
        }
    });
    leave(thread);
    match root.output.take().expect("the loop above ends with it") {
        Ok(output) => output,
        Err(payload) => resume_unwind(payload),
    }
}

/// The thread leaves `block_on`. Its core stays here for the next one, or with the spare that took
/// it over.
fn leave(thread: &Thread<'_>) {
    if thread.is_forgotten() {
        return;
    }
    let shared = thread.shared;
    thread.ring.close();
    // A token left behind is nothing the slot's next thread could take for its own.
    let _ = thread.slot.parker.park(Some(Duration::ZERO));
    shared.slots.release(thread.id);
    if shared.pool.word(0).load().slot() == NO_SLOT {
        shared.go_home();
    }
}
