//! An open file.

use std::fmt;
use std::fs::{FileTimes, Metadata, Permissions};
use std::io::{self, IoSlice, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use real::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use super::OpenOptions;

/// An open file.
///
/// Unlike tokio's it keeps nothing back: a write that has returned is with the kernel.
pub struct File(threadlet::fs::File, Aside);

/// What ours has no need of.
#[derive(Clone, Copy)]
struct Aside {
    /// Where a seek that has begun is to go.
    seeks_to: Option<SeekFrom>,
    /// How much is read or written at once, at most.
    max_buf_size: usize,
}

/// tokio's own, by default.
const MAX_BUF_SIZE: usize = 2 * 1024 * 1024;

impl File {
    /// As much of `len` as is read or written at once.
    fn at_most(&self, len: usize) -> usize {
        len.min(self.1.max_buf_size)
    }
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.at_most(buf.remaining());
        let room = &mut buf.initialize_unfilled()[..most];
        let n = ready!(futures_io::AsyncRead::poll_read(Pin::new(&mut self.0), cx, room))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for File {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = self.at_most(buf.len());
        futures_io::AsyncWrite::poll_write(Pin::new(&mut self.0), cx, &buf[..most])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.at_most(all) < all {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return AsyncWrite::poll_write(self, cx, first);
        }
        futures_io::AsyncWrite::poll_write_vectored(Pin::new(&mut self.0), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    /// The file stays open.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }
}

impl File {
    pub(super) fn around(file: threadlet::fs::File) -> File {
        File(file, Aside { seeks_to: None, max_buf_size: MAX_BUF_SIZE })
    }

    /// Opens a file to read it.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        threadlet::fs::File::open(path).await.map(File::around)
    }

    /// Opens a file to write it; creates it, or makes it empty.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        threadlet::fs::File::create(path).await.map(File::around)
    }

    /// Creates a file to read and write it; fails if it exists.
    pub async fn create_new<P: AsRef<Path>>(path: P) -> io::Result<File> {
        threadlet::fs::File::create_new(path).await.map(File::around)
    }

    /// All options off.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// One of std's.
    pub fn from_std(file: std::fs::File) -> File {
        File::around(threadlet::fs::File::from_std(file))
    }

    /// One of std's.
    pub async fn into_std(self) -> std::fs::File {
        self.0.into_std().await
    }

    /// One of std's, if no call is under way.
    #[allow(clippy::result_large_err, reason = "tokio's signature")]
    pub fn try_into_std(self) -> Result<std::fs::File, File> {
        self.0.try_into_std().map_err(|file| File(file, self.1))
    }

    /// Waits until all is on the device.
    pub async fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all().await
    }

    /// Waits until all that is needed to read it is on the device.
    pub async fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data().await
    }

    /// Cuts it off, or extends it with zeros.
    pub async fn set_len(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size).await
    }

    /// Size, times, permissions.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata().await
    }

    /// A second handle of the same open file, with the same position.
    pub async fn try_clone(&self) -> io::Result<File> {
        let clone = self.0.try_clone().await?;
        Ok(File(clone, Aside { seeks_to: None, ..self.1 }))
    }

    /// Changes the permissions.
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.0.set_permissions(permissions).await
    }

    /// Changes the times.
    pub async fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.0.set_times(times).await
    }

    /// Changes the time of the last change.
    pub async fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time)).await
    }

    /// How much is read or written at once, at most. There is no buffer of that size.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn set_max_buf_size(&mut self, max_buf_size: usize) {
        assert!(max_buf_size > 0, "`max_buf_size` must be greater than 0");
        self.1.max_buf_size = max_buf_size;
    }

    /// What [`set_max_buf_size`](Self::set_max_buf_size) was told.
    pub fn max_buf_size(&self) -> usize {
        self.1.max_buf_size
    }
}

impl AsyncSeek for File {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        if self.1.seeks_to.is_some() {
            return Err(io::Error::other(
                "other file operation is pending, call poll_complete before start_seek",
            ));
        }
        self.1.seeks_to = Some(to);
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        // With no seek begun it tells the position.
        let to = self.1.seeks_to.unwrap_or(SeekFrom::Current(0));
        let position = ready!(futures_io::AsyncSeek::poll_seek(Pin::new(&mut self.0), cx, to));
        self.1.seeks_to = None;
        Poll::Ready(position)
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> File {
        File::from_std(file)
    }
}

impl From<OwnedFd> for File {
    fn from(descriptor: OwnedFd) -> File {
        File::from_std(descriptor.into())
    }
}

#[allow(unsafe_code, reason = "the trait of std that says so")]
impl FromRawFd for File {
    unsafe fn from_raw_fd(descriptor: RawFd) -> File {
        // SAFETY: the caller promises that it is open, and nobody else's.
        File::from_std(unsafe { std::fs::File::from_raw_fd(descriptor) })
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("tokio::fs::File").field("std", &self.0).finish()
    }
}
