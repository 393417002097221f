//! The methods that sockets and pipes have in common, and the traits of those that are streams of
//! bytes. Each is a line on `driver::Evented`; the macros' last argument says where that is.

/// `ready`.
macro_rules! ready_method {
    ($($io:ident).+) => {
        /// Waits for any of the states in `interest`, and tells which of them hold.
        ///
        /// What it tells may be over by the next operation, which then says `WouldBlock`.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, nothing has happened: the readiness is still there for the next call.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        pub async fn ready(
            &self,
            interest: crate::driver::Interest,
        ) -> std::io::Result<crate::driver::Ready> {
            self.$($io).+.ready_states(interest).await
        }
    };
}

/// `readable`.
macro_rules! readable_method {
    ($($io:ident).+) => {
        /// Waits until there is something to read: bytes, the end, or an error.
        ///
        /// It may be wrong: an attempt can still say `WouldBlock`, after which this waits again. A
        /// `try_` function that has moved less than it was asked for says nothing of the kind.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, nothing has happened: the readiness is still there for the next call.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        pub async fn readable(&self) -> std::io::Result<()> {
            self.$($io).+.ready(crate::driver::Direction::Read).await
        }
    };
}

/// `writable`.
macro_rules! writable_method {
    ($($io:ident).+) => {
        /// Waits until there is room to write, or an error.
        ///
        /// It may be wrong: an attempt can still say `WouldBlock`, after which this waits again. A
        /// `try_` function that has moved less than it was asked for says nothing of the kind.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, nothing has happened: the readiness is still there for the next call.
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        pub async fn writable(&self) -> std::io::Result<()> {
            self.$($io).+.ready(crate::driver::Direction::Write).await
        }
    };
}

/// `poll_read_ready` and the like: a name, a direction, what the wait is for.
macro_rules! poll_ready_method {
    ($name:ident, $direction:ident, $what:literal, $($io:ident).+) => {
        #[doc = concat!("Waits until ", $what, ", for hand-written futures. Only the last task to \
                         poll in this direction is woken.")]
        ///
        /// # Errors
        ///
        /// If the runtime has been shut down.
        pub fn $name(
            &self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            self.$($io).+.poll_ready(crate::driver::Direction::$direction, cx)
        }
    };
}

/// `try_read` and its kin.
macro_rules! try_read_methods {
    ($($io:ident).+) => {
        /// Reads what is there, without waiting. 0 is the end (or an empty buffer).
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing yet.
        pub fn try_read(&self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.$($io).+.try_read(buf)
        }

        /// Reads what is there into several buffers, one after the other, without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing yet.
        pub fn try_read_vectored(
            &self,
            bufs: &mut [std::io::IoSliceMut<'_>],
        ) -> std::io::Result<usize> {
            self.$($io).+.try_read_vectored(bufs)
        }

        /// Reads what is there into the room of a buffer, and moves its end; without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing yet.
        #[cfg(feature = "bytes")]
        pub fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
            self.$($io).+.try_read_buf(buf)
        }

        /// Reads into the room of a buffer, and moves its end; waits until there is something to
        /// read. For hand-written futures: only the last task to poll in this direction is woken.
        /// 0 is the end (or a buffer without room).
        ///
        /// # Errors
        ///
        /// What the operating system says, or that the runtime has been shut down.
        #[cfg(feature = "bytes")]
        pub fn poll_read_buf<B: bytes::BufMut>(
            &self,
            cx: &mut std::task::Context<'_>,
            buf: &mut B,
        ) -> std::task::Poll<std::io::Result<usize>> {
            self.$($io).+.poll_read_buf(cx, buf)
        }
    };
}

/// `try_write` and its kin.
macro_rules! try_write_methods {
    ($($io:ident).+) => {
        /// Writes what there is room for, without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is no room.
        pub fn try_write(&self, buf: &[u8]) -> std::io::Result<usize> {
            self.$($io).+.try_write(buf)
        }

        /// Writes what there is room for of several buffers, without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is no room.
        pub fn try_write_vectored(
            &self,
            bufs: &[std::io::IoSlice<'_>],
        ) -> std::io::Result<usize> {
            self.$($io).+.try_write_vectored(bufs)
        }
    };
}

/// `try_io` and `async_io`.
macro_rules! user_io_methods {
    ($($io:ident).+) => {
        /// Calls `f` if the source is known to be what `interest` says; `WouldBlock`, of `f` too,
        /// clears that. For operations on the descriptor that have no method here.
        ///
        /// `interest` is to be the one state that `f` needs.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if it is not ready, those of `f`, and
        /// that the runtime has been shut down.
        pub fn try_io<R>(
            &self,
            interest: crate::driver::Interest,
            f: impl FnOnce() -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            self.$($io).+.try_user_io(interest, f)
        }

        /// Calls `f` each time that the source is what `interest` says, until `f` answers
        /// something else than `WouldBlock`.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, `f` has answered nothing but `WouldBlock`.
        ///
        /// # Errors
        ///
        /// Those of `f`, and that the runtime has been shut down.
        pub async fn async_io<R>(
            &self,
            interest: crate::driver::Interest,
            f: impl FnMut() -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            self.$($io).+.async_user_io(interest, f).await
        }
    };
}

/// The pending error of a socket.
macro_rules! take_error_method {
    ($($io:ident).+) => {
        /// Takes the pending error of the socket (`SO_ERROR`), if there is one.
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            self.$($io).+.get().take_error()
        }
    };
}

/// An option that socket2 knows under other names: ours, its, and what it is.
macro_rules! option_methods {
    ($get:ident, $set:ident, $type:ty, $its_get:ident, $its_set:ident, $what:literal) => {
        #[doc = concat!("Tells ", $what, ".")]
        pub fn $get(&self) -> std::io::Result<$type> {
            self.socket().$its_get()
        }

        #[doc = concat!("Sets ", $what, ".")]
        pub fn $set(&self, value: $type) -> std::io::Result<()> {
            self.socket().$its_set(value)
        }
    };
}

/// Debug and descriptor of whatever has an `Evented`.
macro_rules! descriptor_traits {
    ($type:ty, $($io:ident).+) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.$($io).+, f)
            }
        }

        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.$($io).+.get().as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.$($io).+.get().as_raw_fd()
            }
        }
    };
}

/// Reading by futures-io.
macro_rules! async_read {
    ([$($generics:tt)*] $type:ty, $($io:ident).+) => {
        impl<$($generics)*> futures::io::AsyncRead for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($io).+.poll_read(cx, buf)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($io).+.poll_read_vectored(cx, bufs)
            }
        }
    };
}

/// Writing by futures-io. Nothing is buffered; `$close` says how the direction is ended.
macro_rules! async_write {
    ([$($generics:tt)*] $type:ty, $($io:ident).+, $close:expr) => {
        impl<$($generics)*> futures::io::AsyncWrite for $type {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($io).+.poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.$($io).+.poll_write_vectored(cx, bufs)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready($close(self.$($io).+.get()))
            }
        }
    };
}

/// How a socket's writing direction is closed.
pub(super) fn closed(shutdown: std::io::Result<()>) -> std::io::Result<()> {
    match shutdown {
        // The peer has already gone: what was wanted is the case.
        Err(error) if error.kind() == std::io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

pub(crate) use {async_read, async_write, descriptor_traits};
pub(super) use {
    option_methods, poll_ready_method, readable_method, ready_method, take_error_method,
    try_read_methods, try_write_methods, user_io_methods, writable_method,
};
