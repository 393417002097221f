//! `SocketAddr`: a path, an abstract name, or nothing.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;

use socket2::SockAddr;

/// The address of a Unix socket: a path, a name in the abstract namespace, or none. It is the
/// standard library's, by another name.
///
/// # Examples
///
/// ```
/// use std::os::linux::net::SocketAddrExt;
/// use threadlet::net::unix::SocketAddr;
///
/// # fn main() -> std::io::Result<()> {
/// let address = std::os::unix::net::SocketAddr::from_abstract_name(b"here")?;
/// let address = SocketAddr::from(address);
/// assert_eq!(address.as_abstract_name(), Some(&b"here"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SocketAddr(pub(super) net::SocketAddr);

impl SocketAddr {
    /// Whether there is no name.
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// The path, if it is one.
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// The name in the abstract namespace, if it is one; without the zero byte in front.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        self.0.as_abstract_name()
    }

    /// A path; or, with a zero byte in front, an abstract name.
    pub(super) fn from_path(path: &Path) -> io::Result<SocketAddr> {
        let address = match path.as_os_str().as_bytes().strip_prefix(b"\0") {
            Some(name) => net::SocketAddr::from_abstract_name(name)?,
            None => net::SocketAddr::from_pathname(path)?,
        };
        Ok(SocketAddr(address))
    }

    /// What socket2 has taken down of a peer.
    pub(super) fn from_socket2(from: SockAddr) -> io::Result<SocketAddr> {
        let address = match (from.as_pathname(), from.as_abstract_namespace()) {
            (Some(path), _) => net::SocketAddr::from_pathname(path),
            (_, Some(name)) => net::SocketAddr::from_abstract_name(name),
            // No name at all.
            _ => net::SocketAddr::from_pathname(""),
        };
        address.map(SocketAddr)
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<net::SocketAddr> for SocketAddr {
    fn from(address: net::SocketAddr) -> Self {
        SocketAddr(address)
    }
}

impl From<SocketAddr> for net::SocketAddr {
    fn from(address: SocketAddr) -> Self {
        address.0
    }
}
