//! The pipes to and from a child.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{self, Stdio};

use crate::context;
use crate::driver::{Evented, Handle, Interest};
use crate::net::methods::{async_read, async_write, descriptor_traits};

/// Makes a pipe's type: its name, what it is, the std type, mio's, its direction.
macro_rules! child_pipe {
    ($name:ident, $what:literal, $mio:ty, $interest:ident) => {
        #[doc = $what]
        ///
        /// # Cancel safety
        ///
        /// A read or write moves bytes only in the poll that says so.
        pub struct $name {
            io: Evented<$mio>,
        }

        impl $name {
            /// Adopts a pipe of the standard library, and makes it non-blocking.
            ///
            /// # Errors
            ///
            /// That of the I/O driver, if this is the runtime's first source.
            ///
            /// # Panics
            ///
            /// Outside a runtime.
            #[track_caller]
            pub fn from_std(pipe: process::$name) -> io::Result<Self> {
                Self::with_handle(pipe, context::current_driver("a child's pipe"))
            }

            pub(super) fn with_handle(pipe: process::$name, handle: Handle) -> io::Result<Self> {
                let pipe = <$mio>::from(pipe);
                pipe.set_nonblocking(true)?;
                Ok(Self { io: Evented::with_handle(pipe, Interest::$interest, handle)? })
            }

            /// Turns this into a descriptor, which blocks.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                let pipe = self.io.into_inner()?;
                pipe.set_nonblocking(false)?;
                Ok(pipe.into())
            }
        }

        /// For the input or output of another child.
        impl TryFrom<$name> for Stdio {
            type Error = io::Error;

            fn try_from(pipe: $name) -> io::Result<Stdio> {
                pipe.into_owned_fd().map(Stdio::from)
            }
        }

        descriptor_traits!($name, io);
    };
}

child_pipe!(
    ChildStdin,
    "A child's input, to be written to. Dropping it is the end for the child; `close` does nothing.",
    mio::unix::pipe::Sender,
    WRITABLE
);
child_pipe!(ChildStdout, "A child's output, to be read.", mio::unix::pipe::Receiver, READABLE);
child_pipe!(
    ChildStderr,
    "A child's output for errors, to be read.",
    mio::unix::pipe::Receiver,
    READABLE
);

async_write!([] ChildStdin, io, |_| Ok(()));
async_read!([] ChildStdout, io);
async_read!([] ChildStderr, io);
