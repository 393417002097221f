//! Unix sockets and pipes, as [`tokio::net::unix`](https://docs.rs/tokio/1.54/tokio/net/unix/).

mod datagram;
pub mod pipe;
mod socket;
mod stream;

pub use threadlet::net::unix::{SocketAddr, UCred, gid_t, pid_t, uid_t};

pub use self::datagram::UnixDatagram;
pub use self::socket::UnixSocket;
pub use self::stream::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, UnixListener, UnixStream, WriteHalf,
};
