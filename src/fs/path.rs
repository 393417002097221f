//! What is done to a path.

use std::fs::{Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use super::call::{answered, here, on_path, on_paths};
use crate::call::in_place::in_place;
use crate::context;
use crate::observe::site::Site;
use crate::syslet::look_up;

/// What is at the end of a path; a symbolic link is followed.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::metadata`].
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let hosts = threadlet::fs::metadata("/etc/hosts").await.unwrap();
///     assert!(hosts.is_file() && hosts.len() > 0);
/// });
/// ```
#[track_caller]
pub fn metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> {
    let site = here("fs::metadata");
    async move {
        let path = path.as_ref();
        look(site, path, true, |path| std::fs::metadata(path)).await
    }
}

/// What is at the end of a path; a symbolic link is not followed.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::symlink_metadata`].
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let link = threadlet::fs::symlink_metadata("/proc/self/exe").await.unwrap();
///     assert!(link.is_symlink());
/// });
/// ```
#[track_caller]
pub fn symlink_metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> {
    let site = here("fs::symlink_metadata");
    async move {
        let path = path.as_ref();
        look(site, path, false, |path| std::fs::symlink_metadata(path)).await
    }
}

/// Whether there is anything at the end of a path. `Ok(false)` if there is not, for sure.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::exists`]: whatever keeps the answer from being known.
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     assert!(threadlet::fs::try_exists("/etc/hosts").await.unwrap());
///     assert!(!threadlet::fs::try_exists("/no/such/file").await.unwrap());
/// });
/// ```
#[track_caller]
pub fn try_exists(path: impl AsRef<Path>) -> impl Future<Output = io::Result<bool>> {
    let site = here("fs::try_exists");
    async move {
        let path = path.as_ref();
        match look(site, path, true, |path| std::fs::metadata(path)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Asks for the metadata of a path, and moves what cannot be known at once.
async fn look(
    site: &'static Site,
    path: &Path,
    follow: bool,
    call: fn(&Path) -> io::Result<Metadata>,
) -> io::Result<Metadata> {
    if context::is_ours() {
        return in_place(site, || call(path)).await;
    }
    match answered(site, look_up(path, follow)) {
        // The kernel has the attributes of what it has found in memory.
        Some(found) => found?.metadata(),
        None => on_path(site, path, call).await,
    }
}

/// The path from the root, without links, `.` and `..`.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::canonicalize`].
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let path = threadlet::fs::canonicalize("/etc/../etc/hosts").await.unwrap();
///     assert!(path.is_absolute() && !path.to_str().unwrap().contains(".."));
/// });
/// ```
#[track_caller]
pub fn canonicalize(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> {
    let site = here("fs::canonicalize");
    async move { on_path(site, path.as_ref(), |path| std::fs::canonicalize(path)).await }
}

/// What a symbolic link says.
///
/// # Cancel safety
///
/// Dropped, nothing has happened.
///
/// # Errors
///
/// As [`std::fs::read_link`].
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let program = threadlet::fs::read_link("/proc/self/exe").await.unwrap();
///     assert_eq!(program, std::env::current_exe().unwrap());
/// });
/// ```
#[track_caller]
pub fn read_link(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> {
    let site = here("fs::read_link");
    async move { on_path(site, path.as_ref(), |path| std::fs::read_link(path)).await }
}

/// Removes a file.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::remove_file`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::remove_file("draft.txt").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn remove_file(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::remove_file");
    async move { on_path(site, path.as_ref(), |path| std::fs::remove_file(path)).await }
}

/// Removes an empty directory.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::remove_dir`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::remove_dir("empty").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn remove_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::remove_dir");
    async move { on_path(site, path.as_ref(), |path| std::fs::remove_dir(path)).await }
}

/// Removes a directory with all that is in it. Symbolic links are removed, not followed.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::remove_dir_all`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::remove_dir_all("cache").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn remove_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::remove_dir_all");
    async move { on_path(site, path.as_ref(), |path| std::fs::remove_dir_all(path)).await }
}

/// Gives a file or directory another name; what had that name before is replaced.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::rename`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::rename("draft.txt", "final.txt").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn rename(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::rename");
    async move {
        let (from, to) = (from.as_ref(), to.as_ref());
        on_paths(site, from, to, |from, to| std::fs::rename(from, to)).await
    }
}

/// Copies the contents and the permissions of a file; returns the number of bytes.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on. What it has copied by
/// then stays.
///
/// # Errors
///
/// As [`std::fs::copy`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let bytes = threadlet::fs::copy("final.txt", "backup.txt").await?;
/// println!("{bytes} bytes");
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> impl Future<Output = io::Result<u64>> {
    let site = here("fs::copy");
    async move {
        let (from, to) = (from.as_ref(), to.as_ref());
        on_paths(site, from, to, |from, to| std::fs::copy(from, to)).await
    }
}

/// Gives a file a second name.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::hard_link`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::hard_link("final.txt", "also.txt").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn hard_link(
    original: impl AsRef<Path>,
    link: impl AsRef<Path>,
) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::hard_link");
    async move {
        let (original, link) = (original.as_ref(), link.as_ref());
        on_paths(site, original, link, |original, link| std::fs::hard_link(original, link)).await
    }
}

/// Makes a symbolic link that says `original`.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::os::unix::fs::symlink`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// threadlet::fs::symlink("final.txt", "latest.txt").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn symlink(
    original: impl AsRef<Path>,
    link: impl AsRef<Path>,
) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::symlink");
    async move {
        let (original, link) = (original.as_ref(), link.as_ref());
        on_paths(site, original, link, |original, link| std::os::unix::fs::symlink(original, link))
            .await
    }
}

/// Changes the permissions of a file or directory.
///
/// # Cancel safety
///
/// Outside our runtimes the call has moved to another thread and runs on.
///
/// # Errors
///
/// As [`std::fs::set_permissions`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let mut permissions = threadlet::fs::metadata("final.txt").await?.permissions();
/// permissions.set_readonly(true);
/// threadlet::fs::set_permissions("final.txt", permissions).await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn set_permissions(
    path: impl AsRef<Path>,
    permissions: Permissions,
) -> impl Future<Output = io::Result<()>> {
    let site = here("fs::set_permissions");
    async move { on_path(site, path.as_ref(), |path| std::fs::set_permissions(path, permissions)).await }
}
