//! The I/O traits of tokio 1, for whoever has `tokio::io::AsyncReadExt` in scope: the feature
//! `tokio1`.
//!
//! Each is the futures-io trait of the same name, asked in tokio's words; the types and what they
//! promise are the same. tokio's runtime is not needed for it, nor used.

use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use bytes::buf::UninitSlice;
use futures::io as futures_io;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use crate::Unblock;
use crate::fs::File;
use crate::io::{Stderr, Stdin, Stdout};
use crate::net::unix::{self, pipe};
use crate::net::{TcpStream, UnixStream, tcp};
use crate::process::{ChildStderr, ChildStdin, ChildStdout};

macro_rules! read {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let n = ready!(futures_io::AsyncRead::poll_read(self, cx, buf.initialize_unfilled()))?;
                buf.advance(n);
                Poll::Ready(Ok(()))
            }
        }
    };
}

/// tokio's room to read into, in the words of the crate `bytes`.
struct Room<'a, 'b>(&'a mut ReadBuf<'b>);

// SAFETY: the chunk is the whole of the room that is left, and `advance_mut` moves the begin of it,
// or panics.
#[allow(unsafe_code, reason = "the promise of `BufMut`, kept by tokio's buffer")]
unsafe impl BufMut for Room<'_, '_> {
    fn remaining_mut(&self) -> usize {
        self.0.remaining()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller has written so many bytes.
        unsafe { self.0.assume_init(count) };
        self.0.advance(count);
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        // SAFETY: nothing is written to it here, and `UninitSlice` takes nothing but written bytes.
        UninitSlice::uninit(unsafe { self.0.unfilled_mut() })
    }
}

/// For sockets and pipes, which read into room that nothing was written to yet.
macro_rules! read_bytes {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.poll_read_buf(cx, &mut Room(buf)).map_ok(drop)
            }
        }
    };
}

macro_rules! write {
    ([$($generics:tt)*] $type:ty, vectored: $vectored:literal) => {
        impl<$($generics)*> AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                $vectored
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_close(self, cx)
            }
        }
    };
}

read!([] File);
write!([] File, vectored: true);
read_bytes!([] TcpStream);
write!([] TcpStream, vectored: true);
read_bytes!(['a] tcp::ReadHalf<'a>);
write!(['a] tcp::WriteHalf<'a>, vectored: true);
read_bytes!([] tcp::OwnedReadHalf);
write!([] tcp::OwnedWriteHalf, vectored: true);
read_bytes!([] UnixStream);
write!([] UnixStream, vectored: true);
read_bytes!(['a] unix::ReadHalf<'a>);
write!(['a] unix::WriteHalf<'a>, vectored: true);
read_bytes!([] unix::OwnedReadHalf);
write!([] unix::OwnedWriteHalf, vectored: true);
read_bytes!([] pipe::Receiver);
write!([] pipe::Sender, vectored: true);
write!([] ChildStdin, vectored: true);
read!([] ChildStdout);
read!([] ChildStderr);
read!([] Stdin);
write!([] Stdout, vectored: false);
write!([] Stderr, vectored: false);
read!([T: io::Read + Send + 'static] Unblock<T>);
write!([T: io::Write + Send + 'static] Unblock<T>, vectored: false);

#[cfg(feature = "test-util")]
mod in_memory {
    use super::*;
    use crate::io::DuplexStream;
    use crate::net::sim;

    read!([] DuplexStream);
    write!([] DuplexStream, vectored: false);
    read!([] sim::TcpStream);
    write!([] sim::TcpStream, vectored: false);
    read!([] sim::OwnedReadHalf);
    write!([] sim::OwnedWriteHalf, vectored: false);
}

impl AsyncSeek for File {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        self.seeks_to = Some(to);
        Ok(())
    }

    /// With no seek begun it tells the position.
    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let to = self.seeks_to.unwrap_or(SeekFrom::Current(0));
        let position = ready!(futures_io::AsyncSeek::poll_seek(self.as_mut(), cx, to));
        self.seeks_to = None;
        Poll::Ready(position)
    }
}
