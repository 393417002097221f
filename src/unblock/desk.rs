//! One call at a time: where `T` is, and how a call ends.
//!
//! An [`Unblock`](super::Unblock) and the call it has started meet at a *desk*. `T` lies on it,
//! the call takes it when it starts and puts it back when it ends, with its answer. So a call that
//! never starts loses nothing, and neither does one that panics.
//!
//! | stage | means | who may end it |
//! |---|---|---|
//! | `Idle` | no call; `T` is here, with the `Unblock`, or closed | the `Unblock`: it starts one |
//! | `Busy` | a call is queued, and `T` is here; or it runs, and has `T` | the call |
//! | `Refused` | the call was dropped before its start, and left its [`Action`] | the `Unblock` |
//! | `Ended` | the call has put `T` back, and its answer or its panic | the `Unblock` |
//!
//! A call that *must run* (what was written is to reach `T` though nobody waits) is never refused:
//! dropped before its start, it starts anew in the global runtime.
//!
//! One waker is enough, since an `Unblock` is polled through `&mut`. Who waits registers it and
//! looks at the desk then; who changes something does so and wakes then.

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures::task::AtomicWaker;

use super::io::Output;
use crate::call::in_place::spawn_region;
use crate::primitive::Mutex;
use crate::runtime::{Handle, global};
use crate::spawned::AbortHandle;

/// What an `Unblock` shares with its call.
pub(super) struct Shared<T> {
    desk: Mutex<Desk<T>>,
    /// What is written, until the call that writes takes it.
    pub(super) output: Mutex<Output>,
    /// Of the task that waits for something here.
    pub(super) waker: AtomicWaker,
    /// A call that could go on for long is to come to its end.
    pub(super) hurry: AtomicBool,
}

struct Desk<T> {
    io: Option<Box<T>>,
    stage: Stage<T>,
}

pub(super) enum Stage<T> {
    Idle,
    Busy,
    Refused(Action<T>),
    Ended(std::thread::Result<Done>),
}

/// What a call answers.
pub(super) enum Done {
    /// Nothing, or by a way of its own.
    Plain,
    /// The buffer, and how much of it was read.
    Read(Vec<u8>, io::Result<usize>),
    Flushed(io::Result<()>),
    /// Where it was to go, as it was asked for, and where it is.
    Sought(io::SeekFrom, io::Result<u64>),
    Pulled {
        ended: bool,
    },
}

type Body<T> = Box<dyn FnOnce(&Shared<T>, &mut Option<Box<T>>) -> Done + Send>;

/// What a call is to do.
pub(super) struct Action<T> {
    body: Body<T>,
    must_run: bool,
}

impl<T> Action<T> {
    pub(super) fn new(f: impl FnOnce(&Shared<T>, &mut T) -> Done + Send + 'static) -> Self {
        Action::with_place(move |shared, io| f(shared, io.as_mut().expect("no call without it")))
    }

    /// One that runs even if its `Unblock` is gone before it has started.
    pub(super) fn must_run(f: impl FnOnce(&Shared<T>, &mut T) -> Done + Send + 'static) -> Self {
        Action { must_run: true, ..Action::new(f) }
    }

    /// One that may keep `T`.
    pub(super) fn with_place(
        f: impl FnOnce(&Shared<T>, &mut Option<Box<T>>) -> Done + Send + 'static,
    ) -> Self {
        Action { body: Box::new(f), must_run: false }
    }
}

/// `T` is in a call.
pub(super) struct Busy;

impl<T> Shared<T> {
    pub(super) fn new(io: T) -> Self {
        Shared {
            desk: Mutex::new(Desk { io: Some(Box::new(io)), stage: Stage::Idle }),
            output: Mutex::default(),
            waker: AtomicWaker::new(),
            hurry: AtomicBool::new(false),
        }
    }

    /// The stage, unless it is `Busy`; `Idle` from here on.
    pub(super) fn poll_stage(&self) -> Poll<Stage<T>> {
        let mut desk = self.desk.lock();
        match desk.stage {
            Stage::Busy => Poll::Pending,
            _ => Poll::Ready(std::mem::replace(&mut desk.stage, Stage::Idle)),
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.desk.lock().stage, Stage::Busy)
    }

    pub(super) fn has_io(&self) -> bool {
        self.desk.lock().io.is_some()
    }

    pub(super) fn take_io(&self) -> Option<Box<T>> {
        self.desk.lock().io.take()
    }

    pub(super) fn put_io(&self, io: Option<Box<T>>) {
        if io.is_some() {
            self.desk.lock().io = io;
        }
    }

    /// Looks at `T`, if it is here.
    pub(super) fn with_io<R>(&self, f: impl FnOnce(Result<Option<&T>, Busy>) -> R) -> R {
        let Some(desk) = self.desk.try_lock() else { return f(Err(Busy)) };
        match (&desk.io, &desk.stage) {
            (Some(io), _) => f(Ok(Some(io))),
            (None, Stage::Busy) => f(Err(Busy)),
            (None, _) => f(Ok(None)),
        }
    }
}

/// Starts a call: `T` is on the desk. Returns what can stop it, if that is allowed.
pub(super) fn start<T: Send + 'static>(
    runtime: &Handle,
    shared: &Arc<Shared<T>>,
    action: Action<T>,
    place: &'static Location<'static>,
) -> Option<AbortHandle> {
    shared.hurry.store(false, Ordering::Relaxed);
    shared.desk.lock().stage = Stage::Busy;
    queue(runtime, Call { shared: shared.clone(), action: Some(action), place })
}

fn queue<T: Send + 'static>(runtime: &Handle, call: Call<T>) -> Option<AbortHandle> {
    let (place, must_run) =
        (call.place, call.action.as_ref().is_some_and(|action| action.must_run));
    let handle = spawn_region(&runtime.shared, move || call.run(), place, "Unblock");
    (!must_run).then(|| handle.abort_handle())
}

/// A call that was queued. It leaves its desk in order, run or not.
struct Call<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    /// `None` once it has started.
    action: Option<Action<T>>,
    place: &'static Location<'static>,
}

impl<T: Send + 'static> Call<T> {
    fn run(mut self) {
        let Some(action) = self.action.take() else { return };
        let shared = &*self.shared;
        let mut io = shared.take_io();
        let ended = catch_unwind(AssertUnwindSafe(|| (action.body)(shared, &mut io)));
        {
            let mut desk = shared.desk.lock();
            desk.io = io;
            desk.stage = Stage::Ended(ended);
        }
        shared.waker.wake();
    }
}

impl<T: Send + 'static> Drop for Call<T> {
    fn drop(&mut self) {
        let Some(action) = self.action.take() else { return };
        if action.must_run {
            // A runtime that is shut down drops what is queued, with panics caught and dropped.
            if let Ok(runtime) = catch_unwind(global) {
                let (shared, place) = (self.shared.clone(), self.place);
                queue(&runtime, Call { shared, action: Some(action), place });
                return;
            }
        }
        self.shared.desk.lock().stage = Stage::Refused(action);
        self.shared.waker.wake();
    }
}
