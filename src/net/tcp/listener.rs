//! `TcpListener`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;

use super::stream::TcpStream;
use crate::context;
use crate::driver::{Direction, Evented, Handle, Interest};
use crate::net::addr::{ToSocketAddrs, addresses};
use crate::net::exhausted::Exhausted;
use crate::net::methods::{descriptor_traits, take_error_method};

/// A TCP socket that listens for connections.
///
/// # Examples
///
/// ```
/// use threadlet::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, peer) = listener.accept().await?;
///     assert_eq!(peer, client.local_addr()?);
///     assert_eq!(server.local_addr()?, listener.local_addr()?);
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpListener {
    io: Evented<mio::net::TcpListener>,
    exhausted: Exhausted,
}

impl TcpListener {
    /// Listens on `address`, or on the first of several that works. Port 0 lets the system choose;
    /// [`local_addr`](Self::local_addr) tells. `SO_REUSEADDR` is set.
    ///
    /// A host name is looked up, which may take seconds; a literal address is not.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing is bound.
    ///
    /// # Errors
    ///
    /// The error of the last address tried, or that of the I/O driver, which needs three
    /// descriptors of its own for the first socket of a runtime;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not an address at all.
    ///
    /// # Panics
    ///
    /// Panics if the future is polled outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::net::TcpListener;
    ///
    /// threadlet::block_on(async {
    ///     // Port 0: any that is free.
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     println!("listening on {}", listener.local_addr()?);
    ///     std::io::Result::Ok(())
    /// }).unwrap();
    /// ```
    pub async fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let handle = context::current_driver("a socket");
        let mut last = None;
        for address in addresses(address).await? {
            match mio::net::TcpListener::bind(address) {
                Ok(listener) => return Self::with_handle(listener, handle),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one address"))
    }

    /// Waits for a connection and returns it with the peer's address.
    ///
    /// Any number of tasks may wait at a time. An error concerns one connection or the process (out
    /// of descriptors, say), not the listener: it can be asked again. Behind an error for want of
    /// descriptors or memory the next call waits for 50 ms first, so that a loop takes no CPU.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, no connection is lost: one is taken from the kernel only in the poll that returns
    /// it.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::net::TcpListener;
    ///
    /// async fn serve(listener: TcpListener) -> std::io::Result<()> {
    ///     loop {
    ///         let (stream, peer) = listener.accept().await?;
    ///         threadlet::spawn(async move {
    ///             println!("{peer} is here");
    ///             drop(stream);
    ///         });
    ///     }
    /// }
    /// ```
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.exhausted.pause(self.io.handle()).await;
        let accepted = self.io.async_io(Direction::Read, mio::net::TcpListener::accept).await;
        let (stream, peer) = self.exhausted.note(accepted)?;
        Ok((self.adopt(stream)?, peer))
    }

    /// The form of [`accept`](Self::accept) for hand-written futures, pause included. Only the last
    /// task to poll is woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        ready!(self.exhausted.poll_pause(self.io.handle(), cx));
        let accepted = self.io.poll_io(Direction::Read, cx, mio::net::TcpListener::accept);
        let (stream, peer) = self.exhausted.note(ready!(accepted))?;
        Poll::Ready(self.adopt(stream).map(|stream| (stream, peer)))
    }

    /// A connection belongs to the runtime of its listener.
    fn adopt(&self, stream: mio::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::accepted(stream, self.io.handle().clone())
    }

    /// The connections as a stream that never ends. As with [`poll_accept`](Self::poll_accept),
    /// only one task at a time should wait for such a stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream, or a future that waits for its next item, loses no connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::StreamExt;
    /// use threadlet::net::TcpListener;
    ///
    /// async fn serve(listener: TcpListener) -> std::io::Result<()> {
    ///     let mut incoming = listener.incoming();
    ///     while let Some(stream) = incoming.next().await {
    ///         println!("{} is here", stream?.peer_addr()?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address this socket is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }

    take_error_method!(io);

    /// The time to live of packets sent from this socket.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get().ttl()
    }

    /// Sets the time to live of packets sent from this socket.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get().set_ttl(ttl)
    }

    /// Adopts a listener of the standard library, and makes it non-blocking.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        let handle = context::current_driver("a socket");
        listener.set_nonblocking(true)?;
        Self::with_handle(mio::net::TcpListener::from_std(listener), handle)
    }

    pub(super) fn with_handle(listener: mio::net::TcpListener, handle: Handle) -> io::Result<Self> {
        let io = Evented::with_handle(listener, Interest::READABLE, handle)?;
        Ok(Self { io, exhausted: Exhausted::new() })
    }

    /// Turns this into a listener of the standard library. It is still non-blocking; see
    /// [`set_nonblocking`](std::net::TcpListener::set_nonblocking).
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.io.into_inner().map(Into::into)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.io.waiting()
    }
}

descriptor_traits!(TcpListener, io);

/// As [`TcpListener::from_std`], panic included.
impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    fn try_from(listener: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(listener)
    }
}

/// Stream of [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(|result| Some(result.map(|(stream, _)| stream)))
    }
}
