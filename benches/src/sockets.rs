//! Echo over sockets: TCP and Unix streams with 256 connections, and datagrams.
//!
//! Both ends are tasks of the runtime that is measured: each client sends 64 bytes and waits until
//! they are back, again and again. So a round trip is two reads, two writes and two wake-ups, with
//! nothing of HTTP around them.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::harness::{Plan, interleave};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::suite::{Figure, Suite};

/// Pairs of a client and a server.
const PAIRS: usize = 256;

/// Bytes of a message.
const MESSAGE: usize = 64;

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Sockets;

impl Suite for Sockets {
    const FIGURES: &'static [(&'static str, Figure)] =
        &[("tcp", tcp), ("unix", unix), ("udp", udp)];
}

/// Sockets by tokio's names.
trait Echo: Peer {
    type Tcp: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    type Unix: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    type Udp: Send + Sync + 'static;

    fn tcp_pairs(count: usize) -> impl Future<Output = Vec<(Self::Tcp, Self::Tcp)>> + Send;

    fn unix_pair() -> (Self::Unix, Self::Unix);

    fn udp() -> impl Future<Output = (Self::Udp, SocketAddr)> + Send;

    fn send(socket: &Self::Udp, bytes: &[u8], to: SocketAddr) -> impl Future<Output = ()> + Send;

    fn receive(
        socket: &Self::Udp,
        buf: &mut [u8],
    ) -> impl Future<Output = (usize, SocketAddr)> + Send;
}

macro_rules! echo {
    ($library:ident) => {
        impl Echo for $library::runtime::Runtime {
            type Tcp = $library::net::TcpStream;
            type Unix = $library::net::UnixStream;
            type Udp = $library::net::UdpSocket;

            async fn tcp_pairs(count: usize) -> Vec<(Self::Tcp, Self::Tcp)> {
                let listener = $library::net::TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                let mut pairs = Vec::new();
                for _ in 0..count {
                    let client = Self::Tcp::connect(address).await.expect("it listens");
                    let (server, _from) = listener.accept().await.expect("it has connected");
                    client.set_nodelay(true).expect("it is open");
                    server.set_nodelay(true).expect("it is open");
                    pairs.push((client, server));
                }
                pairs
            }

            fn unix_pair() -> (Self::Unix, Self::Unix) {
                Self::Unix::pair().expect("two descriptors")
            }

            async fn udp() -> (Self::Udp, SocketAddr) {
                let socket = Self::Udp::bind("127.0.0.1:0").await.expect("a free port");
                let address = socket.local_addr().expect("it is bound");
                (socket, address)
            }

            async fn send(socket: &Self::Udp, bytes: &[u8], to: SocketAddr) {
                let sent = socket.send_to(bytes, to).await.expect("it is open");
                assert_eq!(sent, bytes.len());
            }

            async fn receive(socket: &Self::Udp, buf: &mut [u8]) -> (usize, SocketAddr) {
                socket.recv_from(buf).await.expect("it is open")
            }
        }
    };
}

echo!(threadlet);
echo!(tokio);

/// Round trips in a second, of all together.
async fn of_streams<P: Peer, S>(pairs: Vec<(S, S)>, trips: usize) -> f64
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let count = pairs.len() * trips;
    let begin = Instant::now();
    let clients: Vec<_> = pairs
        .into_iter()
        .map(|(mut client, mut server)| {
            drop(P::spawn(async move {
                let mut message = [0; MESSAGE];
                while server.read_exact(&mut message).await.is_ok() {
                    server.write_all(&message).await.expect("the client waits");
                }
            }));
            P::spawn(async move {
                let mut message = [0; MESSAGE];
                for n in 0..trips {
                    message[0] = n as u8;
                    client.write_all(&message).await.expect("the server reads");
                    client.read_exact(&mut message).await.expect("the server answers");
                    assert_eq!(message[0], n as u8);
                }
            })
        })
        .collect();
    for client in clients {
        client.await;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

fn tcp(plan: &Plan) -> Vec<Row> {
    let trips = plan.size(200, 10);
    compare(
        plan,
        "TCP echo, 256 connections: round trips/s, ours / tokio",
        || tcp_on(&plan.runtime(), trips),
        || tcp_on(&plan.tokio(), trips),
    )
}

fn tcp_on<P: Echo>(runtime: &P, trips: usize) -> f64 {
    runtime.run(async move {
        let pairs = P::tcp_pairs(PAIRS).await;
        of_streams::<P, _>(pairs, trips).await
    })
}

fn unix(plan: &Plan) -> Vec<Row> {
    let trips = plan.size(200, 10);
    compare(
        plan,
        "Unix echo, 256 connections: round trips/s, ours / tokio",
        || unix_on(&plan.runtime(), trips),
        || unix_on(&plan.tokio(), trips),
    )
}

fn unix_on<P: Echo>(runtime: &P, trips: usize) -> f64 {
    runtime.run(async move {
        let pairs = (0..PAIRS).map(|_| P::unix_pair()).collect();
        of_streams::<P, _>(pairs, trips).await
    })
}

fn udp(plan: &Plan) -> Vec<Row> {
    let trips = plan.size(200, 10);
    compare(
        plan,
        "UDP echo, 256 sockets: round trips/s, ours / tokio",
        || udp_on(&plan.runtime(), trips),
        || udp_on(&plan.tokio(), trips),
    )
}

fn udp_on<P: Echo>(runtime: &P, trips: usize) -> f64 {
    runtime.run(async move {
        let mut ends = Vec::new();
        for _ in 0..PAIRS {
            ends.push((P::udp().await, P::udp().await));
        }
        let begin = Instant::now();
        let clients: Vec<_> = ends
            .into_iter()
            .map(|((client, _), (server, to))| {
                drop(P::spawn(async move {
                    let mut message = [0; MESSAGE];
                    for _ in 0..trips {
                        let (length, from) = P::receive(&server, &mut message).await;
                        P::send(&server, &message[..length], from).await;
                    }
                }));
                P::spawn(async move {
                    let mut message = [0; MESSAGE];
                    for _ in 0..trips {
                        // Between two sockets of this machine, with one on its way, none is lost.
                        P::send(&client, &message, to).await;
                        assert_eq!(P::receive(&client, &mut message).await, (MESSAGE, to));
                    }
                })
            })
            .collect();
        for client in clients {
            client.await;
        }
        (PAIRS * trips) as f64 / begin.elapsed().as_secs_f64()
    })
}

fn compare(
    plan: &Plan,
    what: &'static str,
    ours: impl FnMut() -> f64,
    theirs: impl FnMut() -> f64,
) -> Vec<Row> {
    let (ours, theirs) = interleave(plan.rounds(15), ours, theirs);
    let side = |name, samples| Side::new(name, Unit::PerSecond, samples);
    vec![Row::quotient(what, Bar::AtLeast(1.0), side("ours", &ours), side("tokio", &theirs))]
}
