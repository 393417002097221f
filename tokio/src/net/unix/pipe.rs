//! Pipes, as [`tokio::net::unix::pipe`](https://docs.rs/tokio/1.54/tokio/net/unix/pipe/).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use threadlet::net::unix::pipe as ours;

use crate::adapt::{around, descriptor, forward, makes, read, write};
use crate::net::methods::{poll_ready, reads, ready, writes};

/// A pipe without a name.
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    ours::pipe().map(|(sender, receiver)| (Sender(sender), Receiver(receiver)))
}

/// How a named pipe is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions(ours::OpenOptions);

impl OpenOptions {
    /// None of them.
    #[must_use]
    pub fn new() -> OpenOptions {
        OpenOptions(ours::OpenOptions::new())
    }

    /// For both directions.
    pub fn read_write(&mut self, value: bool) -> &mut Self {
        self.0.read_write(value);
        self
    }

    /// Without a look whether it is a pipe.
    pub fn unchecked(&mut self, value: bool) -> &mut Self {
        self.0.unchecked(value);
        self
    }

    /// Opens it to read.
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        self.0.open_receiver(path).map(Receiver)
    }

    /// Opens it to write.
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        self.0.open_sender(path).map(Sender)
    }
}

/// What both ends have.
macro_rules! end {
    ($page:literal, $ours:ty) => {
        ready!($page);
        makes! { $page $ours:
            fn from_file(file: File);
            fn from_owned_fd(descriptor: OwnedFd);
            fn from_file_unchecked(file: File);
            fn from_owned_fd_unchecked(descriptor: OwnedFd);
        }
        forward! { $page
            fn into_blocking_fd(self) -> io::Result<OwnedFd>;
            fn into_nonblocking_fd(self) -> io::Result<OwnedFd>;
        }

        /// Calls `f` if it is known to be ready.
        pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
            self.0.try_io(f)
        }
    };
}

around! {
    /// The end that is written.
    Sender, ours::Sender
}
descriptor!(Sender);
write!([] Sender);

impl Sender {
    end!("net/unix/pipe/struct.Sender.html", ours::Sender);
    writes!("net/unix/pipe/struct.Sender.html");
    poll_ready!("net/unix/pipe/struct.Sender.html" poll_write_ready);
}

around! {
    /// The end that is read.
    Receiver, ours::Receiver
}
descriptor!(Receiver);
read!([] Receiver);

impl Receiver {
    end!("net/unix/pipe/struct.Receiver.html", ours::Receiver);
    reads!("net/unix/pipe/struct.Receiver.html");
    poll_ready!("net/unix/pipe/struct.Receiver.html" poll_read_ready);
}
