//! Whole files.

use std::io;
use std::path::Path;

use super::call::{here, moved, on_path};
use crate::call::in_place::in_place;
use crate::context;
use crate::observe::site::Site;
use crate::syslet::{Chain, OpenOptions, Progress, Syslet};

/// Reads a whole file.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::read`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let hosts = threadlet::fs::read("/etc/hosts").await?;
///     assert!(!hosts.is_empty());
///     Ok(())
/// })
/// # }
/// ```
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Vec<u8>>> {
    let site = here("fs::read");
    async move {
        let path = path.as_ref();
        if context::is_ours() {
            return in_place(site, || std::fs::read(path)).await;
        }
        read_elsewhere(site, path).await
    }
}

/// Reads a whole file that is UTF-8.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::read_to_string`]: `InvalidData` if it is not UTF-8.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let hosts = threadlet::fs::read_to_string("/etc/hosts").await?;
///     assert!(hosts.lines().count() > 0);
///     Ok(())
/// })
/// # }
/// ```
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> impl Future<Output = io::Result<String>> {
    let site = here("fs::read_to_string");
    async move {
        let path = path.as_ref();
        if context::is_ours() {
            return in_place(site, || std::fs::read_to_string(path)).await;
        }
        let data = read_elsewhere(site, path).await?;
        String::from_utf8(data).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Asks for what can be had at once, and moves the rest.
async fn read_elsewhere(site: &'static Site, path: &Path) -> io::Result<Vec<u8>> {
    let open = Syslet::Open(path.to_owned(), OpenOptions::to_read());
    let output = match Chain::new([open, Syslet::Size, Syslet::ReadToEnd, Syslet::Close]).ask() {
        Progress::Ended(result) => {
            site.note_asked();
            result?
        }
        Progress::Moves(rest) => moved(site, move || rest.run()).await?,
    };
    Ok(output.data)
}

/// Writes a whole file: creates it, or replaces what is in it.
///
/// Outside our runtimes `contents` is copied first; to avoid that, send the call away yourself,
/// with what it owns, by [`spawn_blocking`](crate::task::spawn_blocking).
///
/// # Cancel safety
///
/// Outside our runtimes the call runs on: the file may be written after this future was dropped.
///
/// # Errors
///
/// As [`std::fs::write`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("threadlet-doc-write-{}", std::process::id()));
/// threadlet::block_on(async {
///     threadlet::fs::write(&path, "hello").await?;
///     assert_eq!(threadlet::fs::read(&path).await?, b"hello");
///     threadlet::fs::remove_file(&path).await
/// })
/// # }
/// ```
#[track_caller]
pub fn write(
    path: impl AsRef<Path>,
    contents: impl AsRef<[u8]>,
) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::write");
    async move {
        let path = path.as_ref();
        if context::is_ours() {
            return in_place(site, || std::fs::write(path, contents)).await;
        }
        let contents = contents.as_ref().to_vec();
        on_path(site, path, move |path| std::fs::write(path, contents)).await
    }
}
