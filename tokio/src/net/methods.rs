//! Methods that sockets and pipes have in common.

/// Those of what is read.
macro_rules! reads {
    ($page:literal) => {
        crate::adapt::forward! { $page
            async fn readable(&self) -> std::io::Result<()>;
            fn try_read(&self, buf: &mut [u8]) -> std::io::Result<usize>;
            fn try_read_vectored(&self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize>;
            fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize>;
        }

    };
}

/// Those of what is written.
macro_rules! writes {
    ($page:literal) => {
        crate::adapt::forward! { $page
            async fn writable(&self) -> std::io::Result<()>;
            fn try_write(&self, buf: &[u8]) -> std::io::Result<usize>;
            fn try_write_vectored(&self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize>;
        }
    };
}

/// Its readiness.
macro_rules! ready {
    ($page:literal) => {
        crate::adapt::forward! { $page
            async fn ready(&self, interest: threadlet::io::Interest) -> std::io::Result<threadlet::io::Ready>;
        }
    };
}

/// Its readiness, to be polled.
macro_rules! poll_ready {
    ($page:literal $($name:ident),+) => {
        crate::adapt::forward! { $page
            $(fn $name(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>>;)+
        }
    };
}

/// Operations of others on its descriptor.
macro_rules! user_io {
    () => {
        /// Calls `f` if it is what `interest` says.
        pub fn try_io<R>(
            &self,
            interest: threadlet::io::Interest,
            f: impl FnOnce() -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            self.0.try_io(interest, f)
        }

        /// Calls `f` each time that it is what `interest` says, until it answers.
        pub async fn async_io<R>(
            &self,
            interest: threadlet::io::Interest,
            f: impl FnMut() -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            self.0.async_io(interest, f).await
        }
    };
}

/// Those of a socket of datagrams.
macro_rules! datagrams {
    ($page:literal, $address:ty) => {
        crate::net::methods::ready!($page);
        crate::net::methods::poll_ready!($page poll_send_ready, poll_recv_ready);
        crate::net::methods::user_io!();
        crate::adapt::forward! { $page
            async fn readable(&self) -> std::io::Result<()>;
            async fn writable(&self) -> std::io::Result<()>;
            async fn send(&self, buf: &[u8]) -> std::io::Result<usize>;
            fn poll_send(&self, cx: &mut std::task::Context<'_>, buf: &[u8]) -> std::task::Poll<std::io::Result<usize>>;
            fn try_send(&self, buf: &[u8]) -> std::io::Result<usize>;
            async fn recv(&self, buf: &mut [u8]) -> std::io::Result<usize>;
            fn try_recv(&self, buf: &mut [u8]) -> std::io::Result<usize>;
            async fn recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize>;
            fn try_recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize>;
            async fn recv_from(&self, buf: &mut [u8]) -> std::io::Result<(usize, $address)>;
            fn try_recv_from(&self, buf: &mut [u8]) -> std::io::Result<(usize, $address)>;
            async fn recv_buf_from<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<(usize, $address)>;
            fn try_recv_buf_from<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<(usize, $address)>;
            fn local_addr(&self) -> std::io::Result<$address>;
            fn peer_addr(&self) -> std::io::Result<$address>;
            fn take_error(&self) -> std::io::Result<Option<std::io::Error>>;
        }

        /// Receives a datagram.
        pub fn poll_recv(
            &self,
            cx: &mut std::task::Context<'_>,
            buf: &mut real::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            crate::net::methods::fill!(buf, self.0.poll_recv(cx, buf.initialize_unfilled()));
            std::task::Poll::Ready(Ok(()))
        }
    };
}

/// A method of a buffer with room, by one of a slice.
macro_rules! fill {
    ($buf:ident, $poll:expr) => {{
        let n = std::task::ready!($poll)?;
        $buf.advance(n);
        n
    }};
}

/// The halves of a stream.
macro_rules! halves {
    ($stream:ident, $ours:path, $address:ty, $page:literal) => {
        use $ours as ours_of;

        crate::adapt::around! {
            /// What a connection is read by, borrowed.
            ReadHalf<'a>, ours_of::ReadHalf<'a>
        }
        crate::adapt::read!(['a] ReadHalf<'a>);

        crate::adapt::around! {
            /// What a connection is written by, borrowed.
            WriteHalf<'a>, ours_of::WriteHalf<'a>
        }
        crate::adapt::write!(['a] WriteHalf<'a>);

        crate::adapt::around! {
            /// What a connection is read by.
            OwnedReadHalf, ours_of::OwnedReadHalf
        }
        crate::adapt::read!([] OwnedReadHalf);

        crate::adapt::around! {
            /// What a connection is written by. Dropped, it shuts that direction down.
            OwnedWriteHalf, ours_of::OwnedWriteHalf
        }
        crate::adapt::write!([] OwnedWriteHalf);

        crate::net::methods::halves!(@methods $stream, $address, $page, reads: ReadHalf<'_>, OwnedReadHalf);
        crate::net::methods::halves!(@methods $stream, $address, $page, writes: WriteHalf<'_>, OwnedWriteHalf);

        impl OwnedReadHalf {
            /// The whole connection again.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                reunite(self, other)
            }
        }

        impl OwnedWriteHalf {
            /// The whole connection again.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                reunite(other, self)
            }

            /// Drops it, and leaves the direction open.
            pub fn forget(self) {
                self.0.forget();
            }
        }

        fn reunite(read: OwnedReadHalf, write: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
            read.0.reunite(write.0).map($stream).map_err(|ours_of::ReuniteError(read, write)| {
                ReuniteError(OwnedReadHalf(read), OwnedWriteHalf(write))
            })
        }

        /// Two halves that are not of one connection.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tried to reunite halves that are not from the same socket")
            }
        }

        impl std::error::Error for ReuniteError {}
    };
    (@methods $stream:ident, $address:ty, $page:literal, $direction:ident: $($half:ty),+) => {$(
        impl $half {
            crate::net::methods::ready!($page);
            crate::net::methods::$direction!($page);
            crate::adapt::forward! { $page
                fn peer_addr(&self) -> std::io::Result<$address>;
                fn local_addr(&self) -> std::io::Result<$address>;
            }
        }
    )+};
}

pub(crate) use {datagrams, fill, halves, poll_ready, reads, ready, user_io, writes};
