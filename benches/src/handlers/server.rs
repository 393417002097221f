//! The same hyper server on both runtimes, and the ways in which its handler sleeps.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use threadlet::threadlet;

use crate::peer::Peer;

/// How long the handler of a slow request sleeps.
pub(crate) const SLEEP: Duration = Duration::from_millis(50);

/// Who asks for this has a handler that sleeps.
pub(crate) const SLOW: &str = "/slow";

/// What every request is answered.
const BODY: &str = "hello";

/// A runtime with sockets, as hyper takes them.
pub(crate) trait Sockets: Peer + 'static {
    type Listener: Send + 'static;
    type Stream: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static;

    fn listen() -> impl Future<Output = (Self::Listener, SocketAddr)> + Send;

    fn accept(listener: &mut Self::Listener) -> impl Future<Output = Self::Stream> + Send;
}

macro_rules! sockets {
    ($library:ident, $stream:ty, $wrap:expr) => {
        impl Sockets for $library::runtime::Runtime {
            type Listener = $library::net::TcpListener;
            type Stream = $stream;

            async fn listen() -> (Self::Listener, SocketAddr) {
                let listener = Self::Listener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                (listener, address)
            }

            async fn accept(listener: &mut Self::Listener) -> Self::Stream {
                let (stream, _from) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("it is open");
                $wrap(stream)
            }
        }
    };
}

// Each as its own API has it: ours have hyper's traits, tokio's an adapter around them.
sockets!(threadlet, threadlet::net::TcpStream, std::convert::identity);
sockets!(tokio, TokioIo<tokio::net::TcpStream>, TokioIo::new);
sockets!(facade, TokioIo<facade::net::TcpStream>, TokioIo::new);

/// A way for a handler to sleep, on a runtime.
pub(crate) trait Way: 'static {
    type Runtime: Sockets;

    fn sleep() -> impl Future<Output = ()> + Send;
}

/// A plain call, as most people write it: nothing says that it blocks.
pub(crate) struct Silent<R>(R);

impl<R: Sockets> Way for Silent<R> {
    type Runtime = R;

    async fn sleep() {
        std::thread::sleep(SLEEP);
    }
}

/// In place, and marked.
pub(crate) struct Marked;

impl Way for Marked {
    type Runtime = threadlet::runtime::Runtime;

    async fn sleep() {
        threadlet!(std::thread::sleep(SLEEP));
    }
}

/// On another thread.
pub(crate) struct SpawnBlocking;

impl Way for SpawnBlocking {
    type Runtime = tokio::runtime::Runtime;

    async fn sleep() {
        let call = tokio::task::spawn_blocking(|| std::thread::sleep(SLEEP));
        call.await.expect("it sleeps well");
    }
}

/// Starts a server that does so with each connection; it goes with its runtime.
pub(crate) fn start<R: Sockets, F>(
    runtime: &R,
    serve: impl Fn(R::Stream) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    runtime.run(async {
        let (mut listener, address) = R::listen().await;
        drop(R::spawn(async move {
            loop {
                let stream = R::accept(&mut listener).await;
                drop(R::spawn(serve(stream)));
            }
        }));
        address
    })
}

/// One connection, until the client closes it.
pub(crate) async fn says_hello<W: Way>(stream: <W::Runtime as Sockets>::Stream) {
    let service = service_fn(hello::<W>);
    // An error is a client that went while its handler slept: that is how each round ends.
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}

async fn hello<W: Way>(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    if request.uri().path() == SLOW {
        W::sleep().await;
    }
    Ok(Response::new(BODY.to_owned()))
}
