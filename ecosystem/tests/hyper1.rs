//! hyper on this runtime, with nothing between: its executor, its timer, its I/O traits.

mod support;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::io::AsyncReadExt;
use hyper::body::{Body, Incoming};
use hyper::rt::Timer as _;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use threadlet::hyper1::{Executor, Timer};
use threadlet::net::{TcpListener, TcpStream};
use threadlet::threadlet;

use support::each;

async fn text(mut body: Incoming) -> String {
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        all.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    String::from_utf8(all).unwrap()
}

/// Answers with the body that came, after a call that blocks if the path says so.
async fn echo(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let blocks = request.uri().path() == "/slow";
    let body = text(request.into_body()).await;
    threadlet!(if blocks {
        std::thread::sleep(Duration::from_millis(20));
    });
    Ok(Response::new(body))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn request(path: &str, body: &str) -> Request<String> {
    Request::post(path).header("host", "here").body(body.into()).unwrap()
}

#[test]
fn http_1_over_our_sockets() {
    each(|| async {
        let (listener, address) = listen().await;
        let server = threadlet::spawn(async move {
            let (stream, _from) = listener.accept().await.unwrap();
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(Timer::new()).serve_connection(stream, service_fn(echo)).await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let connection = threadlet::spawn(connection);
        for size in [0, 1, 100, 8191, 8192, 8193, 300_000] {
            let body = "x".repeat(size);
            let path = if size == 100 { "/slow" } else { "/" };
            let response = client.send_request(request(path, &body)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(text(response.into_body()).await, body);
        }
        drop(client);
        connection.await.unwrap().unwrap();
        server.await.unwrap();
    });
}

/// hyper spawns for each stream of HTTP/2: by `Executor`.
#[test]
fn http_2_spawns_with_the_executor() {
    each(|| async {
        let (listener, address) = listen().await;
        let server = threadlet::spawn(async move {
            let (stream, _from) = listener.accept().await.unwrap();
            let mut http = hyper::server::conn::http2::Builder::new(Executor::new());
            http.timer(Timer::new()).keep_alive_interval(Duration::from_millis(50));
            http.serve_connection(stream, service_fn(echo)).await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(Executor::new(), stream);
        let (client, connection) = handshake.await.unwrap();
        let connection = threadlet::spawn(connection);
        let asked: Vec<_> = (0..50)
            .map(|n| {
                let mut client = client.clone();
                threadlet::spawn(async move {
                    let path = format!("http://here{}", if n % 5 == 0 { "/slow" } else { "/" });
                    let body = format!("{n}").repeat(1000);
                    let response = client.send_request(request(&path, &body)).await.unwrap();
                    assert_eq!(text(response.into_body()).await, body);
                })
            })
            .collect();
        for asked in asked {
            asked.await.unwrap();
        }
        drop(client);
        connection.await.unwrap().unwrap();
        server.await.unwrap();
    });
}

#[test]
fn a_client_that_says_nothing_is_left_by_the_timer() {
    each(|| async {
        let (listener, address) = listen().await;
        let server = threadlet::spawn(async move {
            let (stream, _from) = listener.accept().await.unwrap();
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(Timer::new()).header_read_timeout(Duration::from_millis(50));
            let start = Instant::now();
            let error = http.serve_connection(stream, service_fn(echo)).await.unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert!(start.elapsed() >= Duration::from_millis(50));
        });
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(silent.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        server.await.unwrap();
    });
}

/// What a server does when it is told to stop: what is under way is answered, and nothing else.
#[test]
fn a_connection_is_ended_gracefully() {
    each(|| async {
        let (listener, address) = listen().await;
        let (stop, stopped) = futures::channel::oneshot::channel::<()>();
        let (begun, is_begun) = futures::channel::oneshot::channel::<()>();
        let server = threadlet::spawn(async move {
            let (stream, _from) = listener.accept().await.unwrap();
            let http = hyper::server::conn::http1::Builder::new();
            let begun = Mutex::new(Some(begun));
            let echo = service_fn(move |request| {
                drop(begun.lock().unwrap().take());
                echo(request)
            });
            let mut connection = std::pin::pin!(http.serve_connection(stream, echo));
            match futures::future::select(connection.as_mut(), stopped).await {
                futures::future::Either::Left(_) => panic!("it goes on until it is told"),
                futures::future::Either::Right(_) => connection.as_mut().graceful_shutdown(),
            }
            connection.await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let connection = threadlet::spawn(connection);
        let under_way = client.send_request(request("/slow", "under way"));
        let under_way = threadlet::spawn(under_way);
        assert!(is_begun.await.is_err(), "it says so by being dropped");
        stop.send(()).unwrap();
        let response = under_way.await.unwrap().unwrap();
        assert_eq!(text(response.into_body()).await, "under way");
        server.await.unwrap();
        connection.await.unwrap().unwrap();
    });
}

#[test]
fn a_timer_is_reset_in_its_place() {
    each(|| async {
        let timer = Timer::new();
        let start = Instant::now();
        let mut sleep = timer.sleep(Duration::from_secs(3600));
        let place = std::ptr::from_ref(&*sleep).cast::<()>().addr();
        timer.reset(&mut sleep, timer.now() + Duration::from_millis(20));
        assert_eq!(std::ptr::from_ref(&*sleep).cast::<()>().addr(), place);
        sleep.await;
        assert!(start.elapsed() >= Duration::from_millis(20));
        timer.sleep_until(start).await;

        // Somebody else's is replaced.
        struct Never;
        impl Future for Never {
            type Output = ();
            fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
                std::task::Poll::Pending
            }
        }
        impl hyper::rt::Sleep for Never {}
        let mut other: Pin<Box<dyn hyper::rt::Sleep>> = Box::pin(Never);
        timer.reset(&mut other, start);
        other.await;
    });
}
