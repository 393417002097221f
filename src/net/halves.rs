//! The halves of a stream, which borrow it or own it together.

/// Makes the four halves of `$stream`, and the error of putting wrong ones together.
macro_rules! halves {
    ($stream:ident, $source:ty, $address:ty) => {
        #[doc = concat!("The reading half of [`", stringify!($stream), "::split`].")]
        #[derive(Debug)]
        pub struct ReadHalf<'a> {
            stream: &'a $stream,
        }

        #[doc = concat!("The writing half of [`", stringify!($stream), "::split`]. Dropping it \
                         shuts nothing down.")]
        #[derive(Debug)]
        pub struct WriteHalf<'a> {
            stream: &'a $stream,
        }

        #[doc = concat!("The reading half of [`", stringify!($stream), "::into_split`].")]
        #[derive(Debug)]
        pub struct OwnedReadHalf {
            stream: std::sync::Arc<$stream>,
        }

        #[doc = concat!("The writing half of [`", stringify!($stream), "::into_split`]. Dropping \
                         it shuts down writing, so that the peer sees the end, unless it is \
                         [forgotten](OwnedWriteHalf::forget).")]
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: std::sync::Arc<$stream>,
            shutdown_on_drop: bool,
        }

        /// The halves given to [`OwnedReadHalf::reunite`] are not of one stream. They are given
        /// back.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the two halves belong to different streams")
            }
        }

        impl std::error::Error for ReuniteError {}

        pub(super) fn split(stream: &$stream) -> (ReadHalf<'_>, WriteHalf<'_>) {
            (ReadHalf { stream }, WriteHalf { stream })
        }

        pub(super) fn split_owned(stream: $stream) -> (OwnedReadHalf, OwnedWriteHalf) {
            let stream = std::sync::Arc::new(stream);
            let write = OwnedWriteHalf { stream: stream.clone(), shutdown_on_drop: true };
            (OwnedReadHalf { stream }, write)
        }

        fn reunite(read: OwnedReadHalf, write: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
            if !std::sync::Arc::ptr_eq(&read.stream, &write.stream) {
                return Err(ReuniteError(read, write));
            }
            write.forget();
            let stream = std::sync::Arc::into_inner(read.stream);
            Ok(stream.expect("there are two halves, and one was dropped just now"))
        }

        impl OwnedReadHalf {
            /// Puts the stream together again.
            ///
            /// # Errors
            ///
            /// [`ReuniteError`], with both halves, if they are not of one stream.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                reunite(self, other)
            }
        }

        impl OwnedWriteHalf {
            /// Puts the stream together again.
            ///
            /// # Errors
            ///
            /// [`ReuniteError`], with both halves, if they are not of one stream.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                reunite(other, self)
            }

            /// Drops this half without shutting down writing.
            pub fn forget(mut self) {
                self.shutdown_on_drop = false;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if std::mem::take(&mut self.shutdown_on_drop) {
                    // The peer may have gone already; there is nobody to tell.
                    let _ = self.stream.shutdown_write();
                }
            }
        }

        $crate::net::halves::half!(ReadHalf<'_>, $stream, $address);
        $crate::net::halves::half!(WriteHalf<'_>, $stream, $address);
        $crate::net::halves::half!(OwnedReadHalf, $stream, $address);
        $crate::net::halves::half!(OwnedWriteHalf, $stream, $address);
        $crate::net::halves::half!(reads: ReadHalf<'_>);
        $crate::net::halves::half!(writes: WriteHalf<'_>);
        $crate::net::halves::half!(reads: OwnedReadHalf);
        $crate::net::halves::half!(writes: OwnedWriteHalf);
        $crate::net::methods::async_read!([] ReadHalf<'_>, stream.io);
        $crate::net::methods::async_write!(
            [] WriteHalf<'_>, stream.io, $crate::net::halves::close_write!($source)
        );
        $crate::net::methods::async_read!([] OwnedReadHalf, stream.io);
        $crate::net::methods::async_write!(
            [] OwnedWriteHalf, stream.io, $crate::net::halves::close_write!($source)
        );
    };
}

/// What each half has, or each reading one, or each writing one.
macro_rules! half {
    (reads: $half:ty) => {
        impl $half {
            $crate::net::methods::readable_method!(stream.io);
            $crate::net::methods::try_read_methods!(stream.io);
        }
    };
    (writes: $half:ty) => {
        impl $half {
            $crate::net::methods::writable_method!(stream.io);
            $crate::net::methods::try_write_methods!(stream.io);
        }
    };
    ($half:ty, $stream:ident, $address:ty) => {
        impl $half {
            $crate::net::methods::ready_method!(stream.io);

            /// The address of the other end.
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                self.stream.peer_addr()
            }

            /// The address of this end.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                self.stream.local_addr()
            }
        }

        /// The stream itself, for its options.
        impl AsRef<$stream> for $half {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }
    };
}

/// How a stream's writing direction is closed, of its source.
macro_rules! close_write {
    ($source:ty) => {
        |source: &$source| $crate::net::methods::closed(source.shutdown(std::net::Shutdown::Write))
    };
}

pub(super) use {close_write, half, halves};
