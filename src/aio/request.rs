//! One operation under way, and the future of its end.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::op::Op;
use super::order::Admit;
use super::shared::Shared;
use crate::primitive::Mutex;

/// An operation that could not be done at once.
///
/// Its slot's lock is taken inside that of the queue, never the other way round.
pub(super) struct Request<B> {
    queue: Arc<Shared>,
    write: bool,
    age: u64,
    slot: Mutex<Slot<B>>,
}

struct Slot<B> {
    stage: Stage<B>,
    /// Waits for [`Stage::Ended`].
    waker: Option<Waker>,
}

/// Who owns the buffer.
enum Stage<B> {
    /// The slot does: the operation has not started, and may be cancelled.
    Waiting { op: Op<B>, admitted: bool },
    /// The thread that runs the operation.
    Running,
    /// The slot again.
    Ended(io::Result<usize>, B),
    /// Whoever has asked for it.
    Taken,
}

/// A request, whatever its buffer is.
pub(super) trait Work: Admit + Send + Sync {
    /// Runs it, unless it was cancelled.
    fn run(&self);
}

impl<B> Request<B> {
    /// `admitted`: its turn has come, and it counts as running.
    pub(super) fn new(queue: Arc<Shared>, op: Op<B>, age: u64, admitted: bool) -> Self {
        let write = op.is_write();
        let slot = Mutex::new(Slot { stage: Stage::Waiting { op, admitted }, waker: None });
        Request { queue, write, age, slot }
    }

    /// Keeps it from starting. `None`: it has started (what asking has written cannot be taken
    /// back), or even ended.
    ///
    /// `keep`: the buffer stays, with an error, for whoever awaits it; otherwise it is returned.
    fn cancel(&self, keep: bool) -> Option<Option<B>> {
        let mut state = self.queue.state();
        let mut slot = self.slot.lock();
        let (op, admitted) = match std::mem::replace(&mut slot.stage, Stage::Taken) {
            Stage::Waiting { op, admitted } if !op.is_partly_written() => (op, admitted),
            other => {
                slot.stage = other;
                return None;
            }
        };
        let waker = slot.waker.take();
        drop(slot);
        let effects = state.cancelled(self.write, self.age, admitted);
        drop(state);
        // Before any code of the user's, which may panic: others wait for this.
        self.queue.carry_out(effects);
        // The last handle to a file may be closed by this.
        let buf = op.into_buffer();
        let left = if keep {
            self.slot.lock().stage = Stage::Ended(Err(cancelled()), buf);
            None
        } else {
            Some(buf)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(left)
    }
}

/// What POSIX has for it.
fn cancelled() -> io::Error {
    io::Error::from_raw_os_error(libc::ECANCELED)
}

impl<B> Admit for Request<B> {
    fn admit(&self) -> bool {
        match &mut self.slot.lock().stage {
            Stage::Waiting { admitted, .. } => {
                *admitted = true;
                true
            }
            _ => false,
        }
    }

    fn is_dead(&self) -> bool {
        !matches!(self.slot.lock().stage, Stage::Waiting { .. })
    }
}

impl<B: Send> Work for Request<B> {
    fn run(&self) {
        let op = {
            let mut slot = self.slot.lock();
            match std::mem::replace(&mut slot.stage, Stage::Running) {
                Stage::Waiting { op, .. } => op,
                other => {
                    slot.stage = other;
                    return;
                }
            }
        };
        let (result, buf) = op.run();
        // Under both locks, so that whoever sees the end finds the place free, and the other way
        // round.
        let mut state = self.queue.state();
        let effects = state.ended(self.write, self.age);
        let mut slot = self.slot.lock();
        slot.stage = Stage::Ended(result, buf);
        let waker = slot.waker.take();
        drop((slot, state));
        self.queue.carry_out(effects);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The end of an operation: its result, and its buffer.
///
/// # Cancel safety
///
/// Dropping it cancels the operation if it has not started. One that has started runs to its end,
/// and its buffer is dropped then; [`detach`](Self::detach) has one that has not started run too.
///
/// # Panics
///
/// If polled again after it was ready.
///
/// # Examples
///
/// ```
/// use threadlet::aio::{Op, Queue};
///
/// threadlet::block_on(async {
///     let queue = Queue::new(8);
///     let completion = queue.submit(Op::call(|| Ok(7))).await;
///     let (result, _no_buffer) = completion.await;
///     assert_eq!(result.unwrap(), 7);
/// });
/// ```
#[must_use = "dropping it cancels the operation"]
pub struct Completion<B>(Inner<B>);

enum Inner<B> {
    /// It ended before anybody could wait for it.
    Ready(io::Result<usize>, B),
    Request(Arc<Request<B>>),
    Taken,
}

impl<B> Completion<B> {
    pub(super) fn ready(result: io::Result<usize>, buf: B) -> Self {
        Completion(Inner::Ready(result, buf))
    }

    pub(super) fn of(request: Arc<Request<B>>) -> Self {
        Completion(Inner::Request(request))
    }

    /// Keeps the operation from starting. `true`: it will not be run, and this future is ready with
    /// the error `ECANCELED` and the buffer. `false`: it has started, or ended, and its own result
    /// will come.
    pub fn cancel(&mut self) -> bool {
        match &self.0 {
            Inner::Request(request) => request.cancel(true).is_some(),
            Inner::Ready(..) | Inner::Taken => false,
        }
    }

    /// Whether the result is there: awaiting it will not wait.
    pub fn is_ended(&self) -> bool {
        match &self.0 {
            Inner::Ready(..) | Inner::Taken => true,
            Inner::Request(request) => {
                matches!(request.slot.lock().stage, Stage::Ended(..) | Stage::Taken)
            }
        }
    }

    /// Has the operation run, and its result and its buffer be dropped.
    pub fn detach(mut self) {
        if let Inner::Request(request) = std::mem::replace(&mut self.0, Inner::Taken) {
            // One that was cancelled before has its buffer in the slot, and may be in the line.
            drop(request.take());
        }
    }

    /// Waits for the end, and leaves the result there.
    pub(super) async fn ended(&mut self) {
        poll_fn(|cx| match &self.0 {
            Inner::Request(request) => request.poll_ended(cx),
            Inner::Ready(..) | Inner::Taken => Poll::Ready(()),
        })
        .await;
    }
}

impl<B> Request<B> {
    fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut slot = self.slot.lock();
        if let Stage::Ended(..) | Stage::Taken = slot.stage {
            return Poll::Ready(());
        }
        let old = slot.waker.replace(waker);
        // Not under the lock: dropping a waker is foreign code.
        drop(slot);
        drop(old);
        Poll::Pending
    }

    /// Nobody waits for it any more. Nothing foreign stays in the slot of one that will not run:
    /// the last reference to it may be the line's, and go under the queue's lock.
    fn abandon(&self) {
        drop(self.cancel(false));
        let waker = self.slot.lock().waker.take();
        drop(waker);
        drop(self.take());
    }

    /// The result, if it is there.
    fn take(&self) -> Option<(io::Result<usize>, B)> {
        let mut slot = self.slot.lock();
        match std::mem::replace(&mut slot.stage, Stage::Taken) {
            Stage::Ended(result, buf) => Some((result, buf)),
            other => {
                slot.stage = other;
                None
            }
        }
    }
}

// The buffer is moved, never pinned.
impl<B> Unpin for Completion<B> {}

impl<B> Future for Completion<B> {
    type Output = (io::Result<usize>, B);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Inner::Request(request) = &self.0 {
            if request.poll_ended(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let ended = match std::mem::replace(&mut self.0, Inner::Taken) {
            Inner::Ready(result, buf) => Some((result, buf)),
            Inner::Request(request) => request.take(),
            Inner::Taken => None,
        };
        Poll::Ready(ended.expect("polled again after it was ready"))
    }
}

impl<B> Drop for Completion<B> {
    fn drop(&mut self) {
        if let Inner::Request(request) = &self.0 {
            request.abandon();
        }
    }
}

impl<B> fmt::Debug for Completion<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("is_ended", &self.is_ended()).finish_non_exhaustive()
    }
}
