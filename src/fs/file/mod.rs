//! `File`: what it is, how it is opened and handed on, and the calls on the whole of it.

mod at;
mod position;

use std::fmt;
use std::fs::{FileTimes, Metadata, Permissions};
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::task::Poll;
use std::time::SystemTime;

use futures::lock::Mutex;

use super::OpenOptions;
use super::call::{here, moved};
use super::cursor::Cursor;
use super::file_ref::FileRef;
use crate::call::in_place::in_place;
use crate::context;
use crate::observe::site::Site;
use crate::syslet::OpenFile;

/// An open file.
///
/// Reading, writing and seeking at the file's own position are [`AsyncRead`], [`AsyncWrite`] and
/// [`AsyncSeek`] of `futures-io`. [`read_at`](Self::read_at) and its siblings take an offset and
/// leave the position alone; any number of them may be under way at once.
///
/// **There is no write-behind.** A write that has returned has been taken by the kernel: whoever
/// reads the file next sees it, `flush` has nothing to do, and an error is that of the call that
/// returns it. (On the device it is after [`sync_all`](Self::sync_all), as ever.) There is no
/// buffer either: many small reads or writes are as many system calls, so put a
/// [`BufReader`](futures::io::BufReader) or a [`BufWriter`](futures::io::BufWriter) around them.
///
/// Dropping it closes the file, at once unless a call is still under way.
///
/// # Cancel safety
///
/// In a task of a threadlet runtime, and in the root future of its `block_on`, a call is made in
/// the poll that returns its result: dropped before that, it has not been made. (But for reads and
/// writes at the position when no permit is free: those move to a task of their own, as below.)
///
/// In any other executor a call that would block moves to another thread. Dropped meanwhile, it
/// runs on there, with a buffer of its own. Nothing is lost by it:
///
/// * What a cancelled read has read is there for the next read. Anything else that depends on the
///   position, or changes the file, finds it as if the read had not been.
/// * A cancelled write may have happened or not. The next call that depends on it waits for it. A
///   write right behind it that begins with just the bytes it has written counts *as* that write,
///   so trying again does not write twice; any other write comes after it, and so does one behind a
///   read, a seek, a flush, or anything else that has waited for it. If it has failed, the next
///   write, flush, close or sync says so.
/// * A cancelled [`write_at`](Self::write_at) is waited for by nobody.
///
/// # Examples
///
/// ```
/// use futures::io::AsyncReadExt;
/// use threadlet::fs::File;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let mut hosts = File::open("/etc/hosts").await?;
///     let mut text = String::new();
///     hosts.read_to_string(&mut text).await?;
///
///     let mut head = [0; 4];
///     let n = hosts.read_at(&mut head, 0).await?;
///     assert_eq!(&head[..n], &text.as_bytes()[..n]);
///     Ok(())
/// })
/// # }
/// ```
///
/// [`AsyncRead`]: futures::io::AsyncRead
/// [`AsyncWrite`]: futures::io::AsyncWrite
/// [`AsyncSeek`]: futures::io::AsyncSeek
pub struct File {
    open: FileRef,
    cursor: Mutex<Cursor>,
    /// Where a seek that has begun in tokio's words is to go.
    #[cfg_attr(not(feature = "tokio1"), allow(dead_code, reason = "only that trait begins one"))]
    pub(crate) seeks_to: Option<SeekFrom>,
}

// A panic leaves a file as it was: what is abandoned under its lock is settled by the next call.
impl UnwindSafe for File {}
impl RefUnwindSafe for File {}

impl File {
    /// Opens a file to read it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened that could be seen; a file opened meanwhile is closed.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::open`].
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::io::AsyncReadExt;
    /// use threadlet::fs::File;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// threadlet::block_on(async {
    ///     let mut text = String::new();
    ///     File::open("/etc/hosts").await?.read_to_string(&mut text).await?;
    ///     assert!(!text.is_empty());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        let site = here("fs::File::open");
        async move { OpenOptions::new().read(true).open_at(site, path.as_ref()).await }
    }

    /// Opens a file to write it; creates it, or makes it empty.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes an opening that has moved to another thread runs on: the file may be
    /// created, or emptied, after this future was dropped.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::create`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures::io::AsyncWriteExt;
    /// use threadlet::fs::File;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let mut file = File::create("notes.txt").await?;
    /// file.write_all(b"the kernel has it when this returns").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        let site = here("fs::File::create");
        async move {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open_at(site, path.as_ref())
                .await
        }
    }

    /// Creates a file to read and write it; fails if it exists.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes an opening that has moved to another thread runs on: the file may be
    /// created after this future was dropped.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::create_new`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use threadlet::fs::File;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// // A lock that only one process can make.
    /// let lock = File::create_new("app.lock").await?;
    /// # drop(lock);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        let site = here("fs::File::create_new");
        async move {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open_at(site, path.as_ref())
                .await
        }
    }

    /// All options off: [`OpenOptions::new`].
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Adopts a file of the standard library.
    pub fn from_std(file: std::fs::File) -> File {
        File::new(OpenFile::new(file))
    }

    pub(super) fn new(file: OpenFile) -> File {
        File { open: FileRef::new(file), cursor: Mutex::default(), seeks_to: None }
    }

    /// Turns this into a file of the standard library, when all calls under way have returned.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is closed.
    pub async fn into_std(mut self) -> std::fs::File {
        let (cursor, open) = (self.cursor.get_mut(), &mut self.open);
        // A position that cannot be put back is that of a pipe, or of a file in such a state that
        // its next owner will meet the error too.
        let _ = poll_fn(|cx| cursor.poll_settle(open, cx)).await;
        poll_fn(|cx| {
            self.open.wake_when_last(cx);
            self.open.try_take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Turns this into a file of the standard library, if no call is under way and nothing is left
    /// of a cancelled one.
    ///
    /// # Errors
    ///
    /// The file itself otherwise.
    #[allow(clippy::result_large_err, reason = "the error is what was given, as in the name")]
    pub fn try_into_std(mut self) -> Result<std::fs::File, File> {
        if !self.cursor.get_mut().is_settled() {
            return Err(self);
        }
        self.open.try_take().ok_or(self)
    }

    /// Waits until all that was written, and the file's metadata, are on the device.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes the call has moved to another thread and runs on.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::sync_all`]; that of a cancelled write that has failed.
    #[track_caller]
    pub fn sync_all(&self) -> impl Future<Output = io::Result<()>> {
        let site = here("fs::File::sync_all");
        async move {
            self.written().await?;
            self.call(site, std::fs::File::sync_all).await
        }
    }

    /// Waits until all that was written is on the device, and of the metadata what is needed to
    /// read it.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes the call has moved to another thread and runs on.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::sync_data`]; that of a cancelled write that has failed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures::io::AsyncWriteExt;
    /// use threadlet::fs::File;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let mut file = File::create("journal").await?;
    /// file.write_all(b"a record").await?;
    /// file.sync_data().await?; // and now the device has it
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> {
        let site = here("fs::File::sync_data");
        async move {
            self.written().await?;
            self.call(site, std::fs::File::sync_data).await
        }
    }

    /// Cuts the file off at `size`, or extends it with zeros. The position stays.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes the call has moved to another thread and runs on.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_len`].
    #[track_caller]
    pub fn set_len(&self, size: u64) -> impl Future<Output = io::Result<()>> {
        let site = here("fs::File::set_len");
        async move {
            self.settled().await?;
            self.call(site, move |file| file.set_len(size)).await
        }
    }

    /// Size, times, permissions.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::metadata`].
    #[track_caller]
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> {
        let site = here("fs::File::metadata");
        async move {
            self.quiet().await;
            if context::is_ours() {
                return self.call(site, std::fs::File::metadata).await;
            }
            // The kernel has the attributes of an open file in memory.
            self.open.get().metadata()
        }
    }

    /// Changes the permissions.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes the call has moved to another thread and runs on.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_permissions`].
    #[track_caller]
    pub fn set_permissions(
        &self,
        permissions: Permissions,
    ) -> impl Future<Output = io::Result<()>> {
        let site = here("fs::File::set_permissions");
        async move { self.call(site, move |file| file.set_permissions(permissions)).await }
    }

    /// Changes the times of the last access and the last change.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes the call has moved to another thread and runs on.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_times`]; that of a cancelled write that has failed.
    #[track_caller]
    pub fn set_times(&self, times: FileTimes) -> impl Future<Output = io::Result<()>> {
        let site = here("fs::File::set_times");
        async move {
            // A write that is still under way would change them again.
            self.written().await?;
            self.call(site, move |file| file.set_times(times)).await
        }
    }

    /// Changes the time of the last change. As [`set_times`](Self::set_times).
    ///
    /// # Cancel safety
    ///
    /// As [`set_times`](Self::set_times).
    ///
    /// # Errors
    ///
    /// As [`set_times`](Self::set_times).
    #[track_caller]
    pub fn set_modified(&self, time: SystemTime) -> impl Future<Output = io::Result<()>> {
        self.set_times(FileTimes::new().set_modified(time))
    }

    /// A second handle of the same open file. The two share one position.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::try_clone`].
    pub async fn try_clone(&self) -> io::Result<File> {
        self.settled().await?;
        self.open.get().try_clone().map(File::from_std)
    }

    /// A call that has no ask form.
    async fn call<T: Send + 'static>(
        &self,
        site: &'static Site,
        call: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if context::is_ours() {
            return in_place(site, || call(self.open.get())).await;
        }
        let file = self.open.clone();
        moved(site, move || call(file.get())).await
    }

    /// Waits for a cancelled write.
    async fn quiet(&self) {
        let mut cursor = self.cursor.lock().await;
        poll_fn(|cx| cursor.poll_written(cx)).await;
        cursor.forget_success();
    }

    /// Waits for cancelled calls at the position, and undoes what a read has done to it.
    async fn settled(&self) -> io::Result<()> {
        let mut cursor = self.cursor.lock().await;
        poll_fn(|cx| cursor.poll_settle(&self.open, cx)).await
    }

    /// Waits for a cancelled write, and reports its error.
    async fn written(&self) -> io::Result<()> {
        let mut cursor = self.cursor.lock().await;
        poll_fn(|cx| cursor.poll_written(cx)).await;
        cursor.take_failure()
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        File::from_std(file)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.get().as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.open.get().as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.open.get().fmt(f)
    }
}
