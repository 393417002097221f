//! How a file is opened, and its opening.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::answer::{Answer, retry};
use super::ask;
use super::file::OpenFile;

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
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// For the plain form.
    std: std::fs::OpenOptions,
    /// The same for the ask form, because what is in `std` cannot be read. `None` if that came as
    /// it is.
    settings: Option<Settings>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    custom: i32,
}

impl OpenOptions {
    /// All options off; at least one of `read`, `write` and `append` has to be set.
    pub fn new() -> Self {
        OpenOptions { std: std::fs::OpenOptions::new(), settings: Some(Settings::default()) }
    }

    /// To read, and nothing else.
    pub(crate) fn to_read() -> Self {
        let mut options = OpenOptions::new();
        options.read(true);
        options
    }

    /// Opens it to be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.std.read(read);
        self.set(|settings| settings.read = read)
    }

    /// Opens it to be written.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.std.write(write);
        self.set(|settings| settings.write = write)
    }

    /// Opens it to be written at its end, wherever that is at the moment of each write.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.std.append(append);
        self.set(|settings| settings.append = append)
    }

    /// Makes it empty.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.std.truncate(truncate);
        self.set(|settings| settings.truncate = truncate)
    }

    /// Creates it if it does not exist.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.std.create(create);
        self.set(|settings| settings.create = create)
    }

    /// Creates it, and fails if it exists.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.std.create_new(create_new);
        self.set(|settings| settings.create_new = create_new)
    }

    /// The permissions of a file that is created, before the umask (0o666 if not set).
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.std.mode(mode);
        self
    }

    /// More flags for `open(2)`, but for its access mode.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.std.custom_flags(flags);
        self.set(|settings| settings.custom = flags)
    }

    fn set(&mut self, change: impl FnOnce(&mut Settings)) -> &mut Self {
        if let Some(settings) = &mut self.settings {
            change(settings);
        }
        self
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions::new()
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    /// What they say cannot be read from them: outside our runtimes such an opening always moves to
    /// another thread.
    fn from(options: std::fs::OpenOptions) -> Self {
        OpenOptions { std: options, settings: None }
    }
}

/// Opens a file without waiting; see [`open`].
///
/// # Errors
///
/// Those of `open(2)` that a path in memory can prove; `InvalidInput` for a path with a zero in it.
pub fn ask_open(path: &Path, options: &OpenOptions) -> Answer<OpenFile> {
    match options.settings.and_then(Settings::flags) {
        Some(flags) => ask::open(path, flags).map(|file| OpenFile::opened(file, flags)),
        None => Answer::Unsupported,
    }
}

/// Opens a file, and waits if it must.
///
/// # Errors
///
/// As [`std::fs::OpenOptions::open`].
pub fn open(path: &Path, options: &OpenOptions) -> io::Result<OpenFile> {
    retry(|| options.std.open(path)).map(OpenFile::new)
}

impl Settings {
    /// The flags of `open(2)`; `None` if it creates or changes anything, or makes no sense.
    fn flags(self) -> Option<libc::c_int> {
        let changes = libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY;
        if self.truncate || self.create || self.create_new || self.custom & changes != 0 {
            return None;
        }
        let access = match (self.read, self.write || self.append) {
            (true, false) => libc::O_RDONLY,
            (false, true) => libc::O_WRONLY,
            (true, true) => libc::O_RDWR,
            (false, false) => return None,
        };
        let append = if self.append { libc::O_APPEND } else { 0 };
        Some(access | append | self.custom & !libc::O_ACCMODE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_anything_is_not_asked() {
        let read = Settings { read: true, ..Settings::default() };
        assert_eq!(read.flags(), Some(libc::O_RDONLY));
        let append = Settings { append: true, ..Settings::default() };
        assert_eq!(append.flags(), Some(libc::O_WRONLY | libc::O_APPEND));
        assert_eq!(Settings { write: true, ..read }.flags(), Some(libc::O_RDWR));
        assert_eq!(Settings::default().flags(), None);
        for changes in [
            Settings { write: true, create: true, ..read },
            Settings { write: true, truncate: true, ..read },
            Settings { write: true, create_new: true, ..read },
            Settings { custom: libc::O_CREAT, ..read },
            Settings { custom: libc::O_TMPFILE, ..read },
        ] {
            assert_eq!(changes.flags(), None, "{changes:?}");
        }
        let custom = Settings { custom: libc::O_NOFOLLOW | libc::O_RDWR, ..read };
        assert_eq!(custom.flags(), Some(libc::O_NOFOLLOW), "the access is not theirs to say");
    }
}
