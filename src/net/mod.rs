//! TCP over the runtime's reactor.
//!
//! Sockets implement the `futures-io` traits. A socket belongs to the runtime in whose context it
//! was made; once that has shut down its operations fail with an error that says so.
//!
//! An operation is tried at once, and only if it would block does the task wait for the reactor.

mod addr;
mod split;
mod split_owned;
mod tcp_listener;
mod tcp_stream;
#[cfg(test)]
mod tests;

pub use self::addr::ToSocketAddrs;
pub use self::split::{ReadHalf, WriteHalf};
pub use self::split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use self::tcp_listener::{Incoming, TcpListener};
pub use self::tcp_stream::TcpStream;
