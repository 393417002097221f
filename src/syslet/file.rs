//! An open file, with what is known of it.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::ops::{Deref, Range};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};

use super::answer::{Answer, INLINE_MAX, retry};
use super::ask;
use crate::sys::file::{self as sys, status_flags};

/// Bits of [`OpenFile::memory`]: the file was looked at, and the others say what was seen.
const EXAMINED: u8 = 1;
/// It cannot be asked to read.
const NO_READ: u8 = 2;
/// It cannot be asked to write.
const NO_WRITE: u8 = 4;
/// It has no position.
const STREAM: u8 = 8;
/// Whatever is written goes to its end.
const APPENDS: u8 = 16;

/// An open file, and whether it can be asked.
///
/// Operations take an offset, or `None` for the file's own position, which then moves.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    /// A hint: it only grows, and whoever misses a bit asks once more.
    memory: AtomicU8,
}

impl OpenFile {
    /// Nothing is known of it yet.
    pub fn new(file: File) -> Self {
        OpenFile { file, memory: AtomicU8::new(0) }
    }

    /// A regular file or a directory that was opened with these flags.
    pub(super) fn opened(file: File, flags: libc::c_int) -> Self {
        OpenFile { file, memory: AtomicU8::new(EXAMINED | known(flags)) }
    }

    /// The file.
    pub fn get(&self) -> &File {
        &self.file
    }

    /// The file, without the knowledge.
    pub fn into_inner(self) -> File {
        self.file
    }

    /// Reads what is in memory, without waiting, and at most [`INLINE_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// As `preadv2(2)`.
    pub fn ask_read(&self, buf: &mut [u8], at: Option<u64>) -> Answer<usize> {
        if self.remembers(NO_READ) {
            return Answer::Unsupported;
        }
        let length = buf.len().min(INLINE_MAX);
        let bufs = &mut [IoSliceMut::new(&mut buf[..length])];
        self.note(NO_READ, ask::read(&self.file, bufs, at))
    }

    /// As [`ask_read`](Self::ask_read), into several buffers, one after the other.
    ///
    /// # Errors
    ///
    /// As `preadv2(2)`.
    pub fn ask_read_vectored(&self, bufs: &mut [IoSliceMut<'_>], at: Option<u64>) -> Answer<usize> {
        let span = span(bufs, INLINE_MAX);
        if span.len() < 2 {
            return self.ask_read(bufs.get_mut(span.start).map_or(&mut [], |buf| &mut **buf), at);
        }
        if self.remembers(NO_READ) {
            return Answer::Unsupported;
        }
        self.note(NO_READ, ask::read(&self.file, &mut bufs[span], at))
    }

    /// Writes what needs no waiting, to memory and not to the device, and at most [`INLINE_MAX`]
    /// bytes.
    ///
    /// # Errors
    ///
    /// As `pwritev2(2)`.
    pub fn ask_write(&self, buf: &[u8], at: Option<u64>) -> Answer<usize> {
        if self.remembers(NO_WRITE) {
            return Answer::Unsupported;
        }
        let length = buf.len().min(INLINE_MAX);
        self.note(NO_WRITE, ask::write(&self.file, &[IoSlice::new(&buf[..length])], at))
    }

    /// As [`ask_write`](Self::ask_write), of several buffers, one after the other.
    ///
    /// # Errors
    ///
    /// As `pwritev2(2)`.
    pub fn ask_write_vectored(&self, bufs: &[IoSlice<'_>], at: Option<u64>) -> Answer<usize> {
        let span = span(bufs, INLINE_MAX);
        if span.len() < 2 {
            return self.ask_write(bufs.get(span.start).map_or(&[], |buf| &**buf), at);
        }
        if self.remembers(NO_WRITE) {
            return Answer::Unsupported;
        }
        self.note(NO_WRITE, ask::write(&self.file, &bufs[span], at))
    }

    /// Reads, and waits if it must.
    ///
    /// # Errors
    ///
    /// As `read(2)` and `pread(2)`, but for `EINTR`: it is tried again.
    pub fn read(&self, buf: &mut [u8], at: Option<u64>) -> io::Result<usize> {
        retry(|| match at {
            Some(offset) => self.file.read_at(buf, offset),
            None => (&self.file).read(buf),
        })
    }

    /// Reads into several buffers, one after the other, and waits if it must. Of more than the
    /// kernel takes at once (1024) it reads into the first.
    ///
    /// # Errors
    ///
    /// As `readv(2)` and `preadv(2)`, but for `EINTR`: it is tried again.
    pub fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>], at: Option<u64>) -> io::Result<usize> {
        let span = span(bufs, usize::MAX);
        if span.len() < 2 {
            return self.read(bufs.get_mut(span.start).map_or(&mut [], |buf| &mut **buf), at);
        }
        let bufs = &mut bufs[span];
        retry(|| match at {
            Some(offset) => sys::read_vectored_at(self.file.as_fd(), bufs, offset),
            None => (&self.file).read_vectored(bufs),
        })
    }

    /// Writes, and waits if it must.
    ///
    /// # Errors
    ///
    /// As `write(2)` and `pwrite(2)`, but for `EINTR`: it is tried again.
    pub fn write(&self, buf: &[u8], at: Option<u64>) -> io::Result<usize> {
        retry(|| match at {
            Some(offset) => self.file.write_at(buf, offset),
            None => (&self.file).write(buf),
        })
    }

    /// Writes several buffers, one after the other, and waits if it must. Of more than the kernel
    /// takes at once (1024) it writes the first.
    ///
    /// # Errors
    ///
    /// As `writev(2)` and `pwritev(2)`, but for `EINTR`: it is tried again.
    pub fn write_vectored(&self, bufs: &[IoSlice<'_>], at: Option<u64>) -> io::Result<usize> {
        let span = span(bufs, usize::MAX);
        if span.len() < 2 {
            return self.write(bufs.get(span.start).map_or(&[], |buf| &**buf), at);
        }
        let bufs = &bufs[span];
        retry(|| match at {
            Some(offset) => sys::write_vectored_at(self.file.as_fd(), bufs, offset),
            None => (&self.file).write_vectored(bufs),
        })
    }

    /// Whether the file has no position (a pipe, a terminal): reading and writing have nothing to
    /// do with each other then.
    pub fn is_stream(&self) -> bool {
        self.remembers(STREAM)
    }

    /// Whether writes go to the end of the file, wherever that is by then.
    pub fn appends(&self) -> bool {
        self.remembers(APPENDS)
    }

    /// What is known of the file. It is looked at once; what is changed later through the
    /// descriptor goes unnoticed.
    fn remembers(&self, bit: u8) -> bool {
        // Ordering: Relaxed; a hint.
        let mut memory = self.memory.load(Ordering::Relaxed);
        if memory & EXAMINED == 0 {
            memory |= EXAMINED | examine(&self.file);
            self.memory.fetch_or(memory, Ordering::Relaxed);
        }
        memory & bit != 0
    }

    fn note(&self, bit: u8, answer: Answer<usize>) -> Answer<usize> {
        if let Answer::Unsupported = answer {
            self.memory.fetch_or(bit, Ordering::Relaxed);
        }
        answer
    }
}

/// The buffers of one call: from the first that is not empty, as many as the kernel takes and as
/// hold no more than `max` bytes. None, if there are none or the first alone holds more: the range
/// begins at it all the same. (Empty ones alone would be answered by 0, which means something
/// else.)
fn span(bufs: &[impl Deref<Target = [u8]>], max: usize) -> Range<usize> {
    let start = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(bufs.len());
    let mut room = Some(max);
    let fits = bufs[start..].iter().take(libc::UIO_MAXIOV as usize).take_while(|buf| {
        room = room.and_then(|room| room.checked_sub(buf.len()));
        room.is_some()
    });
    start..start + fits.count()
}

fn examine(mut file: &File) -> u8 {
    let stream = match file.stream_position() {
        Err(error) if error.raw_os_error() == Some(libc::ESPIPE) => STREAM,
        _ => 0,
    };
    stream | status_flags(file.as_fd()).map_or(NO_READ | NO_WRITE, known)
}

/// What the flags of an open file tell: rule 4 of the module, and whether it is appended to.
fn known(flags: libc::c_int) -> u8 {
    let appends = if flags & libc::O_APPEND == 0 { 0 } else { APPENDS };
    appends
        | match flags {
            _ if flags & libc::O_DIRECT != 0 => NO_READ | NO_WRITE,
            // `O_SYNC` contains `O_DSYNC`.
            _ if flags & libc::O_DSYNC != 0 => NO_WRITE,
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;
    use crate::syslet::tests::{Scratch, evict};

    #[test]
    fn only_a_real_end_is_an_end() {
        let scratch = Scratch::new();
        let path = scratch.file(&[7; 10_000]);
        let file = OpenFile::new(File::open(&path).unwrap());
        let mut buf = [0; 100];
        match file.ask_read(&mut buf, Some(9_950)) {
            Answer::Done(n) => assert_eq!(n.unwrap(), 50, "short, as the file is"),
            // A filter, or a file system that cannot be asked: then it is not asked again.
            answer => return assert!(file.remembers(NO_READ), "{answer:?}"),
        }
        for end in [10_000, 10_001, 5 << 32] {
            assert!(matches!(file.ask_read(&mut buf, Some(end)), Answer::Done(Ok(0))), "{end}");
        }
        // What is not in memory is not the end.
        evict(&path);
        match file.ask_read(&mut buf, Some(0)) {
            Answer::WouldBlock | Answer::Done(Ok(100)) => {}
            answer => panic!("{answer:?}"),
        }
        assert_eq!(file.read(&mut buf, Some(0)).unwrap(), 100);
        // At the position, with all of it in memory (what is read ahead is up to the kernel).
        assert_eq!(std::fs::read(&path).unwrap().len(), 10_000);
        assert!(matches!(file.ask_read(&mut [0; 8000], None), Answer::Done(Ok(8000))));
        assert!(matches!(file.ask_read(&mut [0; 8000], None), Answer::Done(Ok(2000))));
        assert!(matches!(file.ask_read(&mut [0; 8000], None), Answer::Done(Ok(0))));
        assert!(matches!(file.ask_read(&mut [], None), Answer::Done(Ok(0))));
    }

    /// The kernel's word for "at the position" is an offset, too.
    #[test]
    fn an_offset_is_never_the_position() {
        let scratch = Scratch::new();
        let path = scratch.file(&[7; 100]);
        let file = OpenFile::new(File::options().read(true).write(true).open(path).unwrap());
        for at in [u64::MAX, u64::MAX - 1, 1 << 63] {
            assert!(file.ask_read(&mut [0; 10], Some(at)).done().is_none());
            assert!(file.ask_write(&[0; 10], Some(at)).done().is_none());
            let error = file.read(&mut [0; 10], Some(at)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
        assert_eq!(file.get().stream_position().unwrap(), 0);
    }

    #[test]
    fn a_span_is_what_one_call_takes() {
        let (none, one, big) = (&b""[..], &[1_u8][..], &[2; 100][..]);
        for (bufs, max, expected) in [
            (vec![], 100, 0..0),
            (vec![none, none], 100, 2..2),
            (vec![none, one, none, big], 101, 1..4),
            (vec![none, one, none, big], 100, 1..3),
            (vec![none, big, one], 99, 1..1),
            (vec![big, one], usize::MAX, 0..2),
        ] {
            assert_eq!(span(&bufs, max), expected, "{bufs:?}, {max}");
        }
        let mut many = vec![none; 3000];
        assert_eq!(span(&many, 100), 3000..3000);
        many.extend([one; 3000]);
        assert_eq!(span(&many, usize::MAX), 3000..4024);
    }

    #[test]
    fn several_buffers_at_once() {
        let scratch = Scratch::new();
        let path = scratch.file(b"");
        let file = OpenFile::new(File::options().read(true).write(true).open(&path).unwrap());
        let bufs = [&b"he"[..], b"", b"llo"].map(IoSlice::new);
        assert_eq!(file.write_vectored(&bufs, None).unwrap(), 5);
        assert_eq!(file.write_vectored(&bufs, Some(3)).unwrap(), 5);
        assert_eq!(file.get().stream_position().unwrap(), 5);
        assert_eq!(std::fs::read(&path).unwrap(), b"helhello");
        // Where it can be asked, it does the same.
        let n = file.ask_write_vectored(&bufs, Some(8)).done().map_or(0, Result::unwrap);
        assert_eq!(std::fs::read(&path).unwrap(), b"helhellohello"[..8 + n]);
        let end = (8 + n) as u64;
        let (mut three, mut rest) = ([0; 3], [0; 100]);
        let mut bufs = [&mut [][..], &mut three, &mut rest].map(IoSliceMut::new);
        assert_eq!(file.read_vectored(&mut bufs, None).unwrap(), n + 3);
        assert_eq!(file.read_vectored(&mut bufs, Some(end)).unwrap(), 0);
        if let Some(read) = file.ask_read_vectored(&mut bufs, Some(1)).done() {
            assert_eq!(read.unwrap(), n + 7, "short, as the file is");
            assert!(matches!(file.ask_read_vectored(&mut bufs, Some(end)), Answer::Done(Ok(0))));
        }
        assert_eq!(file.read_vectored(&mut bufs, Some(0)).unwrap(), n + 8);
        assert_eq!((&three, &rest[..5]), (b"hel", &b"hello"[..]));
        assert_eq!(file.read_vectored(&mut [], Some(0)).unwrap(), 0);
        assert_eq!(file.write_vectored(&[], None).unwrap(), 0);
        for at in [u64::MAX, 1 << 63] {
            let bufs = [b"x", b"y"].map(|buf| IoSlice::new(buf));
            assert!(file.ask_write_vectored(&bufs, Some(at)).done().is_none());
            let error = file.write_vectored(&bufs, Some(at)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
    }

    /// A size of 0 proves nothing: special files have it, whatever is in them.
    #[test]
    fn an_empty_file_is_read_the_plain_way() {
        let scratch = Scratch::new();
        for path in [scratch.file(b""), "/proc/self/status".into(), "/dev/null".into()] {
            let file = OpenFile::new(File::open(path).unwrap());
            assert!(file.ask_read(&mut [0; 100], None).done().is_none());
        }
    }

    #[test]
    fn what_waits_for_the_device_is_not_asked() {
        let scratch = Scratch::new();
        let path = scratch.file(&[0; 8192]);
        let mut options = File::options();
        options.read(true).write(true).custom_flags(libc::O_DSYNC);
        let synced = OpenFile::new(options.open(&path).unwrap());
        assert!(matches!(synced.ask_write(b"x", Some(0)), Answer::Unsupported));
        assert!(!synced.remembers(NO_READ));
        // Some file systems have no `O_DIRECT`.
        if let Ok(direct) = options.custom_flags(libc::O_DIRECT).open(&path) {
            for direct in [
                OpenFile::opened(direct.try_clone().unwrap(), libc::O_DIRECT),
                OpenFile::new(direct),
            ] {
                assert!(matches!(direct.ask_read(&mut [0; 512], Some(0)), Answer::Unsupported));
            }
        }
        assert!(!synced.is_stream() && !synced.appends());
        let end = OpenFile::new(File::options().append(true).open(&path).unwrap());
        assert!(end.appends() && OpenFile::opened(end.into_inner(), libc::O_APPEND).appends());
        let (reader, _writer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(OpenFile::new(File::from(std::os::fd::OwnedFd::from(reader))).is_stream());
    }
}
