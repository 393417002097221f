//! What a queue is told to do.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::syslet::{Answer, INLINE_MAX, OpenFile, ask_all};

/// An open file, to be named in operations. A clone is the same file; the last one closes it, when
/// no operation on it is left.
///
/// It remembers whether the kernel can be asked for its data, so make one for a file and not one
/// for each operation.
///
/// # Examples
///
/// ```
/// let hosts = threadlet::aio::File::from(std::fs::File::open("/etc/hosts")?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct File(Arc<OpenFile>);

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        File(Arc::new(OpenFile::new(file)))
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        std::fs::File::from(fd).into()
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get().as_fd()
    }
}

/// One operation, with the buffer it owns until it has ended.
///
/// A buffer is anything that lends its bytes: a `Vec<u8>`, a `Box<[u8]>`, an array, a type of your
/// own (aligned, for `O_DIRECT`). What is read fills it from its beginning, up to its *length*; a
/// `Vec` does not grow.
///
/// A read or a write of a regular file is short only at the end of the file, on a full device, or
/// before an error, as with `pread(2)` and `pwrite(2)`. Signals do not interrupt it.
///
/// # Examples
///
/// ```
/// use threadlet::aio::{File, Op, Queue};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let file = File::from(std::fs::File::open("/etc/hosts")?);
///     let queue = Queue::new(8);
///     let read = queue.submit(Op::read_at(&file, vec![0; 16], 0)).await;
///     let call = queue.submit(Op::call(|| Ok(std::fs::read("/etc/hosts")?.len()))).await;
///     let (result, buffer) = read.await;
///     println!("{:?}", &buffer[..result?]);
///     assert!(call.await.0? > 0);
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "an operation does nothing unless it is submitted"]
pub struct Op<B> {
    kind: Kind<B>,
    buf: B,
    /// How much of it was done when it was asked.
    done: usize,
}

enum Kind<B> {
    Read { file: File, offset: u64, bytes: fn(&mut B) -> &mut [u8] },
    Write { file: File, offset: u64, bytes: fn(&B) -> &[u8] },
    Sync { file: File, metadata: bool },
    Call(Box<dyn FnOnce() -> io::Result<usize> + Send>),
    Nop,
}

impl<B: AsMut<[u8]>> Op<B> {
    /// Reads at an offset. The file's own position is left alone.
    pub fn read_at(file: &File, buf: B, offset: u64) -> Op<B> {
        Op::new(Kind::Read { file: file.clone(), offset, bytes: B::as_mut }, buf)
    }
}

impl<B: AsRef<[u8]>> Op<B> {
    /// Writes at an offset. The file's own position is left alone; a file opened to append is
    /// appended to, in whatever order the operations are started.
    pub fn write_at(file: &File, buf: B, offset: u64) -> Op<B> {
        Op::new(Kind::Write { file: file.clone(), offset, bytes: B::as_ref }, buf)
    }
}

impl Op<()> {
    /// Has the device take the file's data and metadata, as `fsync(2)`: of writes that have
    /// *ended*. A [`fence`](super::Queue::fence) before it makes that those submitted before it.
    pub fn fsync(file: &File) -> Op<()> {
        Op::new(Kind::Sync { file: file.clone(), metadata: true }, ())
    }

    /// As [`fsync`](Self::fsync), of the data and as much metadata as it takes to read them:
    /// `fdatasync(2)`.
    pub fn fdatasync(file: &File) -> Op<()> {
        Op::new(Kind::Sync { file: file.clone(), metadata: false }, ())
    }

    /// Makes any other call that may block. For a fence it counts as a write.
    ///
    /// A panic in it becomes an error.
    pub fn call(call: impl FnOnce() -> io::Result<usize> + Send + 'static) -> Op<()> {
        Op::new(Kind::Call(Box::new(call)), ())
    }

    /// Does nothing, in its turn.
    pub fn nop() -> Op<()> {
        Op::new(Kind::Nop, ())
    }

    /// Gives an operation that has no buffer something to carry, which comes back with its result.
    /// So it can stand in one list with those that have one.
    pub fn with<B>(self, carried: B) -> Op<B> {
        let kind = match self.kind {
            Kind::Sync { file, metadata } => Kind::Sync { file, metadata },
            Kind::Call(call) => Kind::Call(call),
            // There are no bytes in `()` to be read or written.
            Kind::Nop | Kind::Read { .. } | Kind::Write { .. } => Kind::Nop,
        };
        Op::new(kind, carried)
    }
}

impl<B> Op<B> {
    fn new(kind: Kind<B>, buf: B) -> Op<B> {
        Op { kind, buf, done: 0 }
    }

    /// The buffer; the operation is given up.
    pub fn into_buffer(self) -> B {
        self.buf
    }

    /// As if asking had done that much.
    #[cfg(test)]
    pub(super) fn after(self, done: usize) -> Op<B> {
        Op { done, ..self }
    }

    /// Whether a fence waits for it: anything but a read.
    pub(super) fn is_write(&self) -> bool {
        !matches!(self.kind, Kind::Read { .. } | Kind::Nop)
    }

    /// Whether it has changed the file already.
    pub(super) fn is_partly_written(&self) -> bool {
        self.is_write() && self.done > 0
    }

    /// Does what needs no waiting. `None`: the rest is for [`run`](Self::run), on a thread that may
    /// block.
    pub(super) fn ask(&mut self) -> Option<io::Result<usize>> {
        caught(|| match &self.kind {
            Kind::Nop => Some(Ok(0)),
            Kind::Sync { .. } | Kind::Call(_) => None,
            // What could not be written at once would not stand behind what was.
            Kind::Write { file, .. } if file.0.appends() => None,
            Kind::Read { file, offset, bytes } => {
                let buf = bytes(&mut self.buf);
                transfer(buf.len(), &mut self.done, |done| {
                    file.0.ask_read(&mut buf[done..], at(*offset, done))
                })
            }
            Kind::Write { file, offset, bytes } => {
                let buf = bytes(&self.buf);
                transfer(buf.len(), &mut self.done, |done| {
                    file.0.ask_write(&buf[done..], at(*offset, done))
                })
            }
        })
        .unwrap_or_else(|error| Some(Err(error)))
    }

    /// Does what is left, and waits where it must. The file is let go before this returns.
    pub(super) fn run(self) -> (io::Result<usize>, B) {
        let Op { kind, mut buf, done } = self;
        let result = caught(|| match kind {
            Kind::Nop => Ok(0),
            Kind::Call(call) => call(),
            Kind::Sync { file, metadata: true } => file.0.get().sync_all().map(|()| 0),
            Kind::Sync { file, metadata: false } => file.0.get().sync_data().map(|()| 0),
            Kind::Read { file, offset, bytes } => {
                rest(done, file.0.read(&mut bytes(&mut buf)[done..], at(offset, done)))
            }
            Kind::Write { file, offset, bytes } => {
                rest(done, file.0.write(&bytes(&buf)[done..], at(offset, done)))
            }
        });
        (result.and_then(|result| result), buf)
    }
}

fn at(offset: u64, done: usize) -> Option<u64> {
    Some(offset.saturating_add(done as u64))
}

/// Asks for `length` bytes, if they are no more than may be copied within `submit`. `None`: what is
/// not `done` has to move.
fn transfer(
    length: usize,
    done: &mut usize,
    ask: impl FnMut(usize) -> Answer<usize>,
) -> Option<io::Result<usize>> {
    if length > INLINE_MAX {
        return None;
    }
    let result = ask_all(length, done, ask).done()?;
    Some(rest(*done, result.map(|()| 0)))
}

/// An error after some bytes is for the next call to report, as in the kernel.
fn rest(done: usize, result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(more) => Ok(done + more),
        Err(_) if done > 0 => Ok(done),
        Err(error) => Err(error),
    }
}

/// A buffer's methods and a call are foreign code.
fn caught<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        crate::primitive::quietly(|| drop(payload));
        io::Error::other(format!("the operation panicked: {}", text.as_deref().unwrap_or("?")))
    })
}

impl<B> fmt::Debug for Op<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, offset) = match &self.kind {
            Kind::Read { offset, .. } => ("read_at", Some(offset)),
            Kind::Write { offset, .. } => ("write_at", Some(offset)),
            Kind::Sync { metadata: true, .. } => ("fsync", None),
            Kind::Sync { metadata: false, .. } => ("fdatasync", None),
            Kind::Call(_) => ("call", None),
            Kind::Nop => ("nop", None),
        };
        f.debug_struct("Op").field("kind", &name).field("offset", &offset).finish_non_exhaustive()
    }
}
