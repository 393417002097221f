//! Tasks of one thread: their futures need not be `Send`, and are polled and dropped on no thread
//! but the one that made the set.
//!
//! A set is a queue. Whoever wakes one of its tasks, on whatever thread, appends it; the set's
//! thread takes them off in turn, inside the poll of the future that the set is part of
//! ([`Locals::run`]). A push from elsewhere wakes that future; one by a task of the set, or by what
//! is polled beside it, does not have to, because the same poll looks at the queue again before it
//! returns.
//!
//! A future that is not `Send` is polled and dropped where tasks come off the queue, in [`Locals::run`]
//! and [`Locals::close`], which ask whether the thread is the set's; and there only. (And where a task
//! comes too late for the queue, on that thread. One that another thread has woken, and not appended
//! when the queue is closed, is dropped by `close`, too.)

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::ThreadId;

use futures::task::AtomicWaker;

use super::header::{Birth, Header, Keeper, Origin, as_task};
use super::join::JoinHandle;
use super::owned::{Listed, Owned};
use super::raw::{self, Runnable, Schedule, TaskRef};
use super::{start, traced};
use crate::coop;
use crate::primitive::{Mutex, quietly};
use crate::replay;

/// How many tasks one poll of a set runs before the others of that thread have their turn. A prime,
/// as in the worker.
const TURN: usize = 61;

/// A set of tasks of one thread.
#[derive(Debug)]
pub(crate) struct Locals {
    queue: Mutex<Queue>,
    owned: Owned,
    alive: AtomicUsize,
    /// Of the future that the set is part of, as of its last poll.
    waker: AtomicWaker,
    thread: ThreadId,
}

#[derive(Debug, Default)]
struct Queue {
    tasks: VecDeque<Runnable>,
    /// It has been emptied for the last time.
    closed: bool,
}

/// Where `spawn_local` goes on this thread.
#[derive(Default)]
struct Here {
    set: Option<Arc<Locals>>,
    /// The thread is in a poll of that set, which looks at the queue before it returns.
    in_poll: bool,
}

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here { set: None, in_poll: false }) };
}

/// Undone when dropped: the set was made the current one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entered(Option<Arc<Locals>>, bool);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = Here { set: self.0.take(), in_poll: self.1 };
        // In a thread-local destructor it may be gone, and nothing is current.
        let left = HERE.try_with(|here| here.replace(before));
        drop(left);
    }
}

/// The current set: the one that is polled on this thread, or was entered last.
pub(crate) fn current() -> Option<Arc<Locals>> {
    HERE.try_with(|here| here.borrow().set.clone()).ok().flatten()
}

impl Locals {
    /// A set of the calling thread.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Locals {
            queue: Mutex::new(Queue::default()),
            owned: Owned::new(),
            alive: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
            thread: std::thread::current().id(),
        })
    }

    /// Whether the calling thread is the set's.
    pub(crate) fn is_here(&self) -> bool {
        self.thread == std::thread::current().id()
    }

    /// How many tasks have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    /// What those are doing.
    pub(crate) fn list(&self) -> Vec<Listed> {
        self.owned.list()
    }

    /// Makes the set the current one of this thread, until the answer is dropped.
    pub(crate) fn enter(self: &Arc<Self>, in_poll: bool) -> Entered {
        let mine = Here { set: Some(self.clone()), in_poll };
        let before = HERE.try_with(|here| here.replace(mine)).unwrap_or_default();
        Entered(before.set, before.in_poll)
    }

    /// Spawns a task that stays on this thread, which is the set's.
    pub(crate) fn spawn_local<F>(
        self: &Arc<Self>,
        future: F,
        origin: Origin<'_>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        assert!(self.is_here(), "a set belongs to its thread");
        let birth = self.birth(origin.place).local();
        let future = traced::task(future, "local", origin.name, &birth);
        #[allow(unsafe_code, reason = "the one promise of `build`")]
        // SAFETY: this is the set's thread, and a task that is local goes into the queue of its set,
        // and is used up by that thread alone: `inject`, `run`, `close`.
        let built = unsafe { raw::build::<_, Locals, Inject>(birth, self, future) };
        self.alive.fetch_add(1, Ordering::Relaxed);
        start(&self.owned, built)
    }

    /// Spawns a task of the set from any thread.
    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F, origin: Origin<'_>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let birth = self.birth(origin.place);
        let future = traced::task(future, "task", origin.name, &birth);
        self.alive.fetch_add(1, Ordering::Relaxed);
        super::spawn::<Inject, _, _>(birth, self, &self.owned, future)
    }

    /// One list is enough: hardly anybody but the set's thread comes there.
    fn birth(&self, place: &'static Location<'static>) -> Birth {
        Birth::new(Some(0), place)
    }

    /// Appends a task that is ready. `Err`: the set has been emptied for the last time.
    fn push(&self, task: Runnable) -> Result<(), Runnable> {
        {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err(task);
            }
            queue.tasks.push_back(task);
        }
        if !self.is_polled_here() {
            self.waker.wake();
        }
        Ok(())
    }

    fn is_polled_here(&self) -> bool {
        let is_it = |here: &RefCell<Here>| {
            let here = here.borrow();
            here.in_poll && here.set.as_ref().is_some_and(|set| std::ptr::eq(&**set, self))
        };
        HERE.try_with(is_it).unwrap_or(false)
    }

    /// One poll of the set, on its thread: first of `beside`, then of tasks that are ready, a turn
    /// at most. `None`: `beside` is not ready.
    pub(crate) fn run<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        beside: impl FnOnce(&mut Context<'_>) -> Option<T>,
    ) -> Option<T> {
        assert!(self.is_here(), "a set belongs to its thread");
        let _entered = self.enter(true);
        // Before the queue is looked at: a push that comes later finds this waker.
        self.waker.register(cx.waker());
        if let Some(output) = beside(cx) {
            return Some(output);
        }
        for _ in 0..TURN {
            poll(self.pop()?);
        }
        if !self.queue.lock().tasks.is_empty() {
            cx.waker().wake_by_ref();
        }
        None
    }

    /// Polls `future` to its end, and the tasks beside it.
    pub(crate) async fn run_until<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let beside = |cx: &mut Context<'_>| match future.as_mut().poll(cx) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            };
            self.run(cx, beside).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn pop(&self) -> Option<Runnable> {
        let mut queue = self.queue.lock();
        let next = replay::next_local(queue.tasks.len());
        queue.tasks.remove(next)
    }

    /// Drops all tasks, on the set's thread. One that is spawned from here on is cancelled at once.
    pub(crate) fn close(self: &Arc<Self>) {
        assert!(self.is_here(), "a set belongs to its thread");
        let _entered = self.enter(true);
        // Each that lives comes into the queue by this, or is there.
        super::close(self);
        let wake = |tasks: Vec<TaskRef>| tasks.into_iter().for_each(TaskRef::wake);
        while self.owned.wake_some(wake) {}
        loop {
            let task = {
                let mut queue = self.queue.lock();
                queue.closed = queue.tasks.is_empty();
                queue.tasks.pop_front()
            };
            let Some(task) = task else { break };
            let id = task.header().id;
            as_task(Some(id), || quietly(|| drop(task)));
        }
        // Who is left is being polled, and closes its own set; or some other thread has woken it, and
        // will find the queue closed.
        for task in self.owned.left().into_iter().filter(|task| task.is_local()) {
            #[allow(unsafe_code, reason = "the one promise of `cancel_for_another`")]
            // SAFETY: it is local, this is the set's thread, and the queue was closed above.
            let cancel = |task: TaskRef| unsafe { task.cancel_for_another() };
            as_task(Some(task.id), || quietly(|| cancel(task)));
        }
    }
}

/// With a budget of its own. Nothing in it unwinds but foreign code at a task's edges, which is the
/// task's loss.
fn poll(task: Runnable) {
    let id = task.header().id;
    let run = || quietly(|| task.run());
    as_task(Some(id), || coop::turn(run));
}

/// By way of the set, whoever wakes the task.
struct Inject;

impl Schedule for Inject {
    fn schedule(task: Runnable, _yielded: bool) {
        task.inject();
    }
}

impl Keeper for Locals {
    fn inject(&self, task: Runnable) {
        match self.push(task) {
            // It came too late. If it is from another thread than its own, `close` drops its future:
            // nobody else may touch that.
            Err(task) if task.header().is_local() && !self.is_here() => task.lapse(),
            // A task that ends its own set; or one of those that any thread may drop.
            Err(task) => drop(task),
            Ok(()) => {}
        }
    }

    fn is_ending(&self) -> bool {
        false
    }

    fn list(&self) -> &Owned {
        &self.owned
    }

    fn ended(&self, header: &Header) -> bool {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        self.owned.remove(header)
    }
}
