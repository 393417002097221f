//! What may be found below the folder, and what not.
//!
//! All of this is ordinary, synchronous code: whoever calls it does so within `threadlet!`.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use percent_encoding::percent_decode_str;

/// The folder that is served. `cap_std` opens what stands below it, and nothing else: it asks the
/// kernel (`openat2` with `RESOLVE_BENEATH`), so that no link can be put in the way between a check
/// and its use.
pub struct Folder(Dir);

/// A name below the folder that may be asked for.
pub struct Name {
    path: PathBuf,
    /// Whether it was written with a slash at its end.
    pub is_folder: bool,
}

pub enum Found {
    File {
        file: File,
        size: u64,
        modified: SystemTime,
        /// Whose end tells the MIME type.
        path: PathBuf,
    },
    /// The names in a folder that has no `index.html`; those of folders end in a slash.
    Names(Vec<OsString>),
    /// A folder that was asked for without a slash: links in its page would lead elsewhere.
    NeedsSlash,
}

impl Name {
    /// Reads the path of a URL. `None`: it names nothing that is served.
    pub fn parse(path: &str) -> Option<Name> {
        let mut name = Name { path: PathBuf::new(), is_folder: path.ends_with('/') };
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let part: Vec<u8> = percent_decode_str(part).collect();
            // `..` begins with a dot, too.
            if part.starts_with(b".") || part.contains(&b'/') || part.contains(&0) {
                return None;
            }
            name.path.push(OsString::from_vec(part));
        }
        Some(name)
    }

    pub fn path(&self) -> &Path {
        if self.path.as_os_str().is_empty() { Path::new(".") } else { &self.path }
    }
}

impl Folder {
    pub fn open(path: &Path) -> io::Result<Folder> {
        Dir::open_ambient_dir(path, ambient_authority()).map(Folder)
    }

    pub fn find(&self, name: &Name) -> io::Result<Found> {
        let path = name.path();
        let file = self.open_file(path)?;
        let about = file.metadata()?;
        if about.is_file() && !name.is_folder {
            let (size, modified, path) = (about.len(), about.modified()?, path.to_owned());
            return Ok(Found::File { file, size, modified, path });
        }
        // A device or a pipe could be read for ever. And `file/` is no name of a file.
        if !about.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !name.is_folder {
            return Ok(Found::NeedsSlash);
        }
        let index = Name { path: path.join("index.html"), is_folder: false };
        match self.find(&index) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(Found::NeedsSlash) => {}
            found => return found,
        }
        names(Dir::from_std_file(file)).map(Found::Names)
    }

    fn open_file(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        // A pipe without a writer is opened at once, and then refused for what it is.
        options.read(true).custom_flags(libc::O_NONBLOCK);
        self.0.open_with(path, &options).map(cap_std::fs::File::into_std)
    }
}

fn names(folder: Dir) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in folder.entries()? {
        let entry = entry?;
        let mut name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            name.push("/");
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}
