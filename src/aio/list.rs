//! Many operations at once: a stream of their ends, and POSIX's `lio_listio`.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{FusedStream, FuturesUnordered, Stream};

use super::op::Op;
use super::queue::Queue;
use super::request::Completion;

/// Completions as a stream, in the order in which they come, each with a tag that tells which it
/// is.
///
/// The stream is at its end whenever all that was pushed has been taken; it goes on when more is
/// pushed.
///
/// # Cancel safety
///
/// Dropping it drops the completions that are in it: what has not started is cancelled.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use threadlet::aio::{Completions, File, Op, Queue};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let file = File::from(std::fs::File::open("/etc/hosts")?);
///     let queue = Queue::new(8);
///     let mut completions = Completions::new();
///     for page in 0..20_u64 {
///         let read = queue.submit(Op::read_at(&file, vec![0; 512], page * 512)).await;
///         completions.push(page, read);
///     }
///     let mut length = 0;
///     while let Some((_page, result, _buf)) = completions.next().await {
///         length += result?;
///     }
///     assert!(length > 0);
///     Ok(())
/// })
/// # }
/// ```
pub struct Completions<T, B> {
    all: FuturesUnordered<Tagged<T, B>>,
}

struct Tagged<T, B> {
    tag: Option<T>,
    completion: Completion<B>,
}

// Neither is pinned.
impl<T, B> Unpin for Tagged<T, B> {}

impl<T, B> Future for Tagged<T, B> {
    type Output = (T, io::Result<usize>, B);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.completion).poll(cx).map(|(result, buf)| {
            let tag = self.tag.take().expect("a future is not polled after its end");
            (tag, result, buf)
        })
    }
}

impl<T, B> Completions<T, B> {
    /// None yet.
    pub fn new() -> Self {
        Completions { all: FuturesUnordered::new() }
    }

    /// Adds one.
    pub fn push(&mut self, tag: T, completion: Completion<B>) {
        self.all.push(Tagged { tag: Some(tag), completion });
    }

    /// How many have not been taken from the stream.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether all have been taken.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Cancels what has not started: see [`Completion::cancel`]. They all come out of the stream.
    /// Returns how many were cancelled.
    pub fn cancel(&mut self) -> usize {
        self.all.iter_mut().map(|tagged| usize::from(tagged.completion.cancel())).sum()
    }
}

impl<T, B> Default for Completions<T, B> {
    fn default() -> Self {
        Completions::new()
    }
}

impl<T, B> Stream for Completions<T, B> {
    type Item = (T, io::Result<usize>, B);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.all).poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T, B> FusedStream for Completions<T, B> {
    fn is_terminated(&self) -> bool {
        self.is_empty()
    }
}

impl<T, B> fmt::Debug for Completions<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completions").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Whether [`lio_listio`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until all have ended: `LIO_WAIT`.
    Wait,
    /// For nothing: `LIO_NOWAIT`.
    NoWait,
}

/// Submits a list of operations: `lio_listio(3)`. There is one completion for each, in the order of
/// the list, and each has a result of its own.
///
/// | mode | what the returned future waits for | an operation that finds the queue full |
/// |---|---|---|
/// | [`Wait`](Mode::Wait) | until all have ended: their results are there then | waits for room |
/// | [`NoWait`](Mode::NoWait) | nothing: it is ready at once | ends with the error `EAGAIN` |
///
/// # Cancel safety
///
/// Dropped before it is ready, what was not submitted is not, and what has not started is
/// cancelled.
///
/// # Examples
///
/// ```
/// use threadlet::aio::{File, Mode, Op, Queue, lio_listio};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let file = File::from(std::fs::File::open("/etc/hosts")?);
///     let list = [
///         Op::read_at(&file, vec![0; 16], 0),
///         Op::write_at(&file, b"not for writing".to_vec(), 0),
///         Op::nop().with(Vec::new()),
///     ];
///     let mut ended = lio_listio(&Queue::new(8), Mode::Wait, list).await.into_iter();
///     assert!(ended.next().unwrap().await.0.is_ok());
///     assert!(ended.next().unwrap().await.0.is_err());
///     assert!(ended.next().unwrap().await.0.is_ok());
///     Ok(())
/// })
/// # }
/// ```
pub async fn lio_listio<B: Send + 'static>(
    queue: &Queue,
    mode: Mode,
    ops: impl IntoIterator<Item = Op<B>>,
) -> Vec<Completion<B>> {
    let mut completions = Vec::new();
    for op in ops {
        completions.push(match mode {
            Mode::Wait => queue.submit(op).await,
            Mode::NoWait => queue.try_submit(op).unwrap_or_else(|full| {
                let error = io::Error::from_raw_os_error(libc::EAGAIN);
                Completion::ready(Err(error), full.into_op().into_buffer())
            }),
        });
    }
    if mode == Mode::Wait {
        for completion in &mut completions {
            completion.ended().await;
        }
    }
    completions
}
