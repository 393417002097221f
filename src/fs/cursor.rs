//! Reading and writing at a file's own position, for the poll-based traits.
//!
//! On a thread of ours a call is made in the poll. Elsewhere what would block is sent away with a
//! buffer of its own, and the file keeps the *flight* until it has landed. A future that was
//! dropped leaves its flight behind; whoever comes next has it land first (on a stream, which has
//! no position, a read does not wait for a write, nor a write for a read):
//!
//! * *Bytes that were read*: the next read has them. The *position* as the user knows it is that
//!   much before the kernel's, so anything else gives them back by a seek.
//! * *A read that failed*: the next read has the error; a seek discards it.
//! * *Bytes that were written*: a write that begins with just these bytes *is* that write; any
//!   other comes after it.
//! * *A write that failed*: the next write, flush, close or sync has the error.

use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::call::{KeptGate, Moved, answered, moved, site};
use super::file_ref::FileRef;
use crate::call::region::run_at;
use crate::context;
use crate::observe::site::Site;
use crate::syslet::{Answer, INLINE_MAX, OpenFile};

/// What is copied for one call that moves to another thread.
pub(super) const COPY_MAX: usize = 256 * 1024;

/// The state of a file's own position.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The read under way on another thread.
    reading: Option<Moved<Vec<u8>>>,
    /// The write under way on another thread.
    writing: Option<Moved<Landed>>,
    /// Whether the file whose calls these are is a stream.
    stream: bool,
    /// Read from the file, and not yet by the user.
    unread: Vec<u8>,
    /// How many of [`unread`](Self::unread) the user has had.
    had: usize,
    /// The error of a read that has landed, for the next read.
    failed_read: Option<io::Error>,
    /// The write that has landed, for the next write.
    landed: Option<Landed>,
    gate: KeptGate,
    /// Bytes that were copied in polls of a stranger's executor since it last had its turn.
    copied: usize,
}

/// A write that has been made, and what it was to write.
#[derive(Debug)]
struct Landed {
    data: Vec<u8>,
    result: io::Result<usize>,
}

impl Cursor {
    /// Reads at the position, into one buffer after the other.
    pub(super) fn poll_read(
        &mut self,
        file: &FileRef,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let site = site!("fs::File::poll_read");
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            let was_reading = self.reading.is_some();
            ready!(self.poll_land_read(cx));
            if !self.stream {
                ready!(self.poll_written(cx));
            }
            if let Some(error) = self.failed_read.take() {
                return Poll::Ready(Err(error));
            }
            let n = self.take_unread(bufs);
            if n > 0 || was_reading {
                self.moved_on();
                return Poll::Ready(Ok(n));
            }
            let (plain, ask) = (OpenFile::read_vectored, OpenFile::ask_read_vectored);
            let done = ready!(self.poll_here(site, cx, file, &mut *bufs, plain, ask));
            if let Some(result) = done {
                self.moved_on();
                return Poll::Ready(result);
            }
            // Now: later the call may hold the kernel's lock on the position.
            self.stream = file.is_stream();
            let length = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(COPY_MAX);
            let file = file.clone();
            let call = move || read_into_new(&file, length, None);
            self.reading = Some(moved(site, call));
        }
    }

    /// Writes at the position, one buffer after the other.
    pub(super) fn poll_write(
        &mut self,
        file: &FileRef,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let site = site!("fs::File::poll_write");
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            ready!(self.poll_written(cx));
            if !self.stream {
                ready!(self.poll_land_read(cx));
            }
            if let Some(Landed { data, result }) = self.landed.take() {
                match result {
                    Ok(n) if !starts_with(bufs, &data[..n]) => {}
                    result => return Poll::Ready(result),
                }
            }
            self.give_back(file)?;
            let (plain, ask) = (OpenFile::write_vectored, OpenFile::ask_write_vectored);
            if let Some(result) = ready!(self.poll_here(site, cx, file, bufs, plain, ask)) {
                return Poll::Ready(result);
            }
            self.stream = file.is_stream();
            let (file, data) = (file.clone(), copied(bufs));
            let call = move || {
                let result = file.write(&data, None);
                Ok(Landed { data, result })
            };
            self.writing = Some(moved(site, call));
        }
    }

    /// Waits for a write that was left behind.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(write) = &mut self.writing {
            let lost = |error| Landed { data: Vec::new(), result: Err(error) };
            self.landed = Some(ready!(Pin::new(write).poll(cx)).unwrap_or_else(lost));
            self.writing = None;
        }
        Poll::Ready(())
    }

    /// Waits for a read that was left behind.
    fn poll_land_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(read) = &mut self.reading {
            match ready!(Pin::new(read).poll(cx)) {
                Ok(data) => (self.unread, self.had) = (data, 0),
                Err(error) => self.failed_read = Some(error),
            }
            self.reading = None;
        }
        Poll::Ready(())
    }

    /// The error of a write that was left behind, once.
    pub(super) fn take_failure(&mut self) -> io::Result<()> {
        match self.landed.take() {
            Some(Landed { result: Err(error), .. }) => Err(error),
            // It has been waited for.
            Some(_) | None => Ok(()),
        }
    }

    /// Moves the position. The kernel's part is a number in memory: nothing blocks, so nothing
    /// moves to another thread.
    pub(super) fn poll_seek(
        &mut self,
        file: &FileRef,
        cx: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        if self.stream {
            // The kernel's refusal needs no waiting for.
            return Poll::Ready(file.get().seek(to));
        }
        ready!(self.poll_written(cx));
        ready!(self.poll_land_read(cx));
        let unread = (self.unread.len() - self.had) as i64;
        let to = match to {
            SeekFrom::Current(by) => match by.checked_sub(unread) {
                Some(by) => SeekFrom::Current(by),
                None => return Poll::Ready(Err(io::ErrorKind::InvalidInput.into())),
            },
            absolute => absolute,
        };
        let position = file.get().seek(to)?;
        self.discard_unread();
        self.moved_on();
        Poll::Ready(Ok(position))
    }

    /// Waits for whatever was left behind, and puts the kernel's position where the user's is: what
    /// was read and not used may be something else by the time it is read again. A stream has no
    /// position, so a read of it is let be.
    pub(super) fn poll_settle(
        &mut self,
        file: &FileRef,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx));
        self.forget_success();
        if self.stream {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_land_read(cx));
        Poll::Ready(self.give_back(file))
    }

    /// Somebody has waited for the write that was left behind, or is about to change what it has
    /// written: a write of the same bytes is another one from here on.
    pub(super) fn forget_success(&mut self) {
        if self.landed.as_ref().is_some_and(|landed| landed.result.is_ok()) {
            self.landed = None;
        }
    }

    /// Whether there is nothing to be settled.
    pub(super) fn is_settled(&self) -> bool {
        self.reading.is_none() && self.writing.is_none() && self.had == self.unread.len()
    }

    /// Makes a call at the position in this poll, if it can be made here: on a thread of ours in
    /// the plain form, elsewhere in the ask form. `None`: it has to move.
    fn poll_here<B>(
        &mut self,
        site: &'static Site,
        cx: &mut Context<'_>,
        file: &OpenFile,
        bufs: B,
        plain: impl FnOnce(&OpenFile, B, Option<u64>) -> io::Result<usize>,
        ask: impl FnOnce(&OpenFile, B, Option<u64>) -> Answer<usize>,
    ) -> Poll<Option<io::Result<usize>>> {
        if context::is_ours() {
            let pass = ready!(self.gate.poll(site, cx));
            return Poll::Ready(pass.map(|pass| run_at(site, pass, || plain(file, bufs, None))));
        }
        ready!(self.poll_turn(cx));
        let result = answered(site, ask(file, bufs, None));
        if let Some(Ok(n)) = result {
            self.copied += n;
        }
        Poll::Ready(result)
    }

    /// Lets a stranger's executor have its turn now and then: whoever reads a long file from memory
    /// would never be pending. (On a thread of ours that is the gate's business.)
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.copied < INLINE_MAX {
            return Poll::Ready(());
        }
        self.copied = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take_unread(&mut self, bufs: &mut [IoSliceMut<'_>]) -> usize {
        let had = self.had;
        for buf in bufs {
            let left = &self.unread[self.had..];
            let n = left.len().min(buf.len());
            buf[..n].copy_from_slice(&left[..n]);
            self.had += n;
        }
        let taken = self.had - had;
        if self.had == self.unread.len() {
            self.discard_unread();
        }
        taken
    }

    fn discard_unread(&mut self) {
        (self.unread, self.had, self.failed_read) = (Vec::new(), 0, None);
    }

    /// Puts the kernel's position where the user's is. What was read from a pipe cannot go back: it
    /// stays for the next read.
    fn give_back(&mut self, file: &OpenFile) -> io::Result<()> {
        let unread = (self.unread.len() - self.had) as i64;
        if unread > 0 {
            match file.get().seek(SeekFrom::Current(-unread)) {
                Ok(_) => self.discard_unread(),
                Err(error) if error.raw_os_error() == Some(libc::ESPIPE) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The position has changed: a write from here on is not the one that was left behind. (On a
    /// stream reading changes nothing for a write.)
    fn moved_on(&mut self) {
        if !self.stream && self.landed.as_ref().is_some_and(|landed| landed.result.is_ok()) {
            self.landed = None;
        }
    }
}

/// Whether what is in the buffers, one after the other, begins with `data`.
fn starts_with(bufs: &[IoSlice<'_>], mut data: &[u8]) -> bool {
    for buf in bufs {
        let n = buf.len().min(data.len());
        if buf[..n] != data[..n] {
            return false;
        }
        data = &data[n..];
    }
    data.is_empty()
}

/// What is in the buffers, as far as it is copied for one call.
fn copied(bufs: &[IoSlice<'_>]) -> Vec<u8> {
    let mut data = Vec::new();
    for buf in bufs {
        data.extend_from_slice(&buf[..buf.len().min(COPY_MAX - data.len())]);
    }
    data
}

/// Reads at most `length` bytes, in one call.
pub(super) fn read_into_new(
    file: &OpenFile,
    length: usize,
    at: Option<u64>,
) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    let n = file.read(&mut data, at)?;
    data.truncate(n);
    Ok(data)
}
