//! Opening a file, whoever polls.

use std::io;
use std::path::Path;

use super::File;
use super::call::{answered, here, moved};
use crate::call::in_place::in_place;
use crate::context;
use crate::observe::site::Site;
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
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        let site = here("fs::OpenOptions::open");
        async move { self.open_at(site, path.as_ref()).await }
    }

    pub(super) async fn open_at(&self, site: &'static Site, path: &Path) -> io::Result<File> {
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
