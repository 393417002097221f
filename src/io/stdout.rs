//! `stdout` and `stderr`.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::AsyncWrite;

use crate::call::in_place::run_here;
use crate::coop;

/// Makes an output: its type, the function, std's, and what is said of the type and the function,
/// with an example.
macro_rules! output {
    ($type:ident, $function:ident, $std:ty, $about:literal, $made:literal, $example:literal) => {
        #[doc = $about]
        ///
        /// A write is a call in place: while it blocks, because nobody reads what is on the way,
        /// the runtime's other tasks go on. Once it has returned, the bytes are with the kernel:
        /// nothing is lost at the end of the process, flushed or not. It goes through the standard
        /// library's handle, and keeps the order with `println!` and the like.
        ///
        /// # Cancel safety
        ///
        /// A write takes effect in the poll that says so.
        #[derive(Debug)]
        pub struct $type {
            std: $std,
            place: &'static Location<'static>,
        }

        #[doc = $made]
        ///
        /// # Examples
        ///
        /// ```
        /// use futures::io::AsyncWriteExt;
        ///
        /// # fn main() -> std::io::Result<()> {
        #[doc = $example]
        /// # }
        /// ```
        #[track_caller]
        pub fn $function() -> $type {
            $type { std: io::$function(), place: Location::caller() }
        }

        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let place = self.place;
                coop::counted(cx, |_| {
                    Poll::Ready(run_here(place, stringify!($function), || {
                        let mut std = self.std.lock();
                        let count = std.write(buf)?;
                        std.flush()?;
                        Ok(count)
                    }))
                })
            }

            /// There is nothing to do but for what `print!` has left.
            fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let place = self.place;
                Poll::Ready(run_here(place, stringify!($function), || self.std.flush()))
            }

            /// Only flushes: the descriptor is the process's.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_flush(cx)
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.std.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.std.as_raw_fd()
            }
        }
    };
}

output!(
    Stdout,
    stdout,
    io::Stdout,
    "The standard output of the process, made by [`stdout`].",
    "The standard output of the process.",
    "threadlet::block_on(threadlet::io::stdout().write_all(b\"hello\\n\"))"
);
output!(
    Stderr,
    stderr,
    io::Stderr,
    "The standard output for errors of the process, made by [`stderr`].",
    "The standard output for errors of the process.",
    "threadlet::block_on(threadlet::io::stderr().write_all(b\"hello\\n\"))"
);
