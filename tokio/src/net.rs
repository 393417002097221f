//! Sockets, as [`tokio::net`](https://docs.rs/tokio/1.54/tokio/net/).

mod methods;
pub mod tcp;
mod udp;
pub mod unix;

pub use threadlet::net::{ToSocketAddrs, lookup_host};

pub use self::tcp::{TcpListener, TcpSocket, TcpStream};
pub use self::udp::UdpSocket;
pub use self::unix::{UnixDatagram, UnixListener, UnixSocket, UnixStream};
