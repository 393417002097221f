//! Pipes: anonymous ones, and those that have a name (FIFOs).

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::task::{Context, Poll, ready};

use crate::context;
use crate::driver::{Direction, Evented, Interest, Ready};
use crate::net::methods::{
    async_read, async_write, descriptor_traits, poll_ready_method, readable_method, ready_method,
    try_read_methods, try_write_methods, writable_method,
};
use crate::sys;

/// A new pipe, that has no name.
///
/// # Errors
///
/// The system's: out of descriptors, for instance.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use futures::io::{AsyncReadExt, AsyncWriteExt};
/// use threadlet::net::unix::pipe;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let (mut sender, mut receiver) = pipe::pipe()?;
///     sender.write_all(b"hello").await?;
///     drop(sender);
///     let mut text = String::new();
///     receiver.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     Ok(())
/// })
/// # }
/// ```
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (sender, receiver) = mio::unix::pipe::new()?;
    Ok((Sender::adopt(sender.into())?, Receiver::adopt(receiver.into())?))
}

/// How a pipe that has a name is opened.
///
/// # Examples
///
/// ```no_run
/// use threadlet::net::unix::pipe;
///
/// # fn open() -> std::io::Result<()> {
/// let receiver = pipe::OpenOptions::new().open_receiver("commands")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read_write: bool,
    unchecked: bool,
}

impl OpenOptions {
    /// The defaults: for one direction, and only if it is a pipe.
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Opens it for both directions, whichever is used. So a sender can be opened before there is a
    /// receiver, and a receiver does not see an end when the last sender goes.
    pub fn read_write(&mut self, value: bool) -> &mut Self {
        self.read_write = value;
        self
    }

    /// Does not look whether it is a pipe.
    pub fn unchecked(&mut self, value: bool) -> &mut Self {
        self.unchecked = value;
        self
    }

    /// Opens it for reading. Until somebody has opened it for writing, a read waits.
    ///
    /// # Errors
    ///
    /// Those of `open`; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is no pipe.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        Receiver::from_file_unchecked(self.open(path.as_ref(), Direction::Read)?)
    }

    /// Opens it for writing.
    ///
    /// # Errors
    ///
    /// Those of `open`: `ENXIO` if nobody has it open for reading.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is no pipe.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        Sender::from_file_unchecked(self.open(path.as_ref(), Direction::Write)?)
    }

    fn open(&self, path: &Path, direction: Direction) -> io::Result<File> {
        let mut options = File::options();
        options.read(self.read_write || direction == Direction::Read);
        options.write(self.read_write || direction == Direction::Write);
        let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
        if !self.unchecked {
            demand_pipe(&file)?;
        }
        Ok(file)
    }
}

/// The end of a pipe that is written to.
///
/// With nobody left to read, a write fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe). `close`
/// does nothing: the end is told by dropping this. Only the last task to wait in `poll_write` is
/// woken; any number may wait in [`writable`](Self::writable).
///
/// # Cancel safety
///
/// A write moves bytes only in the poll that says so.
pub struct Sender {
    io: Evented<mio::unix::pipe::Sender>,
}

/// The end of a pipe that is read from.
///
/// Only the last task to wait in `poll_read` is woken; any number may wait in
/// [`readable`](Self::readable).
///
/// # Cancel safety
///
/// A read moves bytes only in the poll that says so.
pub struct Receiver {
    io: Patient,
}

/// A pipe that is read only once the reactor has told of something: one that nobody has opened for
/// writing yet says that it is at its end.
struct Patient(Evented<mio::unix::pipe::Receiver>);

impl Patient {
    fn get(&self) -> &mio::unix::pipe::Receiver {
        self.0.get()
    }

    async fn ready(&self, direction: Direction) -> io::Result<()> {
        self.0.ready(direction).await
    }

    async fn ready_states(&self, interest: Interest) -> io::Result<Ready> {
        self.0.ready_states(interest).await
    }

    fn poll_ready(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(direction, cx)
    }

    /// As `poll_ready`, but what is known already is not counted: the read is.
    fn poll_told(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.demand_ready(Direction::Read) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.0.poll_ready(Direction::Read, cx)
            }
            told => Poll::Ready(told),
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_told(cx))?;
        self.0.poll_read(cx, buf)
    }

    fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_told(cx))?;
        self.0.poll_read_vectored(cx, bufs)
    }

    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.demand_ready(Direction::Read)?;
        self.0.try_read(buf)
    }

    fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.demand_ready(Direction::Read)?;
        self.0.try_read_vectored(bufs)
    }

    #[cfg(feature = "bytes")]
    fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        self.0.demand_ready(Direction::Read)?;
        self.0.try_read_buf(buf)
    }

    #[cfg(feature = "bytes")]
    fn poll_read_buf<B: bytes::BufMut>(
        &self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        ready!(self.0.poll_ready(Direction::Read, cx))?;
        self.0.poll_read_buf(cx, buf)
    }
}

impl std::fmt::Debug for Patient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Sender {
    ready_method!(io);
    writable_method!(io);
    poll_ready_method!(poll_write_ready, Write, "there is room to write", io);
    try_write_methods!(io);

    #[track_caller]
    fn adopt(fd: OwnedFd) -> io::Result<Sender> {
        let handle = context::current_driver("a pipe");
        let pipe = mio::unix::pipe::Sender::from(fd);
        Ok(Sender { io: Evented::with_handle(pipe, Interest::WRITABLE, handle)? })
    }

    /// Calls `f` if there is known to be room; `WouldBlock`, of `f` too, clears that.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, and those of `f`.
    pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.io.try_user_io(Interest::WRITABLE, f)
    }
}

impl Receiver {
    ready_method!(io);
    readable_method!(io);
    poll_ready_method!(poll_read_ready, Read, "there is something to read", io);
    try_read_methods!(io);

    #[track_caller]
    fn adopt(fd: OwnedFd) -> io::Result<Receiver> {
        let handle = context::current_driver("a pipe");
        let pipe = mio::unix::pipe::Receiver::from(fd);
        Ok(Receiver { io: Patient(Evented::with_handle(pipe, Interest::READABLE, handle)?) })
    }

    /// Calls `f` if there is known to be something to read; `WouldBlock`, of `f` too, clears that.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing, and those of `f`.
    pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.io.0.try_user_io(Interest::READABLE, f)
    }
}

/// What each end is made from, and becomes.
macro_rules! conversions {
    ($end:ident, $direction:expr, |$this:ident| $evented:expr) => {
        impl $end {
            /// Adopts a file, and makes it non-blocking.
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is no pipe, or not open for this
            /// direction.
            ///
            /// # Panics
            ///
            /// Outside a runtime.
            #[track_caller]
            pub fn from_file(file: File) -> io::Result<Self> {
                Self::from_owned_fd(file.into())
            }

            /// Adopts a descriptor, and makes it non-blocking. Errors and panics are those of
            /// [`from_file`](Self::from_file).
            #[track_caller]
            pub fn from_owned_fd(fd: OwnedFd) -> io::Result<Self> {
                let file = File::from(fd);
                demand_pipe(&file)?;
                let flags = sys::file::status_flags(file.as_fd())?;
                demand_direction(flags, $direction)?;
                sys::file::set_status_flags(file.as_fd(), flags | libc::O_NONBLOCK)?;
                Self::adopt(file.into())
            }

            /// Adopts a file that is a pipe, open for this direction and non-blocking: nobody
            /// looks.
            ///
            /// # Panics
            ///
            /// Outside a runtime.
            #[track_caller]
            pub fn from_file_unchecked(file: File) -> io::Result<Self> {
                Self::adopt(file.into())
            }

            /// Adopts a descriptor, as [`from_file_unchecked`](Self::from_file_unchecked) adopts a
            /// file.
            #[track_caller]
            pub fn from_owned_fd_unchecked(fd: OwnedFd) -> io::Result<Self> {
                Self::adopt(fd)
            }

            /// Turns this into a descriptor that blocks.
            pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
                let fd = self.into_nonblocking_fd()?;
                let flags = sys::file::status_flags(fd.as_fd())?;
                sys::file::set_status_flags(fd.as_fd(), flags & !libc::O_NONBLOCK)?;
                Ok(fd)
            }

            /// Turns this into a descriptor that does not block.
            pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
                let $this = self;
                $evented.into_inner().map(Into::into)
            }
        }
    };
}

conversions!(Sender, Direction::Write, |this| this.io);
conversions!(Receiver, Direction::Read, |this| this.io.0);

descriptor_traits!(Sender, io);
descriptor_traits!(Receiver, io);
async_read!([] Receiver, io);
async_write!([] Sender, io, |_| Ok(()));

fn demand_pipe(file: &File) -> io::Result<()> {
    if file.metadata()?.file_type().is_fifo() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a pipe"))
}

fn demand_direction(flags: libc::c_int, direction: Direction) -> io::Result<()> {
    let (needed, refusal) = match direction {
        Direction::Read => (libc::O_RDONLY, "this pipe is not open for reading"),
        Direction::Write => (libc::O_WRONLY, "this pipe is not open for writing"),
    };
    let mode = flags & libc::O_ACCMODE;
    if mode == needed || mode == libc::O_RDWR {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, refusal))
}
