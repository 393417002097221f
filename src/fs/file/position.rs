//! Reads, writes and seeks at the file's own position: the traits of `futures-io`.

use std::io::{self, IoSlice, IoSliceMut, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::File;
use crate::coop;

impl AsyncRead for File {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_vectored(cx, &mut [IoSliceMut::new(buf)])
    }

    /// As `readv(2)` on a thread of ours; elsewhere what is not in memory is read into one buffer
    /// of at most 256 KiB and copied.
    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let File { open, cursor, .. } = &mut *self;
        cursor.get_mut().poll_read(open, cx, bufs)
    }
}

impl AsyncWrite for File {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// As `writev(2)` on a thread of ours; elsewhere what would block is written from one copy of
    /// at most 256 KiB.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let File { open, cursor, .. } = &mut *self;
        cursor.get_mut().poll_write(open, cx, bufs)
    }

    /// Waits for a cancelled write; otherwise there is nothing to do.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let cursor = self.cursor.get_mut();
        coop::counted(cx, |cx| {
            ready!(cursor.poll_written(cx));
            Poll::Ready(cursor.take_failure())
        })
    }

    /// As `poll_flush`: the file is closed when it is dropped.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncSeek for File {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        let File { open, cursor, .. } = &mut *self;
        coop::counted(cx, |cx| cursor.get_mut().poll_seek(open, cx, to))
    }
}
