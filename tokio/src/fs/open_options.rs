//! How a file is opened.

use std::io;
use std::path::Path;

use super::File;

/// How a file is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions(threadlet::fs::OpenOptions);

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, $name: $type) -> &mut OpenOptions {
            self.0.$name($name);
            self
        }
    )+};
}

impl OpenOptions {
    /// None of them.
    #[must_use]
    pub fn new() -> OpenOptions {
        OpenOptions(threadlet::fs::OpenOptions::new())
    }

    options! {
        /// To be read.
        read: bool;
        /// To be written.
        write: bool;
        /// To be written at its end.
        append: bool;
        /// Made empty.
        truncate: bool;
        /// Made, if it is not there.
        create: bool;
        /// Made; an error, if it is there.
        create_new: bool;
        /// The rights of a file that is made.
        mode: u32;
        /// More flags of `open(2)`.
        custom_flags: i32;
    }

    /// Opens a file.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.0.open(path).await.map(File::around)
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> OpenOptions {
        OpenOptions(options.into())
    }
}
