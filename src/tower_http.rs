//! tower-http 0.7 on this runtime: the feature `tower-http`.
//!
//! Its `ServeDir` reads files by a backend. [`Backend`] is the one that does so by [`fs`]:
//! what is in memory is read here, and tokio's runtime is not needed.
//!
//! ```
//! use threadlet::tower_http::Backend;
//! use tower_http::services::ServeDir;
//!
//! let files = ServeDir::with_backend("assets", Backend::new());
//! ```
//!
//! As with any backend but tokio's, a base that is an absolute path is taken as one, and `ServeDir`
//! follows symbolic links wherever they lead.

use std::fs::Metadata;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use ::tower_http::services::fs as theirs;

use crate::fs::{self, File};

/// Opens files for [`ServeDir::with_backend`], in any executor.
///
/// # Cancel safety
///
/// Its futures only open or ask: dropped, they leave nothing behind.
///
/// [`ServeDir::with_backend`]: ::tower_http::services::ServeDir::with_backend
#[derive(Clone, Copy, Debug, Default)]
pub struct Backend(());

impl Backend {
    /// A backend; it has no state.
    pub fn new() -> Self {
        Backend(())
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

impl theirs::Backend for Backend {
    type File = File;
    type Metadata = Metadata;
    type OpenFuture = Answer<'static, File>;
    type MetadataFuture = Answer<'static, Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        Box::pin(File::open(path))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        Box::pin(fs::metadata(path))
    }
}

impl theirs::File for File {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Answer<'a, Metadata>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(File::metadata(self))
    }
}
