//! Unix sockets and pipes.

pub(super) mod addr;
pub(super) mod datagram;
pub(super) mod listener;
pub mod pipe;
pub(super) mod socket;
mod split;
pub(super) mod stream;
#[cfg(test)]
mod tests;
mod ucred;

pub use self::addr::SocketAddr;
pub use self::socket::UnixSocket;
pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use self::ucred::UCred;

/// A user's number.
#[expect(non_camel_case_types, reason = "the system's name")]
pub type uid_t = u32;

/// A group's number.
#[expect(non_camel_case_types, reason = "the system's name")]
pub type gid_t = u32;

/// A process's number.
#[expect(non_camel_case_types, reason = "the system's name")]
pub type pid_t = i32;
