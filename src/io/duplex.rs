//! A stream of bytes in memory, both ways: `duplex`.
//!
//! Each way is a pipe of *parts*. In an ordinary runtime there is one part, of what was written and not
//! yet read. Where a test replays each write is a part of its own, which arrives at a time of its own, but
//! not before the one ahead of it; and the seed decides how much of what there is goes over at once.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;

use crate::coop;
use crate::primitive::Mutex;
use crate::replay::{self, What};
use crate::time::{Instant, Sleep, sleep_until};

/// A pair of streams that are connected, in memory: what is written to one is read from the other.
/// `max_buf_size` is how many bytes of each way are kept; who writes more waits for the reader. (Feature
/// `test-util`; tokio's of that name is the same.)
///
/// In a [`deterministic`](crate::runtime::Builder::deterministic) runtime the seed decides how long what
/// was written is on its way, and how much of it a read or a write takes: fewer bytes than there are, now
/// and then. The order is kept.
///
/// # Panics
///
/// If `max_buf_size` is 0.
///
/// # Examples
///
/// ```
/// use futures::io::{AsyncReadExt, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let (mut client, mut server) = threadlet::io::duplex(64);
///     client.write_all(b"ping").await?;
///     let mut ping = [0; 4];
///     server.read_exact(&mut ping).await?;
///     assert_eq!(&ping, b"ping");
///     drop(server);
///     assert_eq!(client.read(&mut ping).await?, 0);
///     Ok(())
/// })
/// # }
/// ```
#[track_caller]
pub fn duplex(max_buf_size: usize) -> (DuplexStream, DuplexStream) {
    assert!(max_buf_size > 0, "max_buf_size is 0: nothing could ever be written");
    let ((near, far), (back, forth)) = (pipe(max_buf_size), pipe(max_buf_size));
    (DuplexStream { reader: near, writer: forth }, DuplexStream { reader: back, writer: far })
}

/// One end of [`duplex`].
///
/// Closing it ([`close`](futures::io::AsyncWriteExt::close), tokio's `shutdown`) lets the other end read to
/// the end of what was written; so does dropping it, and what the other end writes then fails.
///
/// # Cancel safety
///
/// A read or write that is cancelled has not taken place.
#[derive(Debug)]
pub struct DuplexStream {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

/// The end of a pipe that is read from.
#[derive(Debug)]
pub(crate) struct Reader {
    pipe: Arc<Pipe>,
    /// What there is has not arrived yet.
    way: Option<Pin<Box<Sleep>>>,
}

/// The end of a pipe that is written to.
#[derive(Debug)]
pub(crate) struct Writer {
    pipe: Arc<Pipe>,
}

#[derive(Debug)]
struct Pipe {
    state: Mutex<State>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

#[derive(Debug)]
struct State {
    parts: VecDeque<Part>,
    /// How many bytes there are in them.
    len: usize,
    room: usize,
    /// When the last of them arrives.
    last: Option<Instant>,
    /// No more will be written.
    ended: bool,
    /// Nobody will read.
    unread: bool,
}

#[derive(Debug, Default)]
struct Part {
    bytes: VecDeque<u8>,
    /// `None`: it has arrived.
    at: Option<Instant>,
}

/// What there is to be read.
enum There {
    Bytes(usize),
    Later(Instant),
    Nothing,
}

fn pipe(room: usize) -> (Reader, Writer) {
    let (parts, len, last) = (VecDeque::new(), 0, None);
    let state = State { parts, len, room, last, ended: false, unread: false };
    let (state, reader, writer) = (Mutex::new(state), AtomicWaker::new(), AtomicWaker::new());
    let pipe = Arc::new(Pipe { state, reader, writer });
    (Reader { pipe: pipe.clone(), way: None }, Writer { pipe })
}

impl State {
    fn read(&mut self, buf: &mut [u8]) -> There {
        let Some(part) = self.parts.front_mut() else {
            return if self.ended { There::Bytes(0) } else { There::Nothing };
        };
        if let Some(at) = part.at {
            if at > Instant::now() {
                return There::Later(at);
            }
        }
        let most = part.bytes.len().min(buf.len());
        let count = replay::here().map_or(most, |decisions| decisions.part(most));
        let read = part.bytes.read_exact(&mut buf[..count]);
        read.expect("a queue gives what it has");
        if part.bytes.is_empty() {
            self.parts.pop_front();
        }
        self.len -= count;
        There::Bytes(count)
    }

    /// `None`: there is no room.
    fn write(&mut self, buf: &[u8]) -> Option<usize> {
        let most = buf.len().min(self.room - self.len);
        if most == 0 {
            return None;
        }
        let Some(decisions) = replay::here() else {
            if self.parts.back().is_none_or(|part| part.at.is_some()) {
                self.parts.push_back(Part::default());
            }
            let part = self.parts.back_mut().expect("it is there by now");
            part.bytes.extend(&buf[..most]);
            self.len += most;
            return Some(most);
        };
        let count = decisions.part(most);
        let at = Instant::now() + decisions.pause(What::Way, false, None).unwrap_or_default();
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        self.parts.push_back(Part { bytes: buf[..count].iter().copied().collect(), at: Some(at) });
        self.len += count;
        Some(count)
    }
}

impl Reader {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        coop::counted(cx, |cx| self.poll_read_now(cx, buf))
    }

    fn poll_read_now(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(way) = &mut self.way {
                ready!(way.as_mut().poll(cx));
                self.way = None;
            }
            // Before the look, so that what is written behind that finds it.
            self.pipe.reader.register(cx.waker());
            let there = self.pipe.state.lock().read(buf);
            match there {
                There::Bytes(count) => {
                    self.pipe.writer.wake();
                    return Poll::Ready(Ok(count));
                }
                There::Later(at) => self.way = Some(Box::pin(sleep_until(at))),
                There::Nothing => return Poll::Pending,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        {
            let mut state = self.pipe.state.lock();
            state.unread = true;
            state.parts.clear();
        }
        self.pipe.writer.wake();
    }
}

impl Writer {
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        coop::counted(cx, |cx| {
            self.pipe.writer.register(cx.waker());
            let written = {
                let mut state = self.pipe.state.lock();
                if state.unread || state.ended {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                state.write(buf)
            };
            let Some(count) = written else { return Poll::Pending };
            self.pipe.reader.wake();
            Poll::Ready(Ok(count))
        })
    }

    /// No more will be written.
    pub(crate) fn end(&mut self) {
        self.pipe.state.lock().ended = true;
        self.pipe.reader.wake();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The traits of what has a `reader` or a `writer`.
macro_rules! traits {
    ($type:ty, reader) => {
        impl futures::io::AsyncRead for $type {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.reader.poll_read(cx, buf)
            }
        }
    };
    ($type:ty, writer) => {
        impl futures::io::AsyncWrite for $type {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.writer.poll_write(cx, buf)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                mut self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.writer.end();
                std::task::Poll::Ready(Ok(()))
            }
        }
    };
}
pub(crate) use traits;

traits!(DuplexStream, reader);
traits!(DuplexStream, writer);
