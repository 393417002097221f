//! axum 0.8 on this runtime: the feature `axum`.
//!
//! [`serve`] is `axum::serve` by another name: it takes the same routers and handlers, with our
//! listeners, and its connections are tasks of this runtime. So a call in a handler that blocks, said
//! or unsaid, holds up nobody else. (axum's own calls `tokio::spawn`.)
//!
//! ```no_run
//! use axum::Router;
//! use axum::routing::get;
//! use threadlet::net::TcpListener;
//! use threadlet::signal::ctrl_c;
//! use threadlet::threadlet;
//!
//! async fn hosts() -> Result<String, String> {
//!     threadlet!(std::fs::read_to_string("/etc/hosts")).map_err(|error| error.to_string())
//! }
//!
//! #[threadlet::main]
//! async fn main() -> std::io::Result<()> {
//!     let router = Router::new().route("/", get(hosts));
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     let stop = async { ctrl_c().await.expect("a listener of signals") };
//!     threadlet::axum::serve(listener, router).with_graceful_shutdown(stop).await
//! }
//! ```
//!
//! What of axum asks for tokio's runtime by itself does not run here: `Sse::keep_alive`, which
//! sleeps by tokio's timers, and the WebSockets of the feature `ws`, which spawn by tokio. (Where the
//! package `threadlet-tokio` stands in for tokio, all of it does, and so does `axum::serve`.)
//!
//! HTTP/1 is spoken, with upgrades; and HTTP/2 where the program enables axum's feature `http2`. A
//! client of HTTP/1 that does not send a whole request for 30 seconds is sent away, as is hyper's
//! default where there is a timer.

use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::future::{Future, IntoFuture, Ready, pending, poll_fn, ready};
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::Request;
use ::axum::extract::connect_info::Connected;
use ::axum::handler::{Handler, HandlerService};
use ::axum::response::Response;
use ::axum::routing::MethodRouter;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tower_service::Service;

use crate::hyper1::{Executor, Timer};
use crate::net::{TcpListener, TcpStream, UnixListener, UnixStream, unix};
use crate::time;

/// After an error of `accept` that is not one client's, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// What [`serve`] takes connections from. Implement it to put something between, as TLS.
pub trait Listener: Send + 'static {
    /// A connection.
    type Io: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static;

    /// An address.
    type Addr: Send;

    /// Waits for the next connection. Errors are this method's business: it waits a little if there is
    /// nothing better to do, and goes on.
    ///
    /// # Cancel safety
    ///
    /// It is dropped when the server stops: no connection that was accepted should be lost then.
    fn accept(&mut self) -> impl Future<Output = (Self::Io, Self::Addr)> + Send;

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn local_addr(&self) -> io::Result<Self::Addr>;
}

impl Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    /// Small answers go out at once (`TCP_NODELAY`).
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match TcpListener::accept(self).await {
                Ok((stream, peer)) => {
                    // It fails if the client has gone, which its reader will find out.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) => after(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

impl Listener for UnixListener {
    type Io = UnixStream;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (UnixStream, unix::SocketAddr) {
        loop {
            match UnixListener::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) => after(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        UnixListener::local_addr(self)
    }
}

async fn after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        time::sleep(PAUSE).await;
    }
}

/// A connection that has come: what a service is made for, and what `ConnectInfo` tells a handler of.
#[derive(Debug)]
pub struct IncomingStream<'a, L: Listener> {
    io: &'a L::Io,
    remote_addr: L::Addr,
}

impl<L: Listener> IncomingStream<'_, L> {
    /// The connection itself.
    pub fn io(&self) -> &L::Io {
        self.io
    }

    /// Whose it is.
    pub fn remote_addr(&self) -> &L::Addr {
        &self.remote_addr
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for SocketAddr {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        stream.remote_addr
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for unix::SocketAddr {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        stream.remote_addr
    }
}

/// What is its own service for each connection.
macro_rules! serves_itself {
    ([$($generics:tt)*] $type:ty, $of:path) => {
        impl<$($generics)*> Service<IncomingStream<'_, L>> for $type {
            type Response = Self;
            type Error = Infallible;
            type Future = Ready<Result<Self, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: IncomingStream<'_, L>) -> Self::Future {
                ready(Ok($of(self)))
            }
        }
    };
}

/// With a state, what a router does for the first request is done before it.
fn with_state(router: &Router) -> Router {
    router.clone().with_state(())
}

serves_itself!([L: Listener] Router<()>, with_state);
serves_itself!([L: Listener] MethodRouter<()>, Clone::clone);
serves_itself!(
    [H: Handler<T, ()>, T: 'static, L: Listener] HandlerService<H, T, ()>, Clone::clone
);

/// Serves `make_service` to whoever connects to `listener`: a `Router`, a `MethodRouter`, a handler
/// with `into_service`, or what `into_make_service` and `into_make_service_with_connect_info` give.
///
/// Await what it returns. It never is ready, unless a [graceful
/// shutdown](Serve::with_graceful_shutdown) ends it.
///
/// # Cancel safety
///
/// Dropped, it accepts no more; the connections that are there are tasks of their own and go on.
///
/// # Panics
///
/// Where it is awaited outside a runtime of this crate, as [`spawn`](crate::spawn()) does.
pub fn serve<L, M, S>(listener: L, make_service: M) -> Serve<L, M, S>
where
    L: Listener,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S>,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    Serve { listener, make_service, _services: PhantomData }
}

/// A server: see [`serve`].
#[must_use = "it serves when it is awaited"]
pub struct Serve<L, M, S> {
    listener: L,
    make_service: M,
    _services: PhantomData<fn() -> S>,
}

impl<L: Listener, M, S> Serve<L, M, S> {
    /// Stops when `signal` is ready: nobody new is let in, each connection ends behind the answer that
    /// is under way, and then the server's future is ready.
    ///
    /// It waits for as long as those answers take; put a [`timeout`](time::timeout()) around it to
    /// bound that.
    pub fn with_graceful_shutdown<F>(self, signal: F) -> WithGracefulShutdown<L, M, S, F>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        WithGracefulShutdown { serve: self, signal }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

/// A server that can be told to stop: see [`Serve::with_graceful_shutdown`].
#[must_use = "it serves when it is awaited"]
pub struct WithGracefulShutdown<L, M, S, F> {
    serve: Serve<L, M, S>,
    signal: F,
}

impl<L: Listener, M, S, F> WithGracefulShutdown<L, M, S, F> {
    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<L::Addr> {
        self.serve.local_addr()
    }
}

impl<L: Debug, M: Debug, S> Debug for Serve<L, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Serve");
        fields.field("listener", &self.listener).field("make_service", &self.make_service);
        fields.finish()
    }
}

impl<L: Debug, M: Debug, S, F> Debug for WithGracefulShutdown<L, M, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithGracefulShutdown").field("serve", &self.serve).finish_non_exhaustive()
    }
}

impl<L, M, S> IntoFuture for Serve<L, M, S>
where
    L: Listener,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + Send + 'static,
    for<'a> <M as Service<IncomingStream<'a, L>>>::Future: Send,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Output = io::Result<()>;
    type IntoFuture = BoxFuture<'static, io::Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        self.with_graceful_shutdown(pending()).into_future()
    }
}

impl<L, M, S, F> IntoFuture for WithGracefulShutdown<L, M, S, F>
where
    L: Listener,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + Send + 'static,
    for<'a> <M as Service<IncomingStream<'a, L>>>::Future: Send,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = BoxFuture<'static, io::Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self.serve, self.signal))
    }
}

async fn run<L, M, S>(
    serve: Serve<L, M, S>,
    signal: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()>
where
    L: Listener,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + Send + 'static,
    for<'a> <M as Service<IncomingStream<'a, L>>>::Future: Send,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let Serve { mut listener, mut make_service, .. } = serve;
    let mut signal = pin!(signal);
    // Each connection has a receiver, and drops it when it ends.
    let (stop, stopped) = watch::channel(());
    loop {
        let (io, remote_addr) = {
            let mut accepted = pin!(listener.accept());
            let next = poll_fn(|cx| match signal.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => accepted.as_mut().poll(cx).map(Some),
            });
            match next.await {
                Some(accepted) => accepted,
                None => break,
            }
        };
        let Ok(()) = poll_fn(|cx| make_service.poll_ready(cx)).await;
        let Ok(service) = make_service.call(IncomingStream { io: &io, remote_addr }).await;
        crate::spawn(connection(io, service, stopped.clone())).detach();
    }
    drop((listener, stopped));
    stop.send_replace(());
    stop.closed().await;
    Ok(())
}

/// One connection, to its end.
async fn connection<I, S>(io: I, service: S, stop: watch::Receiver<()>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut service = service.clone();
        async move {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(request.map(Body::new)).await
        }
    });
    let mut http = auto::Builder::new(Executor::new());
    http.http1().timer(Timer::new());
    let mut connection = pin!(http.serve_connection_with_upgrades(io, service));
    let mut listener = stop.clone();
    let mut told = pin!(listener.changed());
    // Who is woken by it. To wait takes a lock that connections share, so that is done once, and
    // again only if another is to be woken; to look takes none.
    let mut waiting: Option<Waker> = None;
    let mut ending = false;
    let ended = poll_fn(|cx| {
        let waits = waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !ending && (!waits || matches!(stop.has_changed(), Ok(true))) {
            waiting = Some(cx.waker().clone());
            // An error: the server's future was dropped, and this goes on as if it were there.
            if let Poll::Ready(told) = told.as_mut().poll(cx) {
                ending = true;
                if told.is_ok() {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        connection.as_mut().poll(cx)
    });
    // A client that goes in the middle, or does not speak HTTP, is nobody's business.
    drop(ended.await);
}
