//! How a file is opened.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::ask::{self, Answer, retry};
use super::file::OpenFile;

/// How a file is to be opened: the options of the standard library, and what they come to for the
/// kernel.
#[derive(Clone, Debug)]
pub struct OpenHow {
    options: OpenOptions,
    /// What the ask form needs to know; `None` if nobody told us.
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    custom: i32,
}

impl OpenHow {
    /// Neither to read nor to write, which no system opens.
    pub fn new() -> Self {
        OpenHow { options: OpenOptions::new(), told: Some(Told::default()) }
    }

    /// To read.
    pub fn to_read() -> Self {
        let mut how = OpenHow::new();
        how.read(true);
        how
    }

    /// See [`OpenOptions::read`].
    pub fn read(&mut self, read: bool) {
        self.options.read(read);
        self.tell(|told| told.read = read);
    }

    /// See [`OpenOptions::write`].
    pub fn write(&mut self, write: bool) {
        self.options.write(write);
        self.tell(|told| told.write = write);
    }

    /// See [`OpenOptions::append`].
    pub fn append(&mut self, append: bool) {
        self.options.append(append);
        self.tell(|told| told.append = append);
    }

    /// See [`OpenOptions::truncate`].
    pub fn truncate(&mut self, truncate: bool) {
        self.options.truncate(truncate);
        self.tell(|told| told.truncate = truncate);
    }

    /// See [`OpenOptions::create`].
    pub fn create(&mut self, create: bool) {
        self.options.create(create);
        self.tell(|told| told.create = create);
    }

    /// See [`OpenOptions::create_new`].
    pub fn create_new(&mut self, create_new: bool) {
        self.options.create_new(create_new);
        self.tell(|told| told.create_new = create_new);
    }

    /// See [`OpenOptionsExt::mode`].
    pub fn mode(&mut self, mode: u32) {
        self.options.mode(mode);
    }

    /// See [`OpenOptionsExt::custom_flags`].
    pub fn custom_flags(&mut self, flags: i32) {
        self.options.custom_flags(flags);
        self.tell(|told| told.custom = flags);
    }

    fn tell(&mut self, change: impl FnOnce(&mut Told)) {
        if let Some(told) = &mut self.told {
            change(told);
        }
    }

    /// Opens without waiting.
    ///
    /// # Errors
    ///
    /// Those of `open(2)` that a path in memory can prove; `InvalidInput` for a path with a zero
    /// in it.
    pub fn ask(&self, path: &Path) -> Answer<OpenFile> {
        match self.told.and_then(Told::flags) {
            Some(flags) => ask::open(path, flags).map(|file| OpenFile::opened(file, flags)),
            None => Answer::Unsupported,
        }
    }

    /// Opens, and waits if it must.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`].
    pub fn run(&self, path: &Path) -> io::Result<OpenFile> {
        retry(|| self.options.open(path)).map(OpenFile::new)
    }
}

impl Default for OpenHow {
    fn default() -> Self {
        OpenHow::new()
    }
}

impl From<OpenOptions> for OpenHow {
    /// What is in them cannot be read, so such a file is never asked to open.
    fn from(options: OpenOptions) -> Self {
        OpenHow { options, told: None }
    }
}

impl Told {
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
        let read = Told { read: true, ..Told::default() };
        assert_eq!(read.flags(), Some(libc::O_RDONLY));
        let append = Told { append: true, ..Told::default() };
        assert_eq!(append.flags(), Some(libc::O_WRONLY | libc::O_APPEND));
        assert_eq!(Told { write: true, ..read }.flags(), Some(libc::O_RDWR));
        assert_eq!(Told::default().flags(), None);
        for changes in [
            Told { write: true, create: true, ..read },
            Told { write: true, truncate: true, ..read },
            Told { write: true, create_new: true, ..read },
            Told { custom: libc::O_CREAT, ..read },
            Told { custom: libc::O_TMPFILE, ..read },
        ] {
            assert_eq!(changes.flags(), None, "{changes:?}");
        }
        let custom = Told { custom: libc::O_NOFOLLOW | libc::O_RDWR, ..read };
        assert_eq!(custom.flags(), Some(libc::O_NOFOLLOW), "the access is not theirs to say");
    }
}
