//! A program whose figures Prometheus can fetch: `GET /metrics`, with its histograms switched on.
//!
//! ```sh
//! cargo run --example metrics -- 127.0.0.1:9184   # the address may be left out
//! curl http://127.0.0.1:9184/metrics
//! cargo run --example metrics -- --self-test      # serves, fetches, checks, ends
//! ```
//!
//! The few lines of HTTP are there so that the example needs no other crate. A program that has hyper
//! or axum answers with the same text.

use std::io;
use std::process::ExitCode;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use threadlet::net::{TcpListener, TcpStream};
use threadlet::runtime::{Builder, Handle};
use threadlet::threadlet;
use threadlet::time::{Duration, interval, sleep, timeout};

/// A request whose head is longer is none of Prometheus'.
const LONGEST_HEAD: usize = 8192;

/// A client that says nothing for so long is sent away.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let runtime = Builder::new_multi_thread()
        .name("example")
        .enable_metrics_poll_time_histogram()
        .enable_metrics_schedule_latency_histogram()
        .build();
    let result = runtime.and_then(|runtime| match (args.next().as_deref(), args.next()) {
        (None, _) => runtime.block_on(listen("127.0.0.1:9184")),
        (Some("--self-test"), None) => runtime.block_on(self_test()),
        (Some(address), None) if !address.starts_with('-') => runtime.block_on(listen(address)),
        _ => Err(io::Error::other("usage: metrics [ADDRESS | --self-test]")),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metrics: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/metrics", listener.local_addr()?);
    threadlet::spawn(work()).detach();
    serve(listener).await
}

/// Something to see: a file read each 100 milliseconds, and a call that blocks.
async fn work() {
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let _ = threadlet!(std::fs::read("/etc/hosts"));
        threadlet!(std::thread::sleep(Duration::from_millis(3)));
    }
}

/// Accepts for ever. One connection's trouble is nobody else's.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let answering = threadlet::spawn(async move {
                    match timeout(PATIENCE, answer(stream)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => eprintln!("metrics: {peer}: {error}"),
                        Err(late) => eprintln!("metrics: {peer}: {late}"),
                    }
                });
                answering.detach();
            }
            // Out of descriptors, say: there is nothing to do but to try later.
            Err(error) => {
                eprintln!("metrics: accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut part).await?;
        if length == 0 || head.len() > LONGEST_HEAD {
            return Ok(());
        }
        head.extend_from_slice(&part[..length]);
    }
    let (status, kind, body) = if head.starts_with(b"GET /metrics ") {
        let mut text = String::new();
        let written = Handle::current().metrics().write_prometheus(&mut text);
        written.map_err(io::Error::other)?;
        ("200 OK", "text/plain; version=0.0.4; charset=utf-8", text)
    } else {
        ("404 Not Found", "text/plain", "there is /metrics\n".to_owned())
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.close().await
}

async fn self_test() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = threadlet::spawn(serve(listener));
    let worker = threadlet::spawn(work());
    sleep(Duration::from_millis(300)).await;
    let fetch = async |path: &str| {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = fetch("/metrics").await?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        "# TYPE threadlet_handoffs_total counter\n",
        "\nthreadlet_tasks{runtime=\"example\"} 3\n",
        "\nthreadlet_poll_duration_seconds_bucket{runtime=\"example\",le=\"+Inf\"} ",
        "\nthreadlet_site_calls_total{runtime=\"example\",site=\"examples/metrics.rs:",
    ] {
        assert!(answer.contains(line), "{line:?} in {answer}");
    }
    assert!(fetch("/").await?.starts_with("HTTP/1.1 404 "));
    server.abort();
    worker.abort();
    println!("{} lines", answer.lines().count());
    Ok(())
}
