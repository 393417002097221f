//! Ours in tokio's clothes: a newtype with tokio's I/O traits, and all else by `Deref`.

/// A type around one of ours, which shows its methods.
macro_rules! around {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        pub struct $name(pub(crate) $inner);

        impl std::ops::Deref for $name {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

/// Methods of the inner one, by their names, for those who name them by a path
/// (`TcpStream::local_addr`), for which `Deref` does nothing.
macro_rules! forward {
    ($page:literal) => {};
    ($page:literal async fn $name:ident $(<$of:ident: $bound:path>)? (&self $(, $arg:ident: $type:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        pub async fn $name $(<$of: $bound>)? (&self $(, $arg: $type)*) $(-> $ret)? {
            self.0.$name($($arg),*).await
        }
        crate::adapt::forward!($page $($rest)*);
    };
    ($page:literal async fn $name:ident $(<$of:ident: $bound:path>)? (&mut self $(, $arg:ident: $type:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        pub async fn $name $(<$of: $bound>)? (&mut self $(, $arg: $type)*) $(-> $ret)? {
            self.0.$name($($arg),*).await
        }
        crate::adapt::forward!($page $($rest)*);
    };
    ($page:literal async fn $name:ident $(<$of:ident: $bound:path>)? (self $(, $arg:ident: $type:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        pub async fn $name $(<$of: $bound>)? (self $(, $arg: $type)*) $(-> $ret)? {
            self.0.$name($($arg),*).await
        }
        crate::adapt::forward!($page $($rest)*);
    };
    ($page:literal fn $name:ident $(<$of:ident: $bound:path>)? (&self $(, $arg:ident: $type:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        pub fn $name $(<$of: $bound>)? (&self $(, $arg: $type)*) $(-> $ret)? {
            self.0.$name($($arg),*)
        }
        crate::adapt::forward!($page $($rest)*);
    };
    ($page:literal fn $name:ident $(<$of:ident: $bound:path>)? (&mut self $(, $arg:ident: $type:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        pub fn $name $(<$of: $bound>)? (&mut self $(, $arg: $type)*) $(-> $ret)? {
            self.0.$name($($arg),*)
        }
        crate::adapt::forward!($page $($rest)*);
    };
    ($page:literal fn $name:ident $(<$of:ident: $bound:path>)? (self $(, $arg:ident: $type:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        pub fn $name $(<$of: $bound>)? (self $(, $arg: $type)*) $(-> $ret)? {
            self.0.$name($($arg),*)
        }
        crate::adapt::forward!($page $($rest)*);
    };
}

/// The same for functions that make one.
macro_rules! makes {
    ($page:literal $ours:ty:) => {};
    ($page:literal $ours:ty: async fn $name:ident $(<$of:ident: $bound:path>)? ($($arg:ident: $type:ty),*); $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        pub async fn $name $(<$of: $bound>)? ($($arg: $type),*) -> std::io::Result<Self> {
            crate::part::take();
            <$ours>::$name($($arg),*).await.map(Self)
        }
        crate::adapt::makes!($page $ours: $($rest)*);
    };
    ($page:literal $ours:ty: fn $name:ident $(<$of:ident: $bound:path>)? ($($arg:ident: $type:ty),*); $($rest:tt)*) => {
        #[doc = concat!("As [tokio's](https://docs.rs/tokio/1.54/tokio/", $page, "#method.", stringify!($name), ").")]
        #[track_caller]
        pub fn $name $(<$of: $bound>)? ($($arg: $type),*) -> std::io::Result<Self> {
            crate::part::take();
            <$ours>::$name($($arg),*).map(Self)
        }
        crate::adapt::makes!($page $ours: $($rest)*);
    };
}

/// Its descriptor.
macro_rules! descriptor {
    ($($name:ty),+) => {$(
        impl std::os::fd::AsFd for $name {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&self.0)
            }
        }

        impl std::os::fd::AsRawFd for $name {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.0)
            }
        }
    )+};
}

/// tokio's `AsyncRead`, into room that nothing was written to yet.
macro_rules! read {
    ([] $name:ty) => {
        impl real::io::AsyncRead for $name {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut real::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.0.poll_read_buf(cx, buf).map_ok(drop)
            }
        }
    };
}

/// The same by that of futures-io, into room that is made zeros first.
macro_rules! read_zeroed {
    ([] $name:ty) => {
        impl real::io::AsyncRead for $name {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut real::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let inner = std::pin::Pin::new(&mut self.0);
                let unfilled = buf.initialize_unfilled();
                let n = std::task::ready!(futures_io::AsyncRead::poll_read(inner, cx, unfilled))?;
                buf.advance(n);
                std::task::Poll::Ready(Ok(()))
            }
        }
    };
}

/// tokio's `AsyncWrite` by that of futures-io.
macro_rules! write {
    ([] $name:ty) => {
        crate::adapt::write!(([] $name) |whole| whole.0);
    };
    (([] $name:ty) |$whole:ident| $inner:expr) => {
        impl real::io::AsyncWrite for $name {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $whole = &mut *self;
                futures_io::AsyncWrite::poll_write(std::pin::Pin::new(&mut $inner), cx, buf)
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $whole = &mut *self;
                futures_io::AsyncWrite::poll_write_vectored(std::pin::Pin::new(&mut $inner), cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $whole = &mut *self;
                futures_io::AsyncWrite::poll_flush(std::pin::Pin::new(&mut $inner), cx)
            }

            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $whole = &mut *self;
                futures_io::AsyncWrite::poll_close(std::pin::Pin::new(&mut $inner), cx)
            }
        }
    };
}

pub(crate) use {around, descriptor, forward, makes, read, read_zeroed, write};
