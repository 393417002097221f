//! A TCP server that gives out the files of a folder: the program that `docs/guide/start.md`
//! builds.
//!
//! ```sh
//! cargo run --example notes -- docs 127.0.0.1:7008   # the address may be left out
//! cargo run --example notes -- --self-test           # serves, asks, and stops by a signal
//! ```
//!
//! A client sends a name on a line of its own and gets that file. Ctrl-C (or SIGTERM) stops the
//! server: it takes no more clients, those that are there get the answer they wait for, and then it
//! ends.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use futures::future::try_join_all;
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use threadlet::net::{TcpListener, TcpStream};
use threadlet::process::Command;
use threadlet::signal::unix::{SignalKind, signal};
use threadlet::threadlet;
use threadlet::time::{self, Duration};
use tokio::sync::watch;

/// A client that says nothing for so long is sent away.
const IDLE: Duration = Duration::from_secs(60);

/// How long the server waits for its clients when it stops.
const GRACE: Duration = Duration::from_secs(5);

#[threadlet::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let result = match (args.next().as_deref(), args.next(), args.next()) {
        (Some("--self-test"), None, None) => self_test().await,
        (Some(folder), address, None) if !folder.starts_with('-') => {
            listen(folder, address.as_deref().unwrap_or("127.0.0.1:7008")).await
        }
        _ => {
            eprintln!("usage: notes FOLDER [ADDRESS] | notes --self-test");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("notes: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(folder: &str, address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    run(listener, folder).await
}

/// Accepts clients until a signal comes, and then waits for those that are there.
async fn run(listener: TcpListener, folder: &str) -> io::Result<()> {
    // Ctrl-C, and what a service manager sends.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let (stop, stopped) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let client = serve(stream, folder.to_owned(), stopped.clone());
                threadlet::spawn(async move {
                    if let Err(error) = client.await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            // Out of descriptors, say: there is nothing to do but to try later.
            Err(error) => {
                eprintln!("accept: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    println!("stopping");
    drop(listener);
    drop(stopped);
    stop.send_replace(true);
    // Each client has a receiver, and drops it when it ends.
    if time::timeout(GRACE, stop.closed()).await.is_err() {
        eprintln!("{} clients did not end in time", stop.receiver_count());
    }
    Ok(())
}

/// Answers one client until it goes, says nothing for too long, or the server stops.
async fn serve(
    stream: TcpStream,
    folder: String,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut name = String::new();
    loop {
        name.clear();
        let read = tokio::select! {
            read = time::timeout(IDLE, reader.read_line(&mut name)) => read,
            _ = stopped.changed() => break,
        };
        // Silent for too long, or gone.
        let Ok(length) = read else { break };
        if length? == 0 {
            break;
        }
        let answer = threadlet!(read_note(&folder, name.trim()));
        let answer = answer.unwrap_or_else(|error| format!("{error}\n").into_bytes());
        writer.write_all(&answer).await?;
    }
    writer.close().await?;
    // What is still unread would make the kernel send a reset, and the last answer be lost with it.
    let mut sink = futures::io::sink();
    let rest = futures::io::copy(reader, &mut sink);
    let _ = time::timeout(Duration::from_secs(1), rest).await;
    Ok(())
}

/// Reads a file of the folder. Nothing outside the folder can be named.
fn read_note(folder: &str, name: &str) -> io::Result<Vec<u8>> {
    if name.contains('/') || name.starts_with('.') {
        return Err(io::Error::other("not a name"));
    }
    std::fs::read(Path::new(folder).join(name))
}

/// Serves a folder of its own to a few clients, stops itself by a signal, and looks whether all
/// went well.
async fn self_test() -> io::Result<()> {
    let folder = std::env::temp_dir().join(format!("threadlet-notes-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    (0..8).try_for_each(|note| std::fs::write(folder.join(note.to_string()), text(note)))?;
    let result =
        ask_and_stop(folder.to_str().expect("the temporary folder has a plain name")).await;
    std::fs::remove_dir_all(&folder)?;
    result
}

async fn ask_and_stop(folder: &str) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let folder = folder.to_owned();
    let server = threadlet::spawn(async move { run(listener, &folder).await });
    let clients = (0..8).map(|note| threadlet::spawn(ask(address, note)));
    for asked in try_join_all(clients).await? {
        asked?;
    }
    let mut idle = TcpStream::connect(address).await?;
    idle.write_all(b"../secret\n").await?;
    let mut answer = [0; 11];
    idle.read_exact(&mut answer).await?;
    check(&answer == b"not a name\n", "a client cannot leave the folder")?;

    let id = std::process::id().to_string();
    check(Command::new("kill").arg(id).status().await?.success(), "a signal was sent")?;
    server.await??;
    check(idle.read(&mut answer).await? == 0, "the idle client was sent away")?;
    check(TcpStream::connect(address).await.is_err(), "nobody listens any more")?;
    println!("8 clients were answered, and the server stopped");
    Ok(())
}

/// Asks for a note a hundred times.
async fn ask(address: SocketAddr, note: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    for _ in 0..100 {
        stream.write_all(format!("{note}\n").as_bytes()).await?;
        let mut answer = vec![0; text(note).len()];
        stream.read_exact(&mut answer).await?;
        check(answer == text(note).as_bytes(), "the answer is the note that was asked for")?;
    }
    stream.close().await
}

fn text(note: usize) -> String {
    format!("this is note {note}\n").repeat(1 + note * 100)
}

fn check(holds: bool, what: &str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(format!("not so: {what}"))) }
}
