//! Addresses: literal ones are parsed, names are looked up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What [`TcpListener::bind`](super::TcpListener::bind) and
/// [`TcpStream::connect`](super::TcpStream::connect) take for an address.
///
/// It is implemented for the same types as [`std::net::ToSocketAddrs`], and cannot be implemented
/// elsewhere. It is a trait of its own because the standard one does not say whether it is going to
/// ask a name server: here a literal address never leaves the thread.
pub trait ToSocketAddrs: sealed::Sealed {}

impl<T: sealed::Sealed + ?Sized> ToSocketAddrs for T {}

mod sealed {
    /// What an address turned out to be.
    #[derive(Debug)]
    pub enum Target {
        /// Nothing has to be looked up.
        Literal(Vec<super::SocketAddr>),
        /// A name and a port.
        Name(String, u16),
    }

    /// The private half of `ToSocketAddrs`.
    pub trait Sealed {
        /// Parses, without asking anybody.
        fn target(&self) -> super::io::Result<Target>;
    }
}

use sealed::{Sealed, Target};

/// The addresses `target` stands for, at least one. Cancelled, nothing is lost.
pub(super) async fn addresses(target: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let target = target.target()?;
    let addresses = match target {
        Target::Literal(addresses) => addresses,
        Target::Name(name, port) => {
            resolve(move || {
                let found = std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port))?;
                Ok(found.collect())
            })
            .await?
        }
    };
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to try"));
    }
    Ok(addresses)
}

/// Runs a look-up, which blocks.
async fn resolve<F>(look_up: F) -> io::Result<Vec<SocketAddr>>
where
    F: FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    crate::task::spawn_blocking(look_up).await?
}

fn host(name: &str, port: u16) -> Target {
    match name.parse::<IpAddr>() {
        Ok(ip) => Target::Literal(vec![SocketAddr::new(ip, port)]),
        Err(_) => Target::Name(name.to_owned(), port),
    }
}

macro_rules! literal {
    ($($type:ty),*) => {$(
        impl Sealed for $type {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Literal(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

literal!(SocketAddr, SocketAddrV4, SocketAddrV6);
literal!((IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl Sealed for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse() {
            return Ok(Target::Literal(vec![address]));
        }
        let (name, port) = self.rsplit_once(':').ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{self:?} is not an address of the form host:port"),
            )
        })?;
        let port = port.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{port:?} is not a port number (in {self:?})"),
            )
        })?;
        Ok(host(name, port))
    }
}

impl Sealed for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl Sealed for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(host(self.0, self.1))
    }
}

impl Sealed for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(host(&self.0, self.1))
    }
}

impl Sealed for &[SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Literal(self.to_vec()))
    }
}

impl<T: Sealed + ?Sized> Sealed for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(address: impl ToSocketAddrs) -> Option<Vec<SocketAddr>> {
        match address.target() {
            Ok(Target::Literal(addresses)) => Some(addresses),
            _ => None,
        }
    }

    #[test]
    fn literals_are_not_looked_up() {
        let v4 = SocketAddr::from(([127, 0, 0, 1], 80));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
        assert_eq!(literal("127.0.0.1:80"), Some(vec![v4]));
        assert_eq!(literal(String::from("[::1]:80")), Some(vec![v6]));
        assert_eq!(literal(("::1", 80)), Some(vec![v6]));
        assert_eq!(literal((String::from("127.0.0.1"), 80)), Some(vec![v4]));
        assert_eq!(literal((Ipv4Addr::LOCALHOST, 80)), Some(vec![v4]));
        assert_eq!(literal(v6), Some(vec![v6]));
        assert_eq!(literal(&[v4, v6][..]), Some(vec![v4, v6]));
        let by_reference: &&SocketAddr = &&v4;
        assert_eq!(literal(by_reference), Some(vec![v4]));
    }

    #[test]
    fn names_and_nonsense_are_told_apart() {
        let named = "localhost:81".target().expect("well formed");
        assert!(matches!(named, Target::Name(name, 81) if name == "localhost"));
        for bad in ["", "localhost", "localhost:", "localhost:65536", "localhost:http"] {
            let error = bad.target().expect_err(bad);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }
}
