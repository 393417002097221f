//! The halves of a `UnixStream`.

use super::addr::SocketAddr;
use super::stream::UnixStream;

crate::net::halves::halves!(UnixStream, mio::net::UnixStream, SocketAddr);
