//! One entry: what it is worth in the digest, or what is wrong with it.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use threadlet::threadlet;

use crate::walk::{Entry, Kind, Root};

/// A SHA-256.
pub(crate) type Sum = [u8; 32];

/// What is read and hashed in one call: long enough that calls do not count, short enough that
/// hashing it is no hog.
const CHUNK: usize = 128 * 1024;

/// What has become of an entry.
#[derive(Debug)]
pub(crate) enum Examined {
    File {
        sum: Sum,
        bytes: u64,
    },
    Link {
        sum: Sum,
        broken: Option<Fault>,
    },
    Directory,
    /// It stood for a fault only.
    Nothing,
    Fault(Fault),
}

/// What is wrong with an entry, in words.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        // The directory had named it.
        if error.kind() == io::ErrorKind::NotFound {
            return Fault("vanished".to_owned());
        }
        Fault(crate::plain(&error))
    }
}

impl Fault {
    fn skipped(what: &str) -> Examined {
        Examined::Fault(Fault(format!("skipped: a {what}")))
    }
}

/// Examines one entry, in the task it is called in.
pub(crate) async fn examine(
    root: Arc<Path>,
    kind: Root,
    entry: Entry,
    progress: Arc<AtomicU64>,
) -> (Entry, Examined) {
    if entry.failed.is_some() {
        return (entry, Examined::Nothing);
    }
    let path = entry.display(&root);
    let examined = match entry.kind {
        // Only PATH itself may be a link to a file.
        Kind::File => match sum(&path, kind == Root::File, &progress).await {
            Ok((sum, bytes)) => Examined::File { sum, bytes },
            Err(fault) => Examined::Fault(fault),
        },
        Kind::Link => match threadlet!(fs::read_link(&path)) {
            Ok(target) => {
                let sum = Sha256::digest(OsString::from(target).into_vec()).into();
                let broken = threadlet!(fs::metadata(&path)).err();
                let broken = broken.map(|error| {
                    Fault(format!("a link that leads nowhere: {}", crate::plain(&error)))
                });
                Examined::Link { sum, broken }
            }
            Err(error) => Examined::Fault(error.into()),
        },
        Kind::Directory => Examined::Directory,
        Kind::Pipe => Fault::skipped("pipe"),
        Kind::Socket => Fault::skipped("socket"),
        Kind::Device => Fault::skipped("device"),
    };
    (entry, examined)
}

/// The SHA-256 of a regular file, and its length.
async fn sum(path: &Path, follow: bool, progress: &AtomicU64) -> Result<(Sum, u64), Fault> {
    let mut file = threadlet!(open(path, follow))?;
    let before = threadlet!(file.metadata())?;
    if !before.is_file() {
        return Err(Fault("changed: no regular file any more".to_owned()));
    }
    // One byte more than there is to read shows the end without another buffer's worth.
    let room = usize::try_from(before.len()).unwrap_or(CHUNK).clamp(4095, CHUNK - 1) + 1;
    let mut buffer = vec![0; room];
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        let n = match threadlet!(file.read(&mut buffer)) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        threadlet!(hash.update(&buffer[..n]));
        bytes += n as u64;
        progress.fetch_add(n as u64, Ordering::Relaxed);
    }
    let after = threadlet!(file.metadata())?;
    match change(&before, &after, bytes) {
        Some(fault) => Err(fault),
        None => Ok((hash.finalize().into(), bytes)),
    }
}

/// Opens a file that its directory said is a regular one. What has taken its place meanwhile can
/// neither hold up the call (a pipe) nor lead elsewhere (a link).
fn open(path: &Path, follow: bool) -> io::Result<File> {
    let nofollow = if follow { 0 } else { libc::O_NOFOLLOW };
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | nofollow;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// What happened to the file while it was read, if anything did.
fn change(before: &Metadata, after: &Metadata, bytes: u64) -> Option<Fault> {
    let len = before.len();
    let fault = if before.nlink() > 0 && after.nlink() == 0 {
        "vanished while it was read".to_owned()
    } else if bytes < len {
        format!("shrank while it was read: {bytes} bytes of {len}")
    // The kernel's own files say that they are empty, and have contents.
    } else if len > 0 && bytes > len {
        format!("grew while it was read: {bytes} bytes, {len} before")
    } else if stamp(before) != stamp(after) {
        "changed while it was read".to_owned()
    } else {
        return None;
    };
    Some(Fault(fault))
}

/// What changes with the contents of a file.
fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}
