//! A list of operations, run in order until one would block.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::answer::{Answer, INLINE_MAX, ask_all};
use super::ask::is_regular;
use super::file::OpenFile;
use super::open::{OpenOptions, ask_open, open};
use crate::sys::file::stat_known;

/// One operation of a [`Chain`]. All but the first work on the file that the chain has opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Syslet {
    /// Opens a file; the one that was open before is closed.
    Open(PathBuf, OpenOptions),
    /// Finds out the size.
    Size,
    /// Reads from the position to the end, and appends it to the output.
    ReadToEnd,
    /// Writes all of it at the position.
    #[cfg_attr(
        not(any(test, feature = "raw")),
        expect(dead_code, reason = "nobody inside writes by a chain")
    )]
    Write(Vec<u8>),
    /// Waits until the device has the data, and the metadata too if told so.
    #[cfg_attr(
        not(any(test, feature = "raw")),
        expect(dead_code, reason = "nobody inside syncs by a chain")
    )]
    Sync {
        /// `fsync` instead of `fdatasync`.
        metadata: bool,
    },
    /// Closes the file.
    Close,
}

/// What a chain has come to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Output {
    /// The file, if the chain did not close it.
    pub file: Option<File>,
    /// The size, if it was asked for and the file is a regular one.
    pub size: Option<u64>,
    /// What was read.
    pub data: Vec<u8>,
}

/// How far a chain got without waiting.
#[derive(Debug)]
#[must_use = "the rest of the chain is still to be run"]
pub enum Progress {
    /// To its end, or to its first error. What it had opened is closed then.
    Ended(io::Result<Output>),
    /// To an operation that would block. The chain goes on from there, on any thread.
    Moves(Chain),
}

/// Operations to be run in order, the first that fails ending it. Dropped, it closes what it
/// opened.
///
/// What is left of it can be sent to another thread at any point.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "raw")]
/// # fn main() -> std::io::Result<()> {
/// use threadlet::raw::{Chain, OpenOptions, Progress, Syslet};
///
/// let mut options = OpenOptions::new();
/// options.read(true);
/// let open = Syslet::Open("/etc/hosts".into(), options);
/// let output = match Chain::new([open, Syslet::Size, Syslet::ReadToEnd, Syslet::Close]).ask() {
///     Progress::Ended(result) => result?,
///     // Any thread that may block goes on where it stopped.
///     Progress::Moves(rest) => std::thread::spawn(|| rest.run()).join().unwrap()?,
/// };
/// assert!(!output.data.is_empty());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "raw"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct Chain {
    /// The next one is the last.
    syslets: Vec<Syslet>,
    file: Option<OpenFile>,
    output: Output,
    /// How much of a [`Syslet::Write`] has been written.
    written: usize,
    /// Whether anything has been written to the file that is open.
    wrote: bool,
}

impl Chain {
    /// A chain of these operations.
    pub fn new(syslets: impl IntoIterator<Item = Syslet>) -> Self {
        let mut syslets: Vec<Syslet> = syslets.into_iter().collect();
        syslets.reverse();
        Chain { syslets, file: None, output: Output::default(), written: 0, wrote: false }
    }

    /// Runs what can be run without waiting.
    pub fn ask(mut self) -> Progress {
        while let Some(syslet) = self.syslets.pop() {
            match self.ask_one(&syslet) {
                Answer::Done(Ok(())) => {}
                Answer::Done(Err(error)) => return Progress::Ended(Err(error)),
                Answer::WouldBlock | Answer::Unsupported => {
                    self.syslets.push(syslet);
                    return Progress::Moves(self);
                }
            }
        }
        Progress::Ended(Ok(self.end()))
    }

    /// Runs the rest, and waits where it must.
    ///
    /// # Errors
    ///
    /// That of the first operation that fails. A chain that works on a file without having opened
    /// one fails with `InvalidInput`.
    pub fn run(mut self) -> io::Result<Output> {
        while let Some(syslet) = self.syslets.pop() {
            self.run_one(syslet)?;
        }
        Ok(self.end())
    }

    fn end(mut self) -> Output {
        self.output.file = self.file.map(OpenFile::into_inner);
        self.output
    }

    fn ask_one(&mut self, syslet: &Syslet) -> Answer<()> {
        match syslet {
            Syslet::Open(path, options) => ask_open(path, options).map(|file| self.opened(file)),
            Syslet::Size => {
                let Ok(file) = self.file() else { return Answer::Unsupported };
                let Ok(stat) = stat_known(file.get().as_fd()) else { return Answer::Unsupported };
                self.output.size = is_regular(stat).then_some(stat.size);
                Answer::Done(Ok(()))
            }
            Syslet::ReadToEnd => self.ask_read(),
            Syslet::Write(data) => self.ask_write(data),
            Syslet::Sync { .. } => Answer::Unsupported,
            // What was written may have to be flushed.
            Syslet::Close if self.wrote => Answer::WouldBlock,
            Syslet::Close => {
                self.file = None;
                Answer::Done(Ok(()))
            }
        }
    }

    /// Reads a file whose size is known; the size is what tells the end from bytes that are not in
    /// memory.
    fn ask_read(&mut self) -> Answer<()> {
        let Some(size) = self.output.size.filter(|size| (1..INLINE_MAX as u64).contains(size))
        else {
            return Answer::WouldBlock;
        };
        let Some(file) = &self.file else { return Answer::Unsupported };
        let data = &mut self.output.data;
        let before = data.len();
        // One more: room for a byte that should not be there.
        data.resize(before + size as usize + 1, 0);
        let answer = file.ask_read(&mut data[before..], None);
        let n = if let Answer::Done(Ok(n)) = answer { n } else { 0 };
        data.truncate(before + n);
        match answer {
            Answer::Done(Ok(n)) if n as u64 == size => Answer::Done(Ok(())),
            // A part of it: the rest is not in memory, or the file has just changed.
            Answer::Done(Ok(_)) | Answer::WouldBlock => Answer::WouldBlock,
            Answer::Done(Err(error)) => Answer::Done(Err(error)),
            Answer::Unsupported => Answer::Unsupported,
        }
    }

    fn ask_write(&mut self, data: &[u8]) -> Answer<()> {
        if data.is_empty() {
            return Answer::Done(Ok(()));
        }
        let Some(file) = &self.file else { return Answer::Unsupported };
        let ask = |from: usize| file.ask_write(&data[from..], None);
        let answer = ask_all(data.len(), &mut self.written, ask);
        self.wrote |= self.written > 0;
        if let Answer::Done(Ok(())) = answer {
            self.written = 0;
        }
        answer
    }

    fn run_one(&mut self, syslet: Syslet) -> io::Result<()> {
        match syslet {
            Syslet::Open(path, options) => {
                let file = open(&path, &options)?;
                self.opened(file);
            }
            Syslet::Size => {
                let metadata = self.file()?.get().metadata()?;
                self.output.size = metadata.is_file().then_some(metadata.len());
            }
            Syslet::ReadToEnd => {
                let Chain { file, output, .. } = self;
                let mut file = file.as_ref().ok_or_else(no_file)?.get();
                file.read_to_end(&mut output.data)?;
            }
            Syslet::Write(data) => {
                while self.written < data.len() {
                    match self.file()?.write(&data[self.written..], None)? {
                        0 => return Err(io::ErrorKind::WriteZero.into()),
                        n => self.written += n,
                    }
                }
                self.written = 0;
            }
            Syslet::Sync { metadata: true } => self.file()?.get().sync_all()?,
            Syslet::Sync { metadata: false } => self.file()?.get().sync_data()?,
            Syslet::Close => self.file = None,
        }
        Ok(())
    }

    fn opened(&mut self, file: OpenFile) {
        self.file = Some(file);
        self.wrote = false;
    }

    fn file(&self) -> io::Result<&OpenFile> {
        self.file.as_ref().ok_or_else(no_file)
    }
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the chain has no file open at this point")
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::*;
    use crate::detect::probe::no_seccomp_filter;
    use crate::syslet::tests::{Scratch, evict};

    fn reading(path: &Path) -> Chain {
        let open = Syslet::Open(path.to_owned(), OpenOptions::to_read());
        Chain::new([open, Syslet::Size, Syslet::ReadToEnd, Syslet::Close])
    }

    /// Runs it by asking as far as that goes; tells whether it went to the end.
    fn run(chain: Chain) -> (io::Result<Output>, bool) {
        match chain.ask() {
            Progress::Ended(result) => (result, true),
            Progress::Moves(rest) => (std::thread::spawn(|| rest.run()).join().unwrap(), false),
        }
    }

    #[test]
    fn goes_on_where_it_would_have_blocked() {
        let scratch = Scratch::new();
        let data: Vec<u8> = (0..500_000_u32).map(|n| (n / 7) as u8).collect();
        let path = scratch.file(&data);
        for _ in 0..2 {
            let (result, _) = run(reading(&path));
            let output = result.unwrap();
            assert!(output.data == data && output.file.is_none());
            assert_eq!(output.size, Some(500_000));
            evict(&path);
        }
        // Only the first page is in memory: the first part is read here, the rest elsewhere.
        evict(&path);
        let first = OpenFile::new(File::open(&path).unwrap());
        first.read(&mut [0; 1], Some(0)).unwrap();
        assert!(run(reading(&path)).0.unwrap().data == data);
    }

    #[test]
    fn stops_at_the_first_error() {
        let scratch = Scratch::new();
        let path = scratch.file(b"x");
        let missing = Syslet::Open(scratch.0.join("missing"), OpenOptions::to_read());
        let open = Syslet::Open(path.clone(), OpenOptions::to_read());
        let mut create = OpenOptions::new();
        create.write(true).create_new(true);
        let never = Syslet::Open(scratch.0.join("never"), create);
        let (result, _) = run(Chain::new([open, Syslet::ReadToEnd, missing, never]));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!scratch.0.join("never").exists());
        for syslet in [
            Syslet::Size,
            Syslet::ReadToEnd,
            Syslet::Write(vec![1]),
            Syslet::Sync { metadata: true },
        ] {
            let (result, _) = run(Chain::new([syslet]));
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn writes_syncs_and_leaves_the_file_open() {
        let scratch = Scratch::new();
        let path = scratch.0.join("new");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let chain = Chain::new([
            Syslet::Open(path.clone(), options),
            Syslet::Write(b"hello ".to_vec()),
            Syslet::Write(b"world".to_vec()),
            Syslet::Sync { metadata: false },
            Syslet::Size,
        ]);
        let (result, at_once) = run(chain);
        let output = result.unwrap();
        assert!(!at_once, "what creates is not asked");
        assert_eq!(output.size, Some(11));
        assert!(output.file.is_some());
        assert_eq!(std::fs::read(path).unwrap(), b"hello world");
    }

    /// What waits for the device moves, and what comes behind it, with the file as it is.
    #[test]
    fn a_sync_moves_with_the_rest() {
        let scratch = Scratch::new();
        let path = scratch.file(b"hello");
        for metadata in [true, false] {
            let mut options = OpenOptions::to_read();
            options.write(true);
            let open = Syslet::Open(path.clone(), options);
            let syslets = [
                open,
                Syslet::Size,
                Syslet::Sync { metadata },
                Syslet::Write(b"HE".to_vec()),
                Syslet::Size,
            ];
            let Progress::Moves(rest) = Chain::new(syslets).ask() else {
                panic!("a sync may block")
            };
            assert!(matches!(
                rest.syslets[..],
                [Syslet::Size, Syslet::Write(_), Syslet::Sync { .. }, ..]
            ));
            if no_seccomp_filter() {
                assert_eq!(
                    (rest.syslets.len(), rest.output.size),
                    (3, Some(5)),
                    "nothing but those"
                );
            }
            let output = std::thread::spawn(|| rest.run()).join().unwrap().unwrap();
            assert!(output.file.is_some());
            assert_eq!(std::fs::read(&path).unwrap(), b"HEllo");
        }
    }

    /// Opening a FIFO means something to the other side: the ask leaves it alone.
    #[test]
    fn a_fifo_is_not_opened_by_the_ask() {
        let scratch = Scratch::new();
        let path = scratch.0.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let options = OpenOptions::to_read();
        assert!(ask_open(&path, &options).done().is_none());
        assert!(ask_open(Path::new("/dev/null"), &options).done().is_none());
        if no_seccomp_filter() {
            let known = scratch.file(b"x");
            let opened = ask_open(&known, &options).done().expect("it is in memory").unwrap();
            let flags = crate::sys::file::status_flags(opened.get().as_fd()).unwrap();
            assert_eq!(flags & libc::O_NONBLOCK, 0, "as if it had been opened the plain way");
            assert!(ask_open(&scratch.0, &options).done().expect("a directory").is_ok());
        }
    }
}
