//! A TCP proxy: whoever connects here talks to a server there.
//!
//! ```sh
//! cargo run --example proxy -- 127.0.0.1:8022 example.org:22
//! ```
//!
//! The two directions end by themselves: a client that has sent all it has to say, and closes its
//! half, still gets what the server answers. Ctrl-C stops the proxy: it takes no more clients, and
//! waits a while for those that are there.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use threadlet::net::{TcpListener, TcpStream};
use threadlet::signal::unix::{SignalKind, signal};
use threadlet::task::JoinSet;
use threadlet::time::{self, Duration};
use tokio::io::copy_bidirectional;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the proxy waits for its clients when it stops.
const GRACE: Duration = Duration::from_secs(10);

/// Passes TCP connections on to another address.
#[derive(Parser)]
struct Arguments {
    /// Where to listen, as in 127.0.0.1:8022.
    listen: String,
    /// Where to connect to, as in example.org:22.
    target: String,
}

#[threadlet::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await?;
    let target: Arc<str> = arguments.target.into();
    // Before anybody is told that the server is there.
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("listening on {}", listener.local_addr()?);

    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // So that the set does not keep those that have gone.
            Some(_) = clients.join_next() => continue,
            _ = interrupt.recv() => break,
        };
        match accepted {
            Ok((client, peer)) => {
                let target = target.clone();
                clients.spawn(async move {
                    match pass(client, &target).await {
                        Ok((up, down)) => println!("{peer}: {up} bytes there, {down} back"),
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                });
            }
            // Out of descriptors, say. The next `accept` waits a little by itself.
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    drop(listener);
    if time::timeout(GRACE, async { while clients.join_next().await.is_some() {} }).await.is_err() {
        eprintln!("{} clients did not end in time", clients.len());
    }
    Ok(())
}

/// Returns how many bytes went there, and how many came back, when both sides have ended.
async fn pass(mut client: TcpStream, target: &str) -> io::Result<(u64, u64)> {
    // A name is looked up each time: it may lead elsewhere by now.
    let mut server = time::timeout(CONNECT, TcpStream::connect(target)).await??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // The end of one half is passed on, and the other half goes on.
    copy_bidirectional(&mut client, &mut server).await
}
