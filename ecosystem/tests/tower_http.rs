//! tower-http's `ServeDir` with our files. No runtime of tokio's is there.

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE, IF_MODIFIED_SINCE, LAST_MODIFIED, RANGE};
use axum::http::{Request, StatusCode};
use threadlet::axum::serve;
use threadlet::net::{TcpListener, TcpStream};
use threadlet::tower_http::Backend;
use tower_http::services::ServeDir;

use support::each;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("threadlet-serve-dir-{}-{count}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        fs::create_dir_all(folder.0.join("sub")).unwrap();
        fs::write(folder.0.join("index.html"), "<p>here").unwrap();
        fs::write(folder.0.join("large.bin"), large()).unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Larger than what `ServeDir` reads at once.
fn large() -> Vec<u8> {
    (0..300_001_u32).map(|n| (n % 251) as u8).collect()
}

fn ask(path: &str) -> Request<Body> {
    Request::get(path).header("host", "here").body(Body::empty()).unwrap()
}

/// It needs no runtime at all.
#[test]
fn files_are_served_in_any_executor() {
    let folder = Folder::new();
    futures::executor::block_on(async {
        let mut files = ServeDir::with_backend(&folder.0, Backend::new());
        assert!(tokio::runtime::Handle::try_current().is_err());
        let response = files.try_call(ask("/")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html");
        assert_eq!(to_bytes(Body::new(response.into_body()), 1000).await.unwrap(), "<p>here");

        let response = files.try_call(ask("/large.bin")).await.unwrap();
        let modified = response.headers()[LAST_MODIFIED].clone();
        assert!(to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap() == large());

        let mut request = ask("/large.bin");
        request.headers_mut().insert(IF_MODIFIED_SINCE, modified);
        let response = files.try_call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);

        // It seeks.
        let mut request = ask("/large.bin");
        request.headers_mut().insert(RANGE, "bytes=100000-200000".parse().unwrap());
        let response = files.try_call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes 100000-200000/300001");
        let part = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
        assert!(part == large()[100_000..200_001]);

        let response = files.try_call(ask("/sub")).await.unwrap();
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
        let missing = files.try_call(ask("/missing")).await.err().expect("nothing is there");
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    });
}

/// And beside a router, over a socket, on our workers.
#[test]
fn files_are_served_beside_a_router() {
    each(|| async {
        let folder = Folder::new();
        let files = ServeDir::with_backend(&folder.0, Backend::new());
        let router = Router::new().nest_service("/files", files);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = threadlet::spawn(serve(listener, router).into_future());
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let connection = threadlet::spawn(connection);
        for (path, expected) in [
            ("/files/large.bin", Some(large())),
            ("/files/", Some(b"<p>here".to_vec())),
            ("/", None),
        ] {
            let response = client.send_request(ask(path)).await.unwrap();
            assert_eq!(response.status() == StatusCode::OK, expected.is_some(), "{path}");
            let body = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
            assert!(body == expected.unwrap_or_default(), "{path}");
        }
        drop(client);
        connection.await.unwrap().unwrap();
        server.abort();
    });
}
