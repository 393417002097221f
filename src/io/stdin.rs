//! `stdin`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::io::AsyncRead;

use crate::call::in_place::run_here;
use crate::coop;
use crate::driver::{Descriptor, Direction, Evented, Interest};
use crate::sys::poll::ppoll_in;
use crate::unblock::runtime;

/// The standard input of the process, made by [`stdin`].
///
/// It waits by the reactor, so that a read that is pending is no thread in a call: it holds up
/// neither a runtime that is shut down nor the end of the process. What `epoll` does not wait for (a
/// file) is read by a call in place.
///
/// It reads the descriptor itself, which stays blocking: the bytes that [`std::io::stdin`] has read
/// ahead it does not see, and it reads none ahead.
///
/// # Cancel safety
///
/// Cancelled, a read has taken nothing.
#[derive(Debug)]
pub struct Stdin {
    source: Source,
    /// Nothing is read through it.
    std: io::Stdin,
    place: &'static Location<'static>,
}

#[derive(Debug)]
enum Source {
    /// Nobody has read yet.
    New,
    /// A copy of the descriptor, since one is registered once.
    Waits(Evented<Descriptor<File>>),
    /// One that is always ready.
    Ready(File),
}

/// The standard input of the process.
///
/// The first read may be in a runtime or in none: there it is the global one that waits.
///
/// # Examples
///
/// ```no_run
/// use futures::io::{AsyncBufReadExt, BufReader};
/// use futures::stream::StreamExt;
///
/// #[threadlet::main]
/// async fn main() -> std::io::Result<()> {
///     let mut lines = BufReader::new(threadlet::io::stdin()).lines();
///     while let Some(line) = lines.next().await {
///         println!("{}", line?.len());
///     }
///     Ok(())
/// }
/// ```
#[track_caller]
pub fn stdin() -> Stdin {
    Stdin { source: Source::New, std: io::stdin(), place: Location::caller() }
}

impl Source {
    fn open() -> io::Result<Source> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let driver = runtime().shared.driver_handle.clone();
        let again = file.try_clone()?;
        match Evented::with_handle(Descriptor(file), Interest::READABLE, driver) {
            Ok(evented) => Ok(Source::Waits(evented)),
            // epoll's word for what is always ready.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Ok(Source::Ready(again))
            }
            Err(error) => Err(error),
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let place = self.place;
        loop {
            match &self.source {
                Source::New => self.source = Source::open()?,
                Source::Ready(file) => {
                    return coop::counted(cx, |_| Poll::Ready(read_here(file, place, buf)));
                }
                Source::Waits(evented) => {
                    let read = |file: &Descriptor<File>| read_if_ready(&file.0, place, buf);
                    match evented.poll_io(Direction::Read, cx, read) {
                        // The runtime that was to tell has been shut down; this is another.
                        Poll::Ready(Err(_)) if evented.is_gone() && !is_current(evented) => {
                            self.source = Source::New;
                        }
                        result => return result,
                    }
                }
            }
        }
    }
}

fn is_current(evented: &Evented<Descriptor<File>>) -> bool {
    evented.handle().is_same(&runtime().shared.driver_handle)
}

/// Reads what is there. It does not wait, unless somebody else who reads was quicker.
fn read_if_ready(
    file: &File,
    place: &'static Location<'static>,
    buf: &mut [u8],
) -> io::Result<usize> {
    if !ppoll_in(file.as_raw_fd(), Some(Duration::ZERO))? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    read_here(file, place, buf)
}

fn read_here(
    mut file: &File,
    place: &'static Location<'static>,
    buf: &mut [u8],
) -> io::Result<usize> {
    run_here(place, "stdin", || file.read(buf))
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        self.std.as_raw_fd()
    }
}
