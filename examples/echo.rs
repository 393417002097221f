//! A TCP server that sends back what it receives.
//!
//! ```sh
//! cargo run --example echo -- 127.0.0.1:7007   # the address may be left out
//! cargo run --example echo -- --self-test      # serves, connects a few clients, checks, ends
//! ```

use std::io;
use std::process::ExitCode;

use futures::future::join_all;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use threadlet::net::{TcpListener, TcpStream};

const CLIENTS: usize = 8;
const ROUNDS: usize = 50;

#[threadlet::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let result = match (args.next().as_deref(), args.next()) {
        (None, _) => listen("127.0.0.1:7007").await,
        (Some("--self-test"), None) => self_test().await,
        (Some(address), None) if !address.starts_with('-') => listen(address).await,
        _ => {
            eprintln!("usage: echo [ADDRESS | --self-test]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await
}

/// Accepts for ever. One connection's trouble is nobody else's.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                threadlet::spawn(async move {
                    if let Err(error) = echo(stream).await {
                        eprintln!("echo: {peer}: {error}");
                    }
                });
            }
            // Out of descriptors, say: there is nothing to do but to try later.
            Err(error) => {
                eprintln!("echo: accept: {error}");
                threadlet::time::sleep(threadlet::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    futures::io::copy(reader, &mut writer).await?;
    writer.close().await
}

async fn self_test() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = threadlet::spawn(serve(listener));
    let clients = (0..CLIENTS).map(|client| threadlet::spawn(talk(address, client)));
    let mut bytes = 0;
    for result in join_all(clients).await {
        bytes += result??;
    }
    server.abort();
    println!("{CLIENTS} clients, {bytes} bytes sent and received");
    Ok(())
}

/// Sends messages of its own, and wants each back as it was; returns how many bytes that were.
async fn talk(address: std::net::SocketAddr, client: usize) -> io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let message = vec![(client * ROUNDS + round) as u8; 1 + round * 100];
        stream.write_all(&message).await?;
        let mut answer = vec![0; message.len()];
        stream.read_exact(&mut answer).await?;
        if answer != message {
            return Err(io::Error::other("the echo is not what was sent"));
        }
        bytes += message.len();
    }
    stream.close().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(bytes),
        _ => Err(io::Error::other("the echo is longer than what was sent")),
    }
}
