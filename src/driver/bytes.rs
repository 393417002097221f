//! Reading and writing of all that is a stream of bytes (TCP, Unix, pipes), and what a *short* read
//! or write tells: one that moved less than it was asked for.
//!
//! The kernel moves what there is. So a short read has emptied the source, and a short write has
//! filled it; to ask once more, only to hear `WouldBlock`, would be a system call for each message.
//! What comes after the short operation raises an edge of its own, and `scheduled_io` tells why that
//! one is not lost. But there are reads that are short for other reasons:
//!
//! | a read is short | because | so |
//! |---|---|---|
//! | before the end of the stream, or an error | the end may have been there all the time, and raises no edge any more | with an end or an error recorded, a short read tells nothing |
//! | in front of an urgent byte (TCP) | the kernel ends a read there | TCP streams are told of urgent data (`EPOLLPRI`), and from then on a short read tells nothing until a read finds nothing |
//! | behind a descriptor or credentials that were sent along (Unix) | they belong to these bytes | a short read of a Unix socket tells nothing |
//! | at the end of a packet (a pipe with `O_DIRECT`) | a read brings one packet | a short read of a pipe tells nothing |
//! | more buffers, or more bytes, than the kernel takes at once | it takes [`IOV_MAX`] and [`RW_MAX`] | that many count as asked for |
//!
//! A peek moves nothing, and tells nothing. Nor does a `try_` function: its caller waits for the
//! readiness by name, and is promised that it is there until a `WouldBlock` says otherwise.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::task::{Context, Poll};

#[cfg(feature = "bytes")]
use bytes::BufMut;
use mio::event::Source;

use super::evented::Evented;
use super::ready::Interest;
use super::scheduled_io::Direction;
#[cfg(feature = "bytes")]
use crate::sys::buffer;
use crate::sys::socket;

/// How many buffers one call takes.
const IOV_MAX: usize = 1024;

/// How many bytes one call moves.
const RW_MAX: usize = 0x7fff_f000;

/// What a TCP stream is registered for. It is to be told of urgent data.
pub(crate) const TCP: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// A stream of bytes.
pub(crate) trait ByteStream: Source {
    /// Whether a short read has emptied it, unless it is at its end.
    const SHORT_READ_EMPTIES: bool;

    /// Reads what is there.
    fn read_some(&self, buf: &mut [u8]) -> io::Result<usize>
    where
        for<'a> &'a Self: Read,
    {
        (&mut &*self).read(buf)
    }

    /// Writes what there is room for.
    fn write_some(&self, buf: &[u8]) -> io::Result<usize>
    where
        for<'a> &'a Self: Write,
    {
        (&mut &*self).write(buf)
    }

    /// Reads into room that nothing was written to yet.
    #[cfg(feature = "bytes")]
    fn read_into(&self, buf: &mut impl BufMut) -> io::Result<usize>
    where
        Self: AsFd,
    {
        buffer::read(self.as_fd(), buf)
    }
}

/// Of sockets, each with what a short read tells.
macro_rules! socket {
    ($type:ty, $short_read_empties:literal) => {
        impl ByteStream for $type {
            const SHORT_READ_EMPTIES: bool = $short_read_empties;

            fn read_some(&self, buf: &mut [u8]) -> io::Result<usize> {
                socket::receive(self.as_fd(), buf, 0)
            }

            fn write_some(&self, buf: &[u8]) -> io::Result<usize> {
                socket::send(self.as_fd(), buf, 0)
            }

            #[cfg(feature = "bytes")]
            fn read_into(&self, buf: &mut impl BufMut) -> io::Result<usize> {
                buffer::receive(self.as_fd(), buf)
            }
        }
    };
}

socket!(mio::net::TcpStream, true);
socket!(mio::net::UnixStream, false);

impl ByteStream for mio::unix::pipe::Receiver {
    const SHORT_READ_EMPTIES: bool = false;
}

impl ByteStream for mio::unix::pipe::Sender {
    const SHORT_READ_EMPTIES: bool = false;
}

/// How many bytes one call is asked for.
fn asked(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.take(IOV_MAX).fold(0, usize::saturating_add).min(RW_MAX)
}

/// Reading bytes. An empty buffer is read into at once.
impl<S: ByteStream> Evented<S>
where
    for<'a> &'a S: Read,
{
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let ends = emptied::<S>(buf.len().min(RW_MAX));
        self.poll_op(Direction::Read, cx, |source| source.read_some(buf), ends)
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let asked = asked(bufs.iter().map(|buf| buf.len()));
        if asked == 0 {
            return Poll::Ready(Ok(0));
        }
        let read = |mut source: &S| source.read_vectored(bufs);
        self.poll_op(Direction::Read, cx, read, emptied::<S>(asked))
    }

    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.try_io(Direction::Read, |source| source.read_some(buf))
    }

    pub(crate) fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        self.try_io(Direction::Read, |mut source| source.read_vectored(bufs))
    }
}

/// Reading into room that nothing was written to yet.
#[cfg(feature = "bytes")]
impl<S: ByteStream + AsFd> Evented<S> {
    pub(crate) fn poll_read_buf(
        &self,
        cx: &mut Context<'_>,
        buf: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        let room = buf.chunk_mut().len();
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll_op(
            Direction::Read,
            cx,
            |source| source.read_into(buf),
            emptied::<S>(room.min(RW_MAX)),
        )
    }

    pub(crate) fn try_read_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        if buf.chunk_mut().len() == 0 {
            return Ok(0);
        }
        self.try_io(Direction::Read, |source| source.read_into(buf))
    }
}

/// Whether a read of so many bytes has emptied the source. (None is the end, which stays.)
fn emptied<S: ByteStream>(asked: usize) -> impl Fn(&usize) -> bool {
    move |&count| S::SHORT_READ_EMPTIES && 0 < count && count < asked
}

/// Whether a write of so many bytes has filled the source.
fn filled(asked: usize) -> impl Fn(&usize) -> bool {
    move |&count| 0 < count && count < asked
}

/// Writing bytes.
impl<S: ByteStream> Evented<S>
where
    for<'a> &'a S: Write,
{
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let ends = filled(buf.len().min(RW_MAX));
        self.poll_op(Direction::Write, cx, |source| source.write_some(buf), ends)
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let ends = filled(asked(bufs.iter().map(|buf| buf.len())));
        self.poll_op(Direction::Write, cx, |mut source| source.write_vectored(bufs), ends)
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_io(Direction::Write, |source| source.write_some(buf))
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_io(Direction::Write, |mut source| source.write_vectored(bufs))
    }
}

#[cfg(test)]
mod tests;
