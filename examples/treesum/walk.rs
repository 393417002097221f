//! The walk: every entry of a tree in the order of the bytes of its path, with little in memory.
//!
//! The order of paths is not the order of names: `a-b` comes before `a/b`, but after `a`. So a
//! directory takes part in its parent's order twice: with its name, as an entry, and with its name
//! and a slash, for all that is in it. Depth first in *that* order is the order of whole paths, and
//! only the names not yet visited in the directories on the way are kept.

use std::ffi::OsStr;
use std::fs::{self, FileType, ReadDir};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::SinkExt;
use futures::channel::mpsc;
use threadlet::threadlet;

use crate::file::{Examined, Fault};

/// Names taken from a directory in one call, so that a call stays short in a huge directory.
const BATCH: usize = 256;

/// What PATH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    File,
    Directory,
}

/// What an entry is, as its directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Pipe,
    Socket,
    Device,
}

/// One entry of the tree.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Relative to PATH; empty for PATH itself.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// What went wrong while the directory was read; it stands for no entry of its own then.
    pub(crate) failed: Option<Fault>,
}

impl Entry {
    /// Where the entry is, for the system and for people: PATH as it was given, and the rest.
    pub(crate) fn display(&self, root: &Path) -> PathBuf {
        below(root, &self.path)
    }

    /// All that is wrong with the entry.
    pub(crate) fn faults<'a>(&'a self, examined: &'a Examined) -> Vec<&'a Fault> {
        let examined = match examined {
            Examined::Fault(fault) | Examined::Link { broken: Some(fault), .. } => Some(fault),
            _ => None,
        };
        self.failed.iter().chain(examined).collect()
    }
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Link
        } else if kind.is_fifo() {
            Kind::Pipe
        } else if kind.is_socket() {
            Kind::Socket
        } else {
            Kind::Device
        }
    }
}

/// The path of what lies at `rest` below `root`.
pub(crate) fn below(root: &Path, rest: &[u8]) -> PathBuf {
    // Joining nothing would add a slash.
    if rest.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(rest)) }
}

/// What PATH is, links followed.
pub(crate) fn root(path: &Path) -> io::Result<Root> {
    let metadata = fs::metadata(path)?;
    match Kind::from(metadata.file_type()) {
        Kind::File => Ok(Root::File),
        Kind::Directory => Ok(Root::Directory),
        _ => Err(io::Error::other("neither a file nor a directory")),
    }
}

/// The names not yet visited in one directory.
struct Level {
    /// Its path with a slash at the end; empty for PATH.
    directory: Vec<u8>,
    /// In reverse order: the next one is the last.
    rest: Vec<Step>,
}

/// What the walk does next in a directory, under the bytes that give it its place.
struct Step {
    name: Vec<u8>,
    /// `None`: go into the directory whose name, with a slash, is `name`.
    kind: Option<Kind>,
}

/// Sends every entry of the tree, in order. Ends early if nobody listens any more.
pub(crate) async fn walk(root: Arc<Path>, kind: Root, mut entries: mpsc::Sender<Entry>) {
    if kind == Root::File {
        let only = Entry { path: Vec::new(), kind: Kind::File, failed: None };
        let _ = entries.send(only).await;
        return;
    }
    let mut levels =
        vec![Level { directory: Vec::new(), rest: vec![Step { name: Vec::new(), kind: None }] }];
    while let Some(level) = levels.last_mut() {
        let Some(step) = level.rest.pop() else {
            levels.pop();
            continue;
        };
        let path = [&level.directory[..], &step.name].concat();
        let entry = match step.kind {
            Some(kind) => Entry { path, kind, failed: None },
            None => {
                let (rest, failed) = read_directory(&below(&root, &path)).await;
                levels.push(Level { directory: path.clone(), rest });
                let Some(fault) = failed else { continue };
                let path = path.strip_suffix(b"/").unwrap_or(&path).to_owned();
                Entry { path, kind: Kind::Directory, failed: Some(fault) }
            }
        };
        if entries.send(entry).await.is_err() {
            return;
        }
    }
}

/// The steps of one directory, last first, and what went wrong.
async fn read_directory(path: &Path) -> (Vec<Step>, Option<Fault>) {
    let mut steps = Vec::new();
    let mut failed = None;
    match threadlet!(fs::read_dir(path)) {
        Ok(mut directory) => loop {
            match threadlet!(take_names(&mut directory, &mut steps)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failed = Some(Fault::from(error));
                    break;
                }
            }
        },
        Err(error) => failed = Some(Fault::from(error)),
    }
    threadlet!(steps.sort_unstable_by(|a, b| b.name.cmp(&a.name)));
    (steps, failed)
}

/// Takes some names; `false` at the end of the directory.
fn take_names(directory: &mut ReadDir, steps: &mut Vec<Step>) -> io::Result<bool> {
    for _ in 0..BATCH {
        let Some(entry) = directory.next() else { return Ok(false) };
        let entry = entry?;
        // The directory has the kind too, on most file systems; on others this asks for it. What
        // has vanished meanwhile is not the directory's fault: it fails again when it is opened.
        let kind = entry.file_type().map_or(Kind::File, Kind::from);
        let name = entry.file_name().into_vec();
        if kind == Kind::Directory {
            steps.push(Step { name: [&name[..], b"/"].concat(), kind: None });
        }
        steps.push(Step { name, kind: Some(kind) });
    }
    Ok(true)
}

/// The bytes of all files, for the progress bar; what cannot be read counts nothing.
pub(crate) async fn count(root: Arc<Path>) -> u64 {
    let mut directories = vec![root.to_path_buf()];
    let mut bytes = 0;
    while let Some(directory) = directories.pop() {
        let Ok(mut names) = threadlet!(fs::read_dir(directory)) else { continue };
        while threadlet!(count_some(&mut names, &mut directories, &mut bytes)) {}
    }
    bytes
}

/// Counts some entries; `false` at the end of the directory.
fn count_some(names: &mut ReadDir, directories: &mut Vec<PathBuf>, bytes: &mut u64) -> bool {
    for _ in 0..BATCH {
        let Some(Ok(entry)) = names.next() else { return false };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => directories.push(entry.path()),
            Ok(kind) if kind.is_file() => *bytes += entry.metadata().map_or(0, |m| m.len()),
            _ => {}
        }
    }
    true
}
