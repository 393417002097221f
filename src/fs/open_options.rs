//! Opening a file, whoever polls.

use std::io;
use std::path::Path;

use super::File;
use super::call::{answered, moved, site};
use crate::call::in_place::in_place;
use crate::context;
use crate::syslet::{OpenOptions, ask_open, open};

impl OpenOptions {
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
        if context::is_ours() {
            return in_place(site, || open(path, self)).await.map(File::new);
        }
        if let Some(result) = answered(site, ask_open(path, self)) {
            return result.map(File::new);
        }
        let (path, options) = (path.to_owned(), self.clone());
        moved(site, move || open(&path, &options)).await.map(File::new)
    }
}
