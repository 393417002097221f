//! axum's routers on this runtime, by `threadlet::axum::serve`. No runtime of tokio's is there.

mod support;

use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::handler::{Handler, HandlerWithoutStateExt};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::channel::oneshot;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::server::conn::auto::upgrade::downcast;
use serde::{Deserialize, Serialize};
use threadlet::axum::{Listener, serve};
use threadlet::hyper1::Executor;
use threadlet::net::{TcpListener, TcpStream, UnixListener, UnixStream, unix};
use threadlet::task::JoinHandle;
use threadlet::{threadlet, time};

use support::each;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    of: Vec<u32>,
    sum: u32,
}

async fn sum(Json(of): Json<Vec<u32>>) -> Json<Sum> {
    Json(Sum { sum: of.iter().sum(), of })
}

async fn greet(State(greeting): State<Arc<str>>, Path(name): Path<String>) -> String {
    format!("{greeting}, {name}")
}

async fn is_tokio_there() -> String {
    tokio::runtime::Handle::try_current().is_ok().to_string()
}

fn router() -> Router {
    let hello: Arc<str> = "hello".into();
    let router = Router::new().route("/greet/{name}", get(greet)).route("/sum", post(sum));
    router.route("/tokio", get(is_tokio_there)).with_state(hello)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A client over a connection; it ends when the sender is dropped.
async fn client(
    io: impl Read + Write + Unpin + Send + 'static,
) -> (http1::SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let (client, connection) = http1::handshake(io).await.unwrap();
    (client, threadlet::spawn(connection))
}

async fn send(client: &mut http1::SendRequest<Body>, request: Request) -> (StatusCode, String) {
    let response = client.send_request(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn request(method: Method, path: &str, body: &str) -> Request {
    let request = Request::builder().method(method).uri(path).header("host", "here");
    request.header("content-type", "application/json").body(body.to_owned().into()).unwrap()
}

fn ask(path: &str) -> Request {
    request(Method::GET, path, "")
}

#[test]
fn a_router_is_served_over_tcp() {
    each(|| async {
        let (listener, address) = listen().await;
        let server = serve(listener, router());
        assert_eq!(server.local_addr().unwrap(), address);
        let server = threadlet::spawn(server.into_future());
        let (mut client, _connection) = client(TcpStream::connect(address).await.unwrap()).await;
        let good = |text: &str| (StatusCode::OK, text.to_owned());
        assert_eq!(send(&mut client, ask("/greet/Ann")).await, good("hello, Ann"));
        assert_eq!(send(&mut client, ask("/tokio")).await, good("false"));
        let (status, text) = send(&mut client, request(Method::POST, "/sum", "[1, 2, 3]")).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"of":[1,2,3],"sum":6}"#));
        assert_eq!(send(&mut client, ask("/nothing")).await.0, StatusCode::NOT_FOUND);
        let (status, _) = send(&mut client, ask("/sum")).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        server.abort();
    });
}

/// Two workers, and as many handlers in calls that block: a third client is answered meanwhile.
#[test]
fn a_handler_that_blocks_holds_up_nobody() {
    each(|| async {
        let (listener, address) = listen().await;
        let (let_go, waits) = std::sync::mpsc::channel::<()>();
        let waits = Arc::new(std::sync::Mutex::new(waits));
        let inside = Arc::new(AtomicUsize::new(0));
        let count = inside.clone();
        let block = move |said: bool| {
            let (waits, count) = (waits.clone(), count.clone());
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                let wait = || waits.lock().unwrap().recv().map_err(|error| error.to_string());
                if said { threadlet!(wait()) } else { wait() }.map(|()| "waited")
            }
        };
        let (said, unsaid) = (block.clone(), block);
        let router = router()
            .route("/said", get(move || said(true)))
            .route("/unsaid", get(move || unsaid(false)));
        let server = threadlet::spawn(serve(listener, router).into_future());
        let blocked = ["/said", "/unsaid", "/said", "/unsaid"].map(|path| {
            threadlet::spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                let (mut client, _connection) = client(stream).await;
                send(&mut client, ask(path)).await
            })
        });
        while inside.load(Ordering::SeqCst) < blocked.len() {
            time::sleep(Duration::from_millis(1)).await;
        }
        let (mut client, _connection) = client(TcpStream::connect(address).await.unwrap()).await;
        assert_eq!(send(&mut client, ask("/greet/Bob")).await.1, "hello, Bob");
        for _ in &blocked {
            let_go.send(()).unwrap();
        }
        for blocked in blocked {
            assert_eq!(blocked.await.unwrap(), (StatusCode::OK, "waited".to_owned()));
        }
        server.abort();
    });
}

/// What is under way is answered, who waits for nothing is sent away, nobody new is let in, and not
/// before all that the server is done.
#[test]
fn it_stops_gracefully() {
    each(|| async {
        let (listener, address) = listen().await;
        let (begun, is_begun) = oneshot::channel::<()>();
        let (let_go, goes) = oneshot::channel::<()>();
        let parts = Arc::new(std::sync::Mutex::new(Some((begun, goes))));
        let slow = get(move || async move {
            let (begun, goes) = parts.lock().unwrap().take().unwrap();
            begun.send(()).unwrap();
            goes.await.unwrap();
            "done"
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let server = serve(listener, Router::new().route("/slow", slow));
        let server = server.with_graceful_shutdown(async { stopped.await.unwrap() });
        assert_eq!(server.local_addr().unwrap(), address);
        let mut server = threadlet::spawn(server.into_future());

        let mut idle = TcpStream::connect(address).await.unwrap();
        let (mut used, used_connection) = client(TcpStream::connect(address).await.unwrap()).await;
        assert_eq!(send(&mut used, ask("/nothing")).await.0, StatusCode::NOT_FOUND);
        let (mut slow, _connection) = client(TcpStream::connect(address).await.unwrap()).await;
        let under_way = threadlet::spawn(async move { send(&mut slow, ask("/slow")).await });
        is_begun.await.unwrap();

        stop.send(()).unwrap();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        used_connection.await.unwrap().unwrap();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let early = time::timeout(Duration::from_millis(50), &mut server).await;
        assert!(early.is_err(), "it waits for the answer that is under way");
        let_go.send(()).unwrap();
        assert_eq!(under_way.await.unwrap(), (StatusCode::OK, "done".to_owned()));
        server.await.unwrap().unwrap();
    });
}

/// The signal may be there before anybody waits for it.
#[test]
fn a_server_that_is_stopped_from_the_first_is_done() {
    each(|| async {
        let (listener, _) = listen().await;
        serve(listener, router()).with_graceful_shutdown(async {}).await.unwrap();
    });
}

#[test]
fn handlers_know_whose_request_it_is() {
    each(|| async {
        let (listener, address) = listen().await;
        let tell =
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() });
        let service = Router::new().route("/", tell);
        let service = service.into_make_service_with_connect_info::<SocketAddr>();
        let server = threadlet::spawn(serve(listener, service).into_future());
        let stream = TcpStream::connect(address).await.unwrap();
        let me = stream.local_addr().unwrap();
        let (mut client, _connection) = client(stream).await;
        assert_eq!(send(&mut client, ask("/")).await.1, me.to_string());
        server.abort();
    });
}

#[test]
fn a_router_is_served_over_a_unix_socket() {
    each(|| async {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("threadlet-axum-{}-{count}", std::process::id());
        let name = std::os::unix::net::SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let std_listener = std::os::unix::net::UnixListener::bind_addr(&name).unwrap();
        std_listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(std_listener).unwrap();
        let tell = get(|ConnectInfo(peer): ConnectInfo<unix::SocketAddr>| async move {
            peer.is_unnamed().to_string()
        });
        let service = router().route("/", tell);
        let service = service.into_make_service_with_connect_info::<unix::SocketAddr>();
        let server = threadlet::spawn(serve(listener, service).into_future());

        let std_stream = std::os::unix::net::UnixStream::connect_addr(&name).unwrap();
        std_stream.set_nonblocking(true).unwrap();
        let (mut client, _connection) = client(UnixStream::from_std(std_stream).unwrap()).await;
        assert_eq!(send(&mut client, ask("/greet/Ann")).await.1, "hello, Ann");
        assert_eq!(send(&mut client, ask("/")).await.1, "true");
        server.abort();
    });
}

#[test]
fn all_that_axum_takes_is_taken() {
    async fn hello() -> impl IntoResponse {
        "hello"
    }
    async fn is_served(server: impl IntoFuture<IntoFuture = Served> + Send, address: SocketAddr) {
        let server = threadlet::spawn(server.into_future());
        let (mut client, _connection) = client(TcpStream::connect(address).await.unwrap()).await;
        assert_eq!(send(&mut client, ask("/")).await, (StatusCode::OK, "hello".to_owned()));
        server.abort();
    }
    type Served = futures::future::BoxFuture<'static, io::Result<()>>;
    each(|| async {
        let (listener, address) = listen().await;
        is_served(serve(listener, get(hello)), address).await;
        let (listener, address) = listen().await;
        is_served(serve(listener, hello.into_service()), address).await;
        let (listener, address) = listen().await;
        is_served(serve(listener, hello.with_state(())), address).await;
        let (listener, address) = listen().await;
        is_served(serve(listener, hello.into_make_service()), address).await;
        let (listener, address) = listen().await;
        let router = Router::new().route("/", get(hello));
        is_served(serve(listener, router.into_make_service()), address).await;
    });
}

/// Something between: here a listener that lets in one connection of two.
#[test]
fn a_listener_may_be_one_s_own() {
    struct EverySecond(TcpListener);
    impl Listener for EverySecond {
        type Io = TcpStream;
        type Addr = usize;
        async fn accept(&mut self) -> (TcpStream, usize) {
            drop(Listener::accept(&mut self.0).await);
            (Listener::accept(&mut self.0).await.0, 2)
        }
        fn local_addr(&self) -> io::Result<usize> {
            Ok(0)
        }
    }
    each(|| async {
        let (listener, address) = listen().await;
        let server = threadlet::spawn(serve(EverySecond(listener), router()).into_future());
        let mut first = TcpStream::connect(address).await.unwrap();
        let (mut client, _connection) = client(TcpStream::connect(address).await.unwrap()).await;
        assert_eq!(send(&mut client, ask("/greet/Ann")).await.1, "hello, Ann");
        assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
        server.abort();
    });
}

#[test]
fn a_connection_may_become_something_else() {
    async fn shout(request: Request) -> impl IntoResponse {
        threadlet::spawn(async move {
            let io = hyper::upgrade::on(request).await.unwrap();
            let parts = downcast::<TcpStream>(io).expect("it is our own stream");
            let (mut stream, mut text) = (parts.io, parts.read_buf.to_vec());
            stream.read_to_end(&mut text).await.unwrap();
            stream.write_all(&text.to_ascii_uppercase()).await.unwrap();
            stream.close().await.unwrap();
        });
        (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
    }
    each(|| async {
        let (listener, address) = listen().await;
        let router = Router::new().route("/", get(shout));
        let server = threadlet::spawn(serve(listener, router).into_future());
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "GET / HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";
        stream.write_all(format!("{head}not so ").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        stream.write_all(b"loud").await.unwrap();
        stream.close().await.unwrap();
        let mut loud = String::new();
        stream.read_to_string(&mut loud).await.unwrap();
        assert_eq!(loud, "NOT SO LOUD");
        server.abort();
    });
}

/// axum's own feature `http2` brings it.
#[test]
fn http_2_is_spoken_where_axum_s_feature_is_on() {
    each(|| async {
        let (listener, address) = listen().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = serve(listener, router());
        let server = server.with_graceful_shutdown(async { stopped.await.unwrap() });
        let server = threadlet::spawn(server.into_future());
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = http2::handshake(Executor::new(), stream).await.unwrap();
        let connection = threadlet::spawn(connection);
        for n in 0..10 {
            let request = Request::get(format!("http://here/greet/{n}")).body(Body::empty());
            let response = client.clone().send_request(request.unwrap()).await.unwrap();
            let body = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
            assert_eq!(body, format!("hello, {n}"));
        }
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    });
}
