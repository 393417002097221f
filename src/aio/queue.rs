//! The queue: submit, barrier, fence, drain.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::op::Op;
use super::order::Marker;
use super::pump::Pump;
use super::request::Completion;
use super::shared::Shared;
use crate::call::gate::{AtCap, Options, gate};
use crate::observe::site::Site;

/// More operations than this are not run at once, unless [`Queue::max_threads`] says so.
const MAX_THREADS: usize = 64;

static SUBMIT: Site = Site::new(file!(), line!(), column!(), "aio submit");

/// A queue of operations on files: freely ordered, with barriers.
///
/// Operations are started in the order in which they are submitted, run side by side, and end in
/// any order. What must not be so is told by a [`barrier`](Self::barrier) or a
/// [`fence`](Self::fence). An operation whose data is in memory has ended when `submit` returns it,
/// and no thread had a part in it; any other runs on a thread that may block, of the current
/// runtime or of a global one.
///
/// A queue can be used from any executor and from plain threads. A clone is the same queue.
/// Dropping it (all of them) changes nothing for what was submitted: each operation has its buffer
/// and its file until it ends. In a child of `fork` a queue of the parent must not be used.
///
/// # Examples
///
/// ```
/// use threadlet::aio::{File, Op, Queue};
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("threadlet-doc-queue-{}", std::process::id()));
/// threadlet::block_on(async {
///     let options = std::fs::File::options().read(true).write(true).create(true).open(&path);
///     let file = File::from(options?);
///     let queue = Queue::new(32);
///
///     let one = queue.submit(Op::write_at(&file, b"hello ".to_vec(), 0)).await;
///     let two = queue.submit(Op::write_at(&file, b"world".to_vec(), 6)).await;
///     queue.fence();
///     let synced = queue.submit(Op::fdatasync(&file)).await;
///     let read = queue.submit(Op::read_at(&file, vec![0; 11], 0)).await;
///
///     let (result, buf) = read.await;
///     assert_eq!((result?, &buf[..]), (11, &b"hello world"[..]));
///     assert_eq!(one.await.0? + two.await.0?, 11);
///     synced.await.0?;
/// #   std::fs::remove_file(&path)?;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

impl Queue {
    /// A queue in which at most `depth` operations have not ended. It starts no thread.
    ///
    /// # Panics
    ///
    /// If `depth` is 0.
    pub fn new(depth: usize) -> Queue {
        assert!(depth > 0, "a queue with a depth of 0 would take no operation");
        Queue { shared: Shared::new(depth, Pump::new(depth.min(MAX_THREADS))) }
    }

    /// Changes how many operations may run, and so how many threads may be blocked, at once.
    /// Without it that is the depth, but 64 at most.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn max_threads(self, count: usize) -> Queue {
        self.shared.pump().set_limit(count);
        self
    }

    /// Submits an operation, as soon as there is room for it; those who wait for room get it in the
    /// order in which they came.
    ///
    /// To await this is to await room, and not the end of the operation: that is what the
    /// [`Completion`] is for.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the operation has not been submitted; its buffer is dropped.
    pub async fn submit<B: Send + 'static>(&self, op: Op<B>) -> Completion<B> {
        // Not to wait for a permit, which it does not need; but a task that finds all its data in
        // memory lets others have their turn like one that makes calls.
        drop(gate(&SUBMIT, Options { will_block: false, at_cap: AtCap::Fail }).await);
        self.shared.room().await;
        self.shared.begin(op)
    }

    /// Submits an operation if there is room for it.
    ///
    /// # Errors
    ///
    /// [`Full`], with the operation, if `depth` operations have not ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::aio::{Op, Queue};
    ///
    /// let queue = Queue::new(1);
    /// queue.barrier();
    /// match queue.try_submit(Op::call(|| Ok(7))) {
    ///     Ok(completion) => completion.detach(),
    ///     Err(full) => println!("later: {:?}", full.into_op()),
    /// }
    /// ```
    pub fn try_submit<B: Send + 'static>(&self, op: Op<B>) -> Result<Completion<B>, Full<B>> {
        if self.shared.try_take() { Ok(self.shared.begin(op)) } else { Err(Full(op)) }
    }

    /// What is submitted from here on starts only when all that was submitted before has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::aio::{Op, Queue};
    ///
    /// threadlet::block_on(async {
    ///     let queue = Queue::new(8);
    ///     for _ in 0..4 {
    ///         queue.submit(Op::call(|| Ok(1))).await.detach();
    ///     }
    ///     queue.barrier();
    ///     // Starts when the four have ended.
    ///     let last = queue.submit(Op::call(|| Ok(2))).await;
    ///     assert_eq!(last.await.0.unwrap(), 2);
    /// });
    /// ```
    pub fn barrier(&self) {
        self.shared.mark(Marker::Barrier);
    }

    /// What is submitted from here on starts only when all that was submitted before and is no read
    /// has ended: writes, syncs and [calls](Op::call). Reads from before may still run.
    pub fn fence(&self) {
        self.shared.mark(Marker::Fence);
    }

    /// Waits until all that was submitted before the first poll of this has ended. It holds nothing
    /// back.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use threadlet::aio::{Op, Queue};
    ///
    /// threadlet::block_on(async {
    ///     let (queue, calls) = (Queue::new(8), Arc::new(AtomicUsize::new(0)));
    ///     for _ in 0..4 {
    ///         let calls = calls.clone();
    ///         let call = Op::call(move || Ok(calls.fetch_add(1, Ordering::Relaxed)));
    ///         queue.submit(call).await.detach();
    ///     }
    ///     queue.drain().await;
    ///     assert_eq!(calls.load(Ordering::Relaxed), 4);
    /// });
    /// ```
    pub async fn drain(&self) {
        if let Some(drained) = self.shared.drain() {
            // Every operation ends, so this is told.
            let _ = drained.await;
        }
    }

    /// How many operations may have been submitted and not have ended.
    pub fn depth(&self) -> usize {
        self.shared.depth()
    }

    /// How many operations were submitted and have not ended; a place that somebody in
    /// [`submit`](Self::submit) is about to use counts.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("depth", &self.depth())
            .field("in_flight", &self.in_flight())
            .field("pump", self.shared.pump())
            .finish_non_exhaustive()
    }
}

/// The queue had no room for this operation.
pub struct Full<B>(Op<B>);

impl<B> Full<B> {
    /// The operation, which was not submitted.
    pub fn into_op(self) -> Op<B> {
        self.0
    }
}

impl<B> fmt::Debug for Full<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Full").field(&self.0).finish()
    }
}

impl<B> fmt::Display for Full<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is full (see `Queue::depth`)")
    }
}

impl<B> std::error::Error for Full<B> {}

impl<B> From<Full<B>> for io::Error {
    /// `WouldBlock`. The operation and its buffer are dropped.
    fn from(full: Full<B>) -> Self {
        io::Error::new(io::ErrorKind::WouldBlock, full.to_string())
    }
}
