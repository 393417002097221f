//! Addresses: literal ones are parsed, names are looked up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What [`bind`](super::TcpListener::bind), [`connect`](super::TcpStream::connect) and
/// [`lookup_host`] take for an address.
///
/// It is implemented for what [`std::net::ToSocketAddrs`] is implemented for, and can be for types
/// of yours. It is a trait of its own because the standard one does not say whether it is going to
/// ask a name server: here a literal address never leaves the thread.
///
/// # Examples
///
/// ```
/// use std::io;
/// use threadlet::net::{Target, ToSocketAddrs, lookup_host};
///
/// struct Service {
///     host: String,
/// }
///
/// impl ToSocketAddrs for Service {
///     fn target(&self) -> io::Result<Target> {
///         (self.host.as_str(), 8080).target()
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// threadlet::block_on(async {
///     let service = Service { host: "127.0.0.1".into() };
///     for address in lookup_host(service).await? {
///         assert_eq!(address.to_string(), "127.0.0.1:8080");
///     }
///     Ok(())
/// })
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address of a socket",
    label = "no address, and no name and port",
    note = "an address is text of the form \"host:port\", a pair (host, port), or a `SocketAddr`",
    note = "for a type of yours implement `threadlet::net::ToSocketAddrs`"
)]
pub trait ToSocketAddrs {
    /// What is meant, found out without asking anybody.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not an address at all.
    fn target(&self) -> io::Result<Target>;
}

/// What an address turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing has to be looked up.
    Addresses(Vec<SocketAddr>),
    /// A name, which is looked up, and a port.
    Host(String, u16),
}

/// Looks a name up, as the system does it: in its files, and by its name servers.
///
/// The call of the C library is a call in place, in a task of its own: a name that stands in
/// `/etc/hosts` costs no thread, and while a name server keeps silent the runtime's other tasks go
/// on. A literal address is looked up nowhere.
///
/// # Cancel safety
///
/// Cancelled, nothing is lost. A look-up that has begun goes on alone until the C library gives up.
///
/// # Errors
///
/// What the C library says; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not an address
/// at all.
///
/// # Panics
///
/// If the future is polled outside a runtime, and there is a name to be looked up.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let mut found = threadlet::net::lookup_host("localhost:80").await?;
///     assert!(found.all(|address| address.ip().is_loopback() && address.port() == 80));
///     Ok(())
/// })
/// # }
/// ```
pub async fn lookup_host<T: ToSocketAddrs>(
    host: T,
) -> io::Result<impl Iterator<Item = SocketAddr>> {
    Ok(found(host.target()?).await?.into_iter())
}

/// The addresses `target` stands for, at least one. Cancelled, nothing is lost.
pub(super) async fn addresses(target: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let addresses = found(target.target()?).await?;
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to try"));
    }
    Ok(addresses)
}

async fn found(target: Target) -> io::Result<Vec<SocketAddr>> {
    match target {
        Target::Addresses(addresses) => Ok(addresses),
        Target::Host(name, port) => {
            resolve(move || {
                let found = std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port))?;
                Ok(found.collect())
            })
            .await
        }
    }
}

/// Runs a look-up, which may block, in a task of its own: the wait for it can be given up.
async fn resolve<F>(look_up: F) -> io::Result<Vec<SocketAddr>>
where
    F: FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    crate::task::spawn_blocking(look_up).await?
}

fn host(name: &str, port: u16) -> Target {
    match name.parse::<IpAddr>() {
        Ok(ip) => Target::Addresses(vec![SocketAddr::new(ip, port)]),
        Err(_) => Target::Host(name.to_owned(), port),
    }
}

macro_rules! literal {
    ($($type:ty),*) => {$(
        impl ToSocketAddrs for $type {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Addresses(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

literal!(SocketAddr, SocketAddrV4, SocketAddrV6);
literal!((IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(address) = self.parse() {
            return Ok(Target::Addresses(vec![address]));
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

impl ToSocketAddrs for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(host(self.0, self.1))
    }
}

impl ToSocketAddrs for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        Ok(host(&self.0, self.1))
    }
}

impl ToSocketAddrs for &[SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addresses(self.to_vec()))
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(address: impl ToSocketAddrs) -> Option<Vec<SocketAddr>> {
        match address.target() {
            Ok(Target::Addresses(addresses)) => Some(addresses),
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
        assert!(matches!(named, Target::Host(name, 81) if name == "localhost"));
        for bad in ["", "localhost", "localhost:", "localhost:65536", "localhost:http"] {
            let error = bad.target().expect_err(bad);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }
}
