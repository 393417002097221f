//! Blocking closures and blocking I/O as futures, for any executor.
//!
//! [`unblock`] is a task whose body is one region. [`Unblock`] makes such tasks out of the calls of
//! a reader, a writer or an iterator, one at a time; `desk` has the protocol, `io` and `stream` the
//! calls.

mod desk;
mod future;
mod io;
mod stream;

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io::SeekFrom;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

pub use future::{Unblocked, unblock};

use crate::primitive::Mutex;
use crate::runtime::Handle;
use crate::spawned::AbortHandle;
use desk::{Action, Done, Shared, Stage};
pub(crate) use future::runtime;
use io::Input;

/// Turns blocking I/O into async I/O.
///
/// What `T` is decides what this is: [`Read`](std::io::Read) makes it a futures-io
/// [`AsyncRead`](futures::io::AsyncRead), [`Write`](std::io::Write) an
/// [`AsyncWrite`](futures::io::AsyncWrite), [`Seek`](std::io::Seek) an
/// [`AsyncSeek`](futures::io::AsyncSeek), and an [`Iterator`] a
/// [`Stream`](futures::stream::Stream). `T` is to block: what answers
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock) gets an error of another kind.
///
/// Each call of `T` is an [`unblock`] closure, one at a time: a reader that waits for bytes keeps a
/// writer of the same `T` waiting. (Of a socket, give each direction a `try_clone` of its own.) A
/// call starts in the runtime of the task that polls, or in the global one if there is none there
/// or if it is being shut down.
///
/// # Reading
///
/// A read takes what one call of `T` gives, up to the capacity, and keeps what was not asked for:
/// `T` may be ahead of what you have read. As in [`std::io::BufReader`],
///
/// * [`buffer`](Self::buffer) shows what was read ahead, and nothing but reads and seeks changes
///   it: not a write, not [`get_mut`](Self::get_mut), not [`with_mut`](Self::with_mut);
/// * [`into_inner`](Self::into_inner) gives it up;
/// * a seek counts from where *you* are: `SeekFrom::Current(0)` brings `T` there.
///
/// So between a read and a write of the same file there has to be a seek.
///
/// # Writing
///
/// A write returns once the bytes are taken over, and they are on their way to `T` from then on,
/// flushed or not: as many as the capacity while `T` is busy with others. An error that `T` meets
/// later is the answer to the next write, flush or close, once; the bytes that were under way are
/// lost then. A flush waits until `T` has taken everything and was flushed; `close` also drops `T`,
/// after which reads and writes fail.
///
/// # Iterating
///
/// A call takes items from the iterator, up to the capacity, and each is there for the stream at
/// once. Items that were taken ahead are kept as bytes are.
///
/// # Dropping
///
/// With no call under way `T` is dropped at once. A read, a seek or a flush that has not started
/// never does; one that has runs to its end, and what a read brings then is lost. (A read of the
/// standard input that nobody waits for takes the next line.) What was written is written even so:
/// it needs no flush, but without one nobody knows when, or hears of an error; `T` is dropped after
/// it. If the runtime is shut down before, the global one does it. What has not been written when
/// the process ends is lost: flush first.
///
/// # Panics
///
/// A panic in a call of `T` comes out of the poll that waits for it, or of the next one. `T` is
/// kept then, and can still be used.
///
/// # Examples
///
/// ```
/// use futures::io::AsyncReadExt;
/// use threadlet::{Unblock, unblock};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let file = unblock(|| std::fs::File::open("/etc/hosts")).await?;
///     let mut text = String::new();
///     Unblock::new(file).read_to_string(&mut text).await?;
///     assert!(!text.is_empty());
///     Ok(())
/// })
/// # }
/// ```
///
/// An iterator that blocks:
///
/// ```
/// use futures::stream::StreamExt;
/// use threadlet::Unblock;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let mut entries = Unblock::new(std::fs::read_dir("/etc")?);
///     while let Some(entry) = entries.next().await {
///         println!("{:?}", entry?.file_name());
///     }
///     Ok(())
/// })
/// # }
/// ```
pub struct Unblock<T> {
    shared: Arc<Shared<T>>,
    /// `T`, from `get_mut` until the next call.
    held: Option<Box<T>>,
    /// Stops the call under way if it has not started and need not.
    abort: Option<AbortHandle>,
    input: Input,
    /// The answer of a seek, until it is asked for.
    sought: Option<(SeekFrom, std::io::Result<u64>)>,
    /// The items taken ahead. Only `stream` knows their type.
    items: Option<Arc<dyn Any + Send + Sync>>,
    /// The iterator has ended, which the stream has not yet said.
    ended: bool,
    /// `T` may have something to flush.
    dirty: bool,
    capacity: Option<usize>,
    /// Where it was made: the site of its calls.
    place: &'static Location<'static>,
}

impl<T> Unblock<T> {
    /// Wraps `io`, with a capacity of 64 KiB, or of 256 items.
    ///
    /// # Examples
    ///
    /// ```
    /// let stdin = threadlet::Unblock::new(std::io::stdin());
    /// ```
    #[track_caller]
    pub fn new(io: T) -> Self {
        Unblock::make(None, io)
    }

    /// Wraps `io`, with a capacity in bytes, or in items of an iterator. It bounds what a call
    /// reads ahead, and what is taken over while `T` is busy with a write. At least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::stream::StreamExt;
    /// use threadlet::Unblock;
    ///
    /// threadlet::block_on(async {
    ///     let squares = Unblock::with_capacity(4, (1..=3).map(|n| n * n));
    ///     assert_eq!(squares.collect::<Vec<_>>().await, [1, 4, 9]);
    /// });
    /// ```
    #[track_caller]
    pub fn with_capacity(capacity: usize, io: T) -> Self {
        Unblock::make(Some(capacity.max(1)), io)
    }

    #[track_caller]
    fn make(capacity: Option<usize>, io: T) -> Self {
        Unblock {
            shared: Arc::new(Shared::new(io)),
            held: None,
            abort: None,
            input: Input::default(),
            sought: None,
            items: None,
            ended: false,
            // It may come with something in it, as a `BufWriter` can.
            dirty: true,
            capacity,
            place: Location::caller(),
        }
    }

    /// What was read ahead and not yet asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::io::AsyncReadExt;
    /// use threadlet::Unblock;
    ///
    /// threadlet::block_on(async {
    ///     let mut reader = Unblock::new(&b"abc"[..]);
    ///     reader.read_exact(&mut [0]).await.unwrap();
    ///     assert_eq!(reader.buffer(), b"bc");
    ///     let rest = reader.buffer().to_vec();
    ///     assert_eq!(reader.into_inner().await, b"");
    ///     assert_eq!(rest, b"bc");
    /// });
    /// ```
    pub fn buffer(&self) -> &[u8] {
        self.input.bytes()
    }

    /// Whether `T` is gone. Only means something between calls.
    fn is_closed(&self) -> bool {
        self.held.is_none() && !self.shared.has_io()
    }
}

const CLOSED: &str = "this `Unblock` has been closed";

impl<T: Send + 'static> Unblock<T> {
    /// Waits for the call under way, and gives access to `T` on this thread: what blocks in it
    /// blocks here.
    ///
    /// What was written before has reached `T` by then, or is an error of the next write. What was
    /// read ahead stays [here](Self::buffer).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Panics
    ///
    /// After a `close`.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::io::AsyncWriteExt;
    /// use threadlet::Unblock;
    ///
    /// threadlet::block_on(async {
    ///     let mut writer = Unblock::new(Vec::new());
    ///     writer.write_all(b"abc").await.unwrap();
    ///     assert_eq!(writer.get_mut().await, b"abc");
    /// });
    /// ```
    pub async fn get_mut(&mut self) -> &mut T {
        self.idle().await;
        // A seek that was left behind is no answer any more: `T` may be moved from here on.
        self.sought = None;
        self.dirty = true;
        if self.held.is_none() {
            self.held = self.shared.take_io();
        }
        self.held.as_deref_mut().expect(CLOSED)
    }

    /// Runs `op` on `T` as an [`unblock`] closure, behind the call under way.
    ///
    /// # Cancel safety
    ///
    /// Once the future was polled to where `op` may start, dropping it does not keep `op` from
    /// running; only its result is lost. Before, `op` is dropped.
    ///
    /// # Panics
    ///
    /// If `op` does, and after a `close`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// threadlet::block_on(async {
    ///     let mut file = threadlet::Unblock::new(std::fs::File::open("/etc/hosts")?);
    ///     let length = file.with_mut(|file| file.metadata()).await?.len();
    ///     assert!(length > 0);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn with_mut<R, F>(&mut self, op: F) -> R
    where
        F: FnOnce(&mut T) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.idle().await;
        assert!(!self.is_closed(), "{CLOSED}");
        self.dirty = true;
        let answer = Arc::new(Mutex::new(None));
        let place = answer.clone();
        self.start(Action::new(move |_, io| {
            let result = op(io);
            *place.lock() = Some(result);
            Done::Plain
        }));
        self.idle().await;
        let result = answer.lock().take();
        result.expect("a call that has ended has left its result")
    }

    /// Waits for the call under way, and gives `T` back.
    ///
    /// What was written has reached `T` (or failed: flush first to hear of it), and `T` has not
    /// been flushed. What was read ahead is given up: look at [`buffer`](Self::buffer) first, after
    /// [`get_mut`](Self::get_mut) if a read may be under way, or bring `T` back by a seek to
    /// `SeekFrom::Current(0)`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops `T`, as dropping this does.
    ///
    /// # Panics
    ///
    /// After a `close`.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::io::AsyncWriteExt;
    /// use threadlet::Unblock;
    ///
    /// threadlet::block_on(async {
    ///     let mut writer = Unblock::new(Vec::new());
    ///     writer.write_all(b"abc").await.unwrap();
    ///     assert_eq!(writer.into_inner().await, b"abc");
    /// });
    /// ```
    pub async fn into_inner(mut self) -> T {
        self.idle().await;
        let held = self.held.take().or_else(|| self.shared.take_io());
        *held.expect(CLOSED)
    }

    async fn idle(&mut self) {
        poll_fn(|cx| self.poll_idle(cx)).await;
    }

    /// Waits for the call under way, which is to come to its end.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Ordering: Relaxed. A hint.
        self.shared.hurry.store(true, Ordering::Relaxed);
        self.poll_settled(cx)
    }

    /// Waits for the call under way, and takes its answer.
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.shared.waker.register(cx.waker());
            match ready!(self.shared.poll_stage()) {
                Stage::Busy => unreachable!("it is not ready then"),
                Stage::Idle => return Poll::Ready(()),
                // Its runtime was shut down. Another will take it.
                Stage::Refused(action) => self.start(action),
                Stage::Ended(ended) => {
                    self.abort = None;
                    match ended {
                        Ok(done) => self.take_in(done),
                        Err(payload) => resume_unwind(payload),
                    }
                    return Poll::Ready(());
                }
            }
        }
    }

    fn take_in(&mut self, done: Done) {
        match done {
            Done::Plain => {}
            Done::Read(data, result) => self.input.fill(data, result),
            Done::Flushed(Ok(())) => self.dirty = false,
            Done::Flushed(Err(error)) => self.shared.output.lock().fail(error),
            Done::Sought(to, result) => {
                if result.is_ok() {
                    self.input.clear();
                }
                self.sought = Some((to, result));
            }
            Done::Pulled { ended } => self.ended = ended,
        }
    }

    /// Starts a call. There is none under way.
    fn start(&mut self, action: Action<T>) {
        self.start_in(&runtime(), action);
    }

    fn start_in(&mut self, runtime: &Handle, action: Action<T>) {
        self.sought = None;
        self.shared.put_io(self.held.take());
        self.abort = desk::start(runtime, &self.shared, action, self.place);
    }
}

impl<T> Drop for Unblock<T> {
    fn drop(&mut self) {
        self.shared.hurry.store(true, Ordering::Relaxed);
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }
}

impl<T> From<T> for Unblock<T> {
    #[track_caller]
    fn from(io: T) -> Self {
        Unblock::new(io)
    }
}

impl<T: fmt::Debug> fmt::Debug for Unblock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Unblock");
        match &self.held {
            Some(io) => text.field("io", io),
            None => self.shared.with_io(|io| match io {
                Ok(Some(io)) => text.field("io", io),
                Ok(None) => text.field("io", &format_args!("<closed>")),
                Err(desk::Busy) => text.field("io", &format_args!("<in a call>")),
            }),
        };
        text.finish_non_exhaustive()
    }
}
