//! Sockets in memory, for tests (feature `test-util`): listeners by name, and streams to them.
//!
//! The types have the names and the methods of those in [`net`](super), as far as a test needs them, so
//! that a program is tested by another `use`:
//!
//! ```
//! #[cfg(not(test))]
//! use threadlet::net::{TcpListener, TcpStream};
//! #[cfg(test)]
//! use threadlet::net::sim::{TcpListener, TcpStream};
//! ```
//!
//! Each runtime has a network of its own. A name is any text; that of an address is its text. In a
//! [`deterministic`](crate::runtime::Builder::deterministic) runtime the seed decides how long a connection
//! and each write are on their way, and how much a read or a write takes at once. So connections overtake
//! each other, and the bytes of one connection do not. Nothing is lost, and no connection breaks unless one
//! of its ends is dropped.
//!
//! # Examples
//!
//! ```
//! use futures::io::{AsyncReadExt, AsyncWriteExt};
//! use threadlet::net::sim::{TcpListener, TcpStream};
//! use threadlet::runtime::Builder;
//!
//! # fn main() -> std::io::Result<()> {
//! let runtime = Builder::new_current_thread().deterministic(7).build()?;
//! runtime.block_on(async {
//!     let listener = TcpListener::bind("echo:7").await?;
//!     threadlet::spawn(async move {
//!         let (mut stream, _peer) = listener.accept().await?;
//!         let mut bytes = [0; 16];
//!         // Any part of what was written.
//!         let count = stream.read(&mut bytes).await?;
//!         stream.write_all(&bytes[..count]).await
//!     });
//!     let mut stream = TcpStream::connect("echo:7").await?;
//!     stream.write_all(b"hello").await?;
//!     let mut echo = Vec::new();
//!     stream.read_to_end(&mut echo).await?;
//!     assert!(b"hello".starts_with(&echo) && !echo.is_empty());
//!     Ok(())
//! })
//! # }
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use crate::context;
use crate::io::duplex::{Reader, Writer, duplex, traits};
use crate::primitive::{Mutex, quietly};
use crate::replay::{self, What};
use crate::time::sleep;

/// How many bytes of each way of a connection are kept.
const ROOM: usize = 64 * 1024;

/// The first port of those that nobody has named.
const FIRST_PORT: u16 = 49_152;

/// The networks, by the numbers of their runtimes; 0 is that of threads in no runtime.
static NETWORKS: Mutex<BTreeMap<u64, Weak<Network>>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
struct Network {
    runtime: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    listeners: BTreeMap<String, Arc<Listening>>,
    next_port: u16,
}

impl Network {
    fn current() -> Arc<Network> {
        let runtime = context::with_shared(|shared| shared.map_or(0, |shared| shared.id.get()));
        let mut networks = NETWORKS.lock();
        if let Some(network) = networks.get(&runtime).and_then(Weak::upgrade) {
            return network;
        }
        let state = State { listeners: BTreeMap::new(), next_port: FIRST_PORT };
        let network = Arc::new(Network { runtime, state: Mutex::new(state) });
        networks.insert(runtime, Arc::downgrade(&network));
        network
    }

    /// An address of this network that nobody has named.
    fn address(&self) -> SocketAddr {
        let mut state = self.state.lock();
        let port = state.next_port;
        state.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        (Ipv4Addr::LOCALHOST, port).into()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut networks = NETWORKS.lock();
        // Another may have come to its place.
        if networks.get(&self.runtime).is_some_and(|network| network.strong_count() == 0) {
            networks.remove(&self.runtime);
        }
    }
}

#[derive(Debug)]
struct Listening {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    streams: VecDeque<TcpStream>,
    /// Of those that accept.
    wakers: Vec<Waker>,
    closed: bool,
}

/// A listener in memory. See [`net::TcpListener`](super::TcpListener).
pub struct TcpListener {
    name: String,
    address: SocketAddr,
    network: Arc<Network>,
    listening: Arc<Listening>,
}

impl TcpListener {
    /// Listens under a name, in the network of this runtime. (It waits for nothing.)
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another listener has that name.
    pub async fn bind(name: impl ToString) -> io::Result<TcpListener> {
        let (name, network) = (name.to_string(), Network::current());
        let address = name.parse().unwrap_or_else(|_| network.address());
        let listening = Arc::new(Listening { queue: Mutex::default() });
        {
            let mut state = network.state.lock();
            if state.listeners.contains_key(&name) {
                let text = format!("there is a listener {name:?} in this runtime: drop it first");
                return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
            }
            state.listeners.insert(name.clone(), listening.clone());
        }
        Ok(TcpListener { name, address, network, listening })
    }

    /// The next connection, and the address of its other end.
    ///
    /// # Errors
    ///
    /// None: the result is there for those who take the other listener.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it has taken no connection.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The poll behind [`accept`](Self::accept). Of several tasks that accept all are woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        crate::coop::counted(cx, |cx| {
            // A clone is foreign code: not under the lock.
            let waker = cx.waker().clone();
            let mut queue = self.listening.queue.lock();
            if let Some(stream) = queue.streams.pop_front() {
                let peer = stream.peer;
                return Poll::Ready(Ok((stream, peer)));
            }
            let known = queue.wakers.iter().any(|known| known.will_wake(&waker));
            let stale = if known {
                Some(waker)
            } else {
                queue.wakers.push(waker);
                None
            };
            drop(queue);
            drop(stale);
            Poll::Pending
        })
    }

    /// Its address: the one that it was named after, or one that was made up.
    ///
    /// # Errors
    ///
    /// None.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let listener = self.network.state.lock().listeners.remove(&self.name);
        drop(listener);
        let left = {
            let mut queue = self.listening.queue.lock();
            queue.closed = true;
            std::mem::take(&mut queue.streams)
        };
        // Their other ends are woken by that: not under the lock.
        drop(left);
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A connection in memory. See [`net::TcpStream`](super::TcpStream), and
/// [`io::duplex`](crate::io::duplex()) for what becomes of it when one end is closed or dropped.
///
/// # Cancel safety
///
/// A read or write that is cancelled has not taken place.
#[derive(Debug)]
pub struct TcpStream {
    reader: Reader,
    writer: Writer,
    local: SocketAddr,
    peer: SocketAddr,
    network: Arc<Network>,
}

/// The half of a [`TcpStream`] that is read from.
#[derive(Debug)]
pub struct OwnedReadHalf {
    reader: Reader,
    _network: Arc<Network>,
}

/// The half of a [`TcpStream`] that is written to. Dropping it lets the peer see the end.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    writer: Writer,
}

impl TcpStream {
    /// Connects to the listener of that name, in the network of this runtime.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if there is no such listener when the
    /// request comes there.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the listener sees no connection.
    pub async fn connect(name: impl ToString) -> io::Result<TcpStream> {
        let (name, network) = (name.to_string(), Network::current());
        let way = replay::here().and_then(|decisions| decisions.pause(What::Way, false, None));
        if let Some(way) = way {
            sleep(way).await;
        }
        let refused = || {
            let text =
                format!("there is no listener {name:?} in this runtime: `TcpListener::bind`");
            io::Error::new(io::ErrorKind::ConnectionRefused, text)
        };
        let listening = network.state.lock().listeners.get(&name).cloned();
        let listening = listening.ok_or_else(refused)?;
        let (local, peer) = (network.address(), name.parse().ok());
        let peer = peer.unwrap_or_else(|| network.address());
        let (near, far) = duplex(ROOM);
        let stream = |(reader, writer), local, peer| {
            let network = network.clone();
            TcpStream { reader, writer, local, peer, network }
        };
        let far = stream((far.reader, far.writer), peer, local);
        let woken = {
            let mut queue = listening.queue.lock();
            if queue.closed {
                drop(queue);
                return Err(refused());
            }
            queue.streams.push_back(far);
            std::mem::take(&mut queue.wakers)
        };
        woken.into_iter().for_each(|waker| quietly(|| waker.wake()));
        Ok(stream((near.reader, near.writer), local, peer))
    }

    /// The address of this end, which was made up.
    ///
    /// # Errors
    ///
    /// None, here and below.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }

    /// Has no effect: what is written is on its way at once, or as the seed decides.
    pub fn set_nodelay(&self, _nodelay: bool) -> io::Result<()> {
        Ok(())
    }

    /// Two halves, each of which has its own task. Dropping the writing one shuts down writing.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let TcpStream { reader, writer, network, .. } = self;
        (OwnedReadHalf { reader, _network: network }, OwnedWriteHalf { writer })
    }
}

traits!(TcpStream, reader);
traits!(TcpStream, writer);
traits!(OwnedReadHalf, reader);
traits!(OwnedWriteHalf, writer);
