//! Directories.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::stream::Stream;

use super::call::{KeptGate, Moved, here, moved, on_path, site};
use super::path::symlink_metadata;
use crate::call::in_place::in_place;
use crate::call::region::run_at;
use crate::context;
use crate::coop;

/// How many entries one call on another thread brings.
const BATCH: usize = 64;

/// Makes a directory.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::create_dir`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::create_dir("notes").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn create_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::create_dir");
    async move { on_path(site, path.as_ref(), |path| std::fs::create_dir(path)).await }
}

/// Makes a directory, and those above it that are missing.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::create_dir_all`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::create_dir_all("notes/2007/february").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn create_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::create_dir_all");
    async move { on_path(site, path.as_ref(), |path| std::fs::create_dir_all(path)).await }
}

/// How a directory is to be made: [`std::fs::DirBuilder`], with a `create` that can be awaited.
///
/// # Examples
///
/// ```no_run
/// use threadlet::fs::DirBuilder;
///
/// # async fn example() -> std::io::Result<()> {
/// DirBuilder::new().recursive(true).mode(0o700).create("private/notes").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct DirBuilder {
    recursive: bool,
    mode: Option<u32>,
}

impl DirBuilder {
    /// One directory, whose parent exists, with the permissions that the umask leaves.
    pub fn new() -> Self {
        DirBuilder::default()
    }

    /// Makes those above it too, and is content if it exists.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// The permissions, before the umask (0o777 if not set).
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = Some(mode);
        self
    }

    /// Makes it.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes the call has moved to another thread and runs on.
    ///
    /// # Errors
    ///
    /// As [`std::fs::DirBuilder::create`].
    #[track_caller]
    pub fn create(&self, path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
        let site = here("fs::DirBuilder::create");
        async move {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(self.recursive);
            if let Some(mode) = self.mode {
                builder.mode(mode);
            }
            on_path(site, path.as_ref(), move |path| builder.create(path)).await
        }
    }
}

/// Opens a directory to list it.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::read_dir`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let mut entries = threadlet::fs::read_dir("/").await?;
///     let mut directories = 0;
///     while let Some(entry) = entries.next_entry().await? {
///         directories += usize::from(entry.file_type().await?.is_dir());
///     }
///     assert!(directories > 0);
///     Ok(())
/// })
/// # }
/// ```
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<ReadDir>> {
    let site = here("fs::read_dir");
    async move {
        let entries = on_path(site, path.as_ref(), |path| std::fs::read_dir(path)).await?;
        let (ready, gate) = (VecDeque::new(), KeptGate::default());
        Ok(ReadDir { entries: Some(entries), ready, flight: None, gate })
    }
}

/// The entries of a directory, but for `.` and `..`: a [`Stream`].
///
/// # Cancel safety
///
/// No entry is lost when [`next_entry`](Self::next_entry), or a `next` of the stream, is dropped.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct ReadDir {
    /// `None` while a call on another thread has it, and at the end.
    entries: Option<std::fs::ReadDir>,
    /// What such a call has brought.
    ready: VecDeque<io::Result<DirEntry>>,
    flight: Option<Moved<Batch>>,
    gate: KeptGate,
}

/// Some entries, and the rest, unless this was all.
type Batch = (VecDeque<io::Result<DirEntry>>, Option<std::fs::ReadDir>);

impl ReadDir {
    /// The next entry; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the entry is there for the next call.
    ///
    /// # Errors
    ///
    /// As the iterator [`std::fs::ReadDir`]. It can go on after an error, but for one that says
    /// that no runtime is to be had: the end comes behind that.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    /// The form of [`next_entry`](Self::next_entry) for hand-written futures.
    ///
    /// # Errors
    ///
    /// As [`next_entry`](Self::next_entry).
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        coop::counted(cx, |cx| self.poll_entry(cx))
    }

    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        let site = site!("fs::ReadDir::next_entry");
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Poll::Ready(entry.map(Some));
            }
            if let Some(flight) = &mut self.flight {
                let landed = ready!(Pin::new(flight).poll(cx));
                self.flight = None;
                (self.ready, self.entries) = landed?;
                continue;
            }
            let Some(entries) = &mut self.entries else { return Poll::Ready(Ok(None)) };
            if context::is_ours() {
                if let Some(pass) = ready!(self.gate.poll(site, cx)) {
                    let next = run_at(site, pass, || entries.next());
                    return Poll::Ready(next.transpose().map(|it| it.map(DirEntry::at_hand)));
                }
            }
            let entries = self.entries.take();
            self.flight = Some(moved(site, move || Ok(read_batch(entries))));
        }
    }
}

fn read_batch(mut entries: Option<std::fs::ReadDir>) -> Batch {
    let mut batch = VecDeque::new();
    while batch.len() < BATCH {
        match entries.as_mut().and_then(Iterator::next) {
            Some(entry) => batch.push_back(entry.map(DirEntry::complete)),
            None => return (batch, None),
        }
    }
    (batch, entries)
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_entry(cx).map(Result::transpose)
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub struct DirEntry {
    entry: std::fs::DirEntry,
    /// Found out on the thread that read the entry, where that may block.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn at_hand(entry: std::fs::DirEntry) -> Self {
        DirEntry { entry, file_type: None }
    }

    fn complete(entry: std::fs::DirEntry) -> Self {
        let file_type = entry.file_type().ok();
        DirEntry { entry, file_type }
    }

    /// The path: that of the directory as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The name.
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// The inode number, as the directory says.
    pub fn ino(&self) -> u64 {
        self.entry.ino()
    }

    /// The metadata; a symbolic link is not followed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    ///
    /// # Errors
    ///
    /// As [`std::fs::DirEntry::metadata`].
    pub async fn metadata(&self) -> io::Result<Metadata> {
        if context::is_ours() {
            return in_place(site!("fs::DirEntry::metadata"), || self.entry.metadata()).await;
        }
        symlink_metadata(self.path()).await
    }

    /// Whether it is a file, a directory, a symbolic link... Most file systems say so in the
    /// directory itself, and the answer is at hand.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    ///
    /// # Errors
    ///
    /// As [`std::fs::DirEntry::file_type`].
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None if context::is_ours() => {
                in_place(site!("fs::DirEntry::file_type"), || self.entry.file_type()).await
            }
            None => symlink_metadata(self.path()).await.map(|metadata| metadata.file_type()),
        }
    }
}
