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

/// The halves of a stream. They are of the stream, and not of ours, to show it by `AsRef`.
macro_rules! halves {
    ($stream:ident, $address:ty, $page:literal) => {
        /// What a connection is read by, borrowed.
        #[derive(Debug)]
        pub struct ReadHalf<'a>(&'a $stream);

        /// What a connection is written by, borrowed.
        #[derive(Debug)]
        pub struct WriteHalf<'a>(&'a $stream);

        /// What a connection is read by.
        #[derive(Debug)]
        pub struct OwnedReadHalf(std::sync::Arc<$stream>);

        /// What a connection is written by. Dropped, it shuts that direction down.
        #[derive(Debug)]
        pub struct OwnedWriteHalf(std::sync::Arc<$stream>, Ends);

        /// What becomes of the direction when its half is dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Ends {
            Yes,
            No,
        }

        crate::net::methods::halves!(@methods $stream, $address, $page, reads: ReadHalf<'_>, OwnedReadHalf);
        crate::net::methods::halves!(@methods $stream, $address, $page, writes: WriteHalf<'_>, OwnedWriteHalf);
        crate::net::methods::halves!(@read ReadHalf<'_>, OwnedReadHalf);
        crate::net::methods::halves!(@write WriteHalf<'_>, OwnedWriteHalf);

        impl $stream {
            /// Its two directions, borrowed.
            pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// Its two directions.
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                let stream = std::sync::Arc::new(self);
                (OwnedReadHalf(stream.clone()), OwnedWriteHalf(stream, Ends::Yes))
            }
        }

        impl AsRef<$stream> for $stream {
            fn as_ref(&self) -> &$stream {
                self
            }
        }

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
            pub fn forget(mut self) {
                self.1 = Ends::No;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.1 == Ends::Yes {
                    // The peer may have gone already; there is nobody to tell.
                    let _gone = self.0.0.shutdown_std(std::net::Shutdown::Write);
                }
            }
        }

        fn reunite(read: OwnedReadHalf, write: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
            if !std::sync::Arc::ptr_eq(&read.0, &write.0) {
                return Err(ReuniteError(read, write));
            }
            write.forget();
            let stream = std::sync::Arc::into_inner(read.0);
            Ok(stream.expect("there are two halves, and one was dropped just now"))
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

        impl AsRef<$stream> for $half {
            fn as_ref(&self) -> &$stream {
                &self.0
            }
        }
    )+};
    (@read $($half:ty),+) => {$(
        impl real::io::AsyncRead for $half {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut real::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.0.0.poll_read_buf(cx, buf).map_ok(drop)
            }
        }
    )+};
    (@write $($half:ty),+) => {$(
        crate::adapt::write!(([] $half) |half| &half.0.0);
    )+};
}

pub(crate) use {datagrams, fill, halves, poll_ready, reads, ready, user_io, writes};
