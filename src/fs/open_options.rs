//! `OpenOptions`.

use std::io;
use std::path::Path;

use super::File;
use super::call::{moved, site};
use crate::call::in_place::in_place;
use crate::context;
use crate::syslet::{Answer, OpenHow};

/// How a file is to be opened: [`std::fs::OpenOptions`], with an `open` that can be awaited.
///
/// # Examples
///
/// ```
/// use threadlet::fs::OpenOptions;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let file = OpenOptions::new().read(true).open("/etc/hosts").await?;
///     assert!(file.metadata().await?.is_file());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    how: OpenHow,
}

impl OpenOptions {
    /// All options off.
    pub fn new() -> Self {
        OpenOptions { how: OpenHow::new() }
    }

    /// To read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.how.read(read);
        self
    }

    /// To write.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.how.write(write);
        self
    }

    /// To write at the end, wherever that is at the moment of each write.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.how.append(append);
        self
    }

    /// Makes it empty.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.how.truncate(truncate);
        self
    }

    /// Creates it if it does not exist.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.how.create(create);
        self
    }

    /// Creates it, and fails if it exists.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.how.create_new(create_new);
        self
    }

    /// The permissions of a file that is created, before the umask (0o666 if not set).
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.how.mode(mode);
        self
    }

    /// More flags for `open(2)`, but for its access mode.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.how.custom_flags(flags);
        self
    }

    /// Opens the file.
    ///
    /// # Cancel safety
    ///
    /// Outside our runtimes an opening that has moved to another thread runs on when this future is
    /// dropped: a file may still be created or truncated; it is closed then.
    ///
    /// # Errors
    ///
    /// As [`std::fs::OpenOptions::open`].
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (site, path) = (site!("fs::OpenOptions::open"), path.as_ref());
        let file = if context::is_ours() {
            in_place(site, || self.how.run(path)).await?
        } else {
            match self.how.ask(path) {
                Answer::Done(result) => {
                    site.note_asked();
                    result?
                }
                Answer::WouldBlock | Answer::Unsupported => {
                    let (how, path) = (self.how.clone(), path.to_owned());
                    moved(site, move || how.run(&path)).await?
                }
            }
        };
        Ok(File::new(file))
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    /// What they say cannot be read from them: outside our runtimes such an opening always moves to
    /// another thread.
    fn from(options: std::fs::OpenOptions) -> Self {
        OpenOptions { how: options.into() }
    }
}
