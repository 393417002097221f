//! `Builder::deterministic`, and `block_on` in such a runtime. (`replayed_off` stands here without the
//! feature `test-util`.)

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{Builder, Handle, Runtime};
use crate::context::{self, Thread};
use crate::scheduler::replayed::{come_back, next, sleep_in_call, stuck};
use crate::scheduler::worker::in_poll;
use crate::shared::Shared;
use crate::shared::turns::Step;

impl Builder {
    /// Makes a runtime, for tests, in which `seed` decides all that is open: a run can be repeated.
    /// It needs a current-thread runtime; [`#[threadlet::test(seed = 7)]`](macro@crate::test) builds
    /// one, and runs it for many seeds if it is told to.
    ///
    /// The seed decides which of the tasks that are ready is polled next, and what each call does that
    /// could block, be it in [`threadlet!`](crate::threadlet), [`run`](crate::run),
    /// [`spawn_blocking`](crate::task::spawn_blocking) or [`fs`](crate::fs):
    ///
    /// * it runs in place, at once;
    /// * it *blocks*, for a time that the seed decides, and other tasks run before the call is made;
    /// * it *comes back late*: other tasks run when the call has been made and its task does not know it
    ///   yet;
    /// * it waits at the gate before that, where its future may be dropped;
    /// * with as many calls blocked as [`max_async_threads`](Self::max_async_threads) says it waits for
    ///   one of them to end.
    ///
    /// The clock stands, as with [`start_paused`](Self::start_paused): blocking takes no time but that
    /// of the clock. One thread runs at a time. If all wait for each other, `block_on` panics and says
    /// so. A drop of the runtime lets each call come to its end, whatever limit it is given.
    ///
    /// What is not decided by the seed: threads of the program's own, files and what is in them,
    /// sockets that are not in memory ([`io::duplex`](crate::io::duplex()) and
    /// [`net::sim`](crate::net::sim) are), the time of the system, the order of a `HashMap`, the branch
    /// that a `select!` takes first (`biased;` and `select_biased!` do not choose), [numbers of
    /// tasks](crate::task::id). A call or a poll that really waits for another task of the runtime, on a
    /// lock or a channel of the standard library, is left behind after 20 milliseconds, and the others go
    /// on. When its wait is over it runs beside them, until it has to wait for its own turn.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::sync::Arc;
    /// use threadlet::runtime::Builder;
    /// use threadlet::threadlet;
    ///
    /// /// Two tasks count to two, in a way that loses one where the other comes in between.
    /// fn count(seed: u64) -> (u32, String) {
    ///     let runtime = Builder::new_current_thread().deterministic(seed).build().unwrap();
    ///     let counter = Arc::new(AtomicU32::new(0));
    ///     let add = |counter: Arc<AtomicU32>| async move {
    ///         let before = threadlet!(counter.load(Ordering::Relaxed));
    ///         counter.store(before + 1, Ordering::Relaxed);
    ///     };
    ///     runtime.block_on(async {
    ///         let tasks = [(); 2].map(|()| threadlet::spawn(add(counter.clone())));
    ///         for task in tasks {
    ///             task.await.unwrap();
    ///         }
    ///     });
    ///     (counter.load(Ordering::Relaxed), runtime.decisions().unwrap())
    /// }
    ///
    /// let bad = (0..100).find(|seed| count(*seed).0 == 1).expect("one of them finds it");
    /// // The same again, decision by decision.
    /// assert_eq!(count(bad), count(bad));
    /// ```
    pub fn deterministic(&mut self, seed: u64) -> &mut Self {
        self.config.replay.seed = Some(seed);
        self
    }

    /// For how long a call blocks at most in a [`deterministic`](Self::deterministic) runtime, by the
    /// clock of that. Default: 10 seconds. Times are of all orders of magnitude from a microsecond on,
    /// so a limit is met that is shorter than this, and one that is longer is not. (Several blocks in
    /// a row are as long as they come.)
    pub fn longest_block(&mut self, longest: Duration) -> &mut Self {
        self.config.replay.longest = longest;
        self
    }
}

impl Runtime {
    /// All that the seed of a [`deterministic`](Builder::deterministic) runtime has decided so far, a
    /// line each, of the first 262,144; the last line has their count and a sum over all. The same
    /// seed gives the same text. `None` in any other runtime.
    pub fn decisions(&self) -> Option<String> {
        self.handle.decisions()
    }
}

impl Handle {
    /// All that the seed has decided so far. See [`Runtime::decisions`].
    pub fn decisions(&self) -> Option<String> {
        Some(self.shared.turns.get()?.decisions.log())
    }
}

/// The waker of the root future.
struct RootWaker(Arc<Shared>);

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(turns) = self.0.turns.get() {
            turns.wake_root();
        }
    }
}

/// Polls `future` to its end in a runtime that replays: as its root future, by turns with the others,
/// or within one of its polls. `None`: this thread is a stranger, and another is in `block_on`.
pub(super) fn block_on<F: Future>(
    shared: &Arc<Shared>,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    let turns = shared.turns.get()?;
    let is_inside = context::with(|thread| {
        let thread = thread.filter(|thread| Arc::ptr_eq(thread.shared, shared))?;
        Some(block_inside(thread, future.as_mut()))
    });
    if is_inside.is_some() {
        return is_inside;
    }
    let slot = shared.slots.allocate()?;
    if !turns.begin_root(slot) {
        shared.slots.release(slot);
        return None;
    }
    let thread = Thread::new(shared, slot);
    thread.slot.tid.store(crate::sys::thread::tid(), Ordering::Relaxed);
    let output = thread.install(|| {
        let _entered = crate::replay::enter(turns.decisions.clone());
        as_root(&thread, future)
    });
    turns.end_root();
    // A token left behind is nothing the slot's next thread could take for its own.
    let _ = thread.slot.parker.park(Some(Duration::ZERO));
    shared.slots.release(slot);
    match output {
        Ok(output) => Some(output),
        Err(payload) => resume_unwind(payload),
    }
}

fn as_root<F: Future>(
    thread: &Thread<'_>,
    mut future: Pin<&mut F>,
) -> std::thread::Result<F::Output> {
    let turns = thread.shared.turns.get().expect("asked of a runtime that replays");
    let waker = Waker::from(Arc::new(RootWaker(thread.shared.clone())));
    let mut cx = Context::from_waker(&waker);
    loop {
        turns.root_waits();
        match next(thread) {
            Step::Root => {}
            _ => return catch_unwind(|| panic!("{}", stuck(thread.shared))),
        }
        let poll = AssertUnwindSafe(|| future.as_mut().poll(&mut cx));
        let (_coreless, polled) = in_poll(thread, None, || catch_unwind(poll));
        come_back(thread);
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(output)) => return Ok(output),
            Err(payload) => return Err(payload),
        }
    }
}

/// Wakes a thread that waits in the middle of a poll.
struct Flag(Arc<AtomicBool>);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Ordering: Release. Partner: `Call::is_ready`, in `shared::turns`.
        self.0.store(true, Ordering::Release);
    }
}

/// A `block_on` in a poll of this runtime: the others go on meanwhile.
fn block_inside<F: Future>(thread: &Thread<'_>, mut future: Pin<&mut F>) -> F::Output {
    let woken = Arc::new(AtomicBool::new(false));
    let waker = Waker::from(Arc::new(Flag(woken.clone())));
    let mut cx = Context::from_waker(&waker);
    let site = thread.slot.site.get().map(|site| (site.file(), site.line()));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let goes_on = sleep_in_call(thread, None, Some(&woken), site);
        assert!(goes_on, "{}", stuck(thread.shared));
        woken.store(false, Ordering::Relaxed);
    }
}
