//! A server on hyper, with handlers whose calls may block:
//!
//! ```sh
//! cargo run --manifest-path ecosystem/Cargo.toml --example hyper
//! curl http://127.0.0.1:8080/etc/hostname
//! ```

use std::convert::Infallible;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use threadlet::hyper1::Timer;
use threadlet::net::TcpListener;
use threadlet::{spawn, threadlet};

async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let path = request.uri().path().to_owned();
    let (status, text) = match threadlet!(std::fs::read_to_string(&path)) {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::NOT_FOUND, format!("{path}: {error}\n")),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    Ok(response)
}

#[threadlet::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, _from) = listener.accept().await?;
        spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(Timer::new()).header_read_timeout(Duration::from_secs(10));
            if let Err(error) = http.serve_connection(stream, service_fn(answer)).await {
                eprintln!("{error}");
            }
        });
    }
}
