//! TCP, UDP, Unix sockets and pipes over the runtime's reactor.
//!
//! The names are tokio's. What is a stream of bytes implements the traits of `futures-io`, and with
//! the feature `tokio1` also tokio's. A socket belongs to the runtime in whose context it was made;
//! once that has shut down its operations fail with an error that says so.
//!
//! An operation is tried at once, and only if it would block does the task wait for the reactor.

mod addr;
mod buf;
mod datagram;
mod exhausted;
#[allow(unsafe_code, reason = "whoever gives a descriptor by its number says whose it is")]
mod from_raw;
mod halves;
pub(crate) mod methods;
#[cfg(feature = "test-util")]
pub mod sim;
pub mod tcp;
mod udp;
pub mod unix;

pub use self::addr::{Target, ToSocketAddrs, lookup_host};
pub use self::buf::PollBuf;
pub use self::tcp::listener::{Incoming, TcpListener};
pub use self::tcp::socket::TcpSocket;
pub use self::tcp::stream::TcpStream;
pub use self::udp::UdpSocket;
pub use self::unix::datagram::UnixDatagram;
pub use self::unix::listener::UnixListener;
pub use self::unix::socket::UnixSocket;
pub use self::unix::stream::UnixStream;
