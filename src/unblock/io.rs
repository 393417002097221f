//! Reading, writing and seeking.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::desk::{Action, Done, Shared};
use super::future::runtime;
use super::{CLOSED, Unblock};
use crate::coop;
use crate::syslet::retry;

/// A copy of so many bytes takes a few microseconds, more than starting a call does.
const CAPACITY: usize = 64 * 1024;

/// What has been read, until it is asked for.
#[derive(Debug, Default)]
pub(super) struct Input {
    data: Vec<u8>,
    start: usize,
    end: usize,
    /// The end of the input, or an error: the answer when the bytes are used up, once.
    last: Option<io::Result<()>>,
}

impl Input {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// The answer of a read; `None`: `T` has to be asked.
    fn take(&mut self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let count = self.bytes().len().min(buf.len());
        if count == 0 {
            return self.last.take().map(|last| last.map(|()| 0));
        }
        buf[..count].copy_from_slice(&self.bytes()[..count]);
        self.start += count;
        Some(Ok(count))
    }

    fn is_used_up(&self) -> bool {
        self.bytes().is_empty() && self.last.is_none()
    }

    /// The buffer, to be read into. It has been used up.
    fn take_buffer(&mut self, capacity: usize) -> Vec<u8> {
        self.clear();
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            data = vec![0; capacity];
        }
        data
    }

    /// What a read brought.
    pub(super) fn fill(&mut self, data: Vec<u8>, result: io::Result<usize>) {
        match result {
            // A reader that claims to have read more than there is room for is wrong.
            Ok(count) => self.end = count.min(data.len()),
            Err(_) => self.end = 0,
        }
        self.last = match result {
            Ok(1..) => None,
            Ok(0) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        (self.data, self.start) = (data, 0);
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end, self.last) = (0, 0, None);
    }
}

/// What is written, until `T` has it.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// A call is under way that takes what comes here, until it finds nothing.
    draining: bool,
    /// What `T` answered, until somebody hears of it.
    error: Option<io::Error>,
}

impl Output {
    pub(super) fn fail(&mut self, error: io::Error) {
        self.error.get_or_insert(error);
    }

    /// No call takes what is here.
    fn stop(&mut self) {
        self.bytes.clear();
        self.draining = false;
    }

    /// Takes bytes over for the call that drains. `None`: there is none, or no room.
    fn accept(&mut self, buf: &[u8], capacity: usize) -> Option<io::Result<usize>> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let count = buf.len().min(capacity.saturating_sub(self.bytes.len()));
        if !self.draining || count == 0 {
            return None;
        }
        self.bytes.extend_from_slice(&buf[..count]);
        Some(Ok(count))
    }

    /// Takes the first bytes over, for a call that is yet to start.
    fn begin(&mut self, buf: &[u8], capacity: usize) -> usize {
        let count = buf.len().min(capacity);
        self.bytes.extend_from_slice(&buf[..count]);
        self.draining = true;
        count
    }
}

/// Gives `io` all that is written, and all that is written meanwhile.
fn drain<T: Write>(shared: &Shared<T>, io: &mut T) {
    /// However it ends, nobody is to count on this call.
    struct Stop<'a, T>(&'a Shared<T>);
    impl<T> Drop for Stop<'_, T> {
        fn drop(&mut self) {
            let mut output = self.0.output.lock();
            if output.draining {
                output.stop();
            }
        }
    }
    let stop = Stop(shared);
    let mut bytes = Vec::new();
    loop {
        {
            let mut output = shared.output.lock();
            if output.bytes.is_empty() {
                // Under the lock: what comes from here on starts a call of its own.
                output.draining = false;
                if output.bytes.capacity() < bytes.capacity() {
                    output.bytes = bytes;
                }
                break;
            }
            std::mem::swap(&mut bytes, &mut output.bytes);
        }
        // There is room again.
        shared.waker.wake();
        if let Err(error) = io.write_all(&bytes) {
            let mut output = shared.output.lock();
            output.stop();
            output.fail(not_would_block(error));
            break;
        }
        bytes.clear();
    }
    drop(stop);
}

/// The answer of a call, in the terms of futures-io: neither `Interrupted` nor `WouldBlock`.
fn answer<R>(call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    retry(call).map_err(not_would_block)
}

fn not_would_block(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            let text = format!("what is in an `Unblock` is to block, and this does not: {error}");
            io::Error::other(text)
        }
        _ => error,
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, CLOSED)
}

impl<T> Unblock<T> {
    fn bytes_capacity(&self) -> usize {
        self.capacity.unwrap_or(CAPACITY)
    }

    fn accept(&self, buf: &[u8]) -> Option<io::Result<usize>> {
        self.shared.output.lock().accept(buf, self.bytes_capacity())
    }
}

impl<T: Read + Send + 'static> Unblock<T> {
    /// What was read ahead, or what a call of `T` brings.
    fn poll_input(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(answer) = self.input.take(buf) {
                return Poll::Ready(answer);
            }
            ready!(self.poll_idle(cx));
            if self.input.is_used_up() {
                if self.is_closed() {
                    return Poll::Ready(Err(closed()));
                }
                let capacity = self.bytes_capacity();
                let mut data = self.input.take_buffer(capacity);
                self.start(Action::new(move |_, io: &mut T| {
                    let result = answer(|| io.read(&mut data));
                    Done::Read(data, result)
                }));
            }
        }
    }
}

impl<T: Write + Send + 'static> Unblock<T> {
    /// Takes bytes over, for the call under way or for one that starts here.
    fn poll_output(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(answer) = self.accept(buf) {
            return Poll::Ready(answer);
        }
        self.shared.waker.register(cx.waker());
        // What came before the waker was there.
        if let Some(answer) = self.accept(buf) {
            return Poll::Ready(answer);
        }
        ready!(self.poll_idle(cx));
        // Nothing is under way any more: the answer can only be an error.
        if let Some(answer) = self.accept(buf) {
            return Poll::Ready(answer);
        }
        if self.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        // First, since there may be none: nothing has been taken over then.
        let runtime = runtime();
        self.dirty = true;
        let count = self.shared.output.lock().begin(buf, self.bytes_capacity());
        let action = Action::must_run(|shared, io: &mut T| {
            drain(shared, io);
            Done::Plain
        });
        self.start_in(&runtime, action);
        Poll::Ready(Ok(count))
    }

    /// Waits until `T` has all that was written, and was flushed.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_idle(cx));
            if let Some(error) = self.shared.output.lock().error.take() {
                return Poll::Ready(Err(error));
            }
            if !self.dirty || self.is_closed() {
                return Poll::Ready(Ok(()));
            }
            self.start(Action::new(|_, io: &mut T| Done::Flushed(answer(|| io.flush()))));
        }
    }
}

/// # Cancel safety
///
/// Dropping the future of a read loses no bytes: what it brings is there for the next one.
impl<T: Read + Send + 'static> AsyncRead for Unblock<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        coop::counted(cx, |cx| self.poll_input(cx, buf))
    }
}

/// # Cancel safety
///
/// A write takes bytes over only in the poll that says so. A flush or a close whose future was
/// dropped goes on, unless the `Unblock` is dropped too.
impl<T: Write + Send + 'static> AsyncWrite for Unblock<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        coop::counted(cx, |cx| self.poll_output(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        coop::counted(cx, |cx| self.poll_flushed(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.as_mut().poll_flush(cx))?;
            if self.is_closed() {
                return Poll::Ready(Ok(()));
            }
            // In a call: to close may block.
            self.start(Action::with_place(|_, io| {
                drop(io.take());
                Done::Plain
            }));
        }
    }
}

/// # Cancel safety
///
/// A seek whose future was dropped may happen or not; if the next call is the same seek, it takes
/// the answer of that one.
impl<T: Seek + Send + 'static> AsyncSeek for Unblock<T> {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pos: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        loop {
            ready!(self.poll_idle(cx));
            match self.sought.take() {
                Some((asked, result)) if asked == pos => return Poll::Ready(result),
                _ => {}
            }
            if self.is_closed() {
                return Poll::Ready(Err(closed()));
            }
            // `T` is ahead of the one who asks. What saturates is before the start of any file.
            let ahead = i64::try_from(self.buffer().len()).unwrap_or(i64::MAX);
            let to = match pos {
                SeekFrom::Current(by) => SeekFrom::Current(by.saturating_sub(ahead)),
                other => other,
            };
            self.start(Action::new(move |_, io: &mut T| Done::Sought(pos, answer(|| io.seek(to)))));
        }
    }
}
