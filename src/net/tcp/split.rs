//! The halves of a `TcpStream`.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::stream::TcpStream;
use crate::net::buf::PollBuf;

crate::net::halves::halves!(TcpStream, mio::net::TcpStream, SocketAddr);

/// Peeking, which only TCP has a method for.
macro_rules! peek_methods {
    ($half:ty) => {
        impl $half {
            /// As [`TcpStream::peek`], cancel safety included.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream.peek(buf).await
            }

            /// As [`TcpStream::poll_peek`].
            pub fn poll_peek<B: PollBuf + ?Sized>(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut B,
            ) -> Poll<io::Result<usize>> {
                self.stream.poll_peek(cx, buf)
            }
        }
    };
}

peek_methods!(ReadHalf<'_>);
peek_methods!(OwnedReadHalf);
