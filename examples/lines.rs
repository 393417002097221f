//! A TCP server that gives out the lines of a file: the program that `docs/guide/start.md` builds.
//!
//! ```sh
//! cargo run --example lines -- README.md 127.0.0.1:7008   # the address may be left out
//! cargo run --example lines -- --self-test                # serves, asks, and stops by a signal
//! ```
//!
//! A client sends the number of a line and gets that line. Ctrl-C (or SIGTERM) stops the server: it
//! takes no more clients, those that are there get the answer they wait for, and then it ends.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::try_join_all;
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use threadlet::net::{TcpListener, TcpStream};
use threadlet::time::{self, Duration};
use threadlet::{task, threadlet};
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
        (Some(path), address, None) if !path.starts_with('-') => {
            listen(path, address.as_deref().unwrap_or("127.0.0.1:7008")).await
        }
        _ => {
            eprintln!("usage: lines FILE [ADDRESS] | lines --self-test");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lines: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(path: &str, address: &str) -> io::Result<()> {
    let lines = threadlet!(Lines::open(path))?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    run(listener, lines).await
}

/// A file, and where each of its lines begins.
struct Lines {
    file: File,
    /// The beginning of each line, and the end of the last one.
    starts: Vec<u64>,
}

impl Lines {
    fn open(path: &str) -> io::Result<Lines> {
        let file = File::open(path)?;
        let mut reader = io::BufReader::new(&file);
        let (mut starts, mut end, mut line) = (vec![0], 0, Vec::new());
        while reader.read_until(b'\n', &mut line)? > 0 {
            end += line.len() as u64;
            starts.push(end);
            line.clear();
        }
        Ok(Lines { file, starts })
    }

    /// The line of that number, from 1; `None` if there is no such line.
    fn get(&self, number: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(before) = number.checked_sub(1) else { return Ok(None) };
        let Some(&[start, end]) = self.starts.get(before..=number) else { return Ok(None) };
        let mut line = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut line, start)?;
        Ok(Some(line))
    }
}

/// Accepts clients until a signal comes, and then waits for those that are there.
async fn run(listener: TcpListener, lines: Lines) -> io::Result<()> {
    let lines = Arc::new(lines);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let mut signal = task::spawn_blocking(move || signals.forever().next());
    let (stop, stopped) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut signal => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let client = serve(stream, lines.clone(), stopped.clone());
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
    // Every client has a receiver, and drops it when it ends.
    if time::timeout(GRACE, stop.closed()).await.is_err() {
        eprintln!("{} clients did not end in time", stop.receiver_count());
    }
    Ok(())
}

/// Answers one client.
async fn serve(
    stream: TcpStream,
    lines: Arc<Lines>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut questions = BufReader::new(reader).lines();
    loop {
        let question = tokio::select! {
            question = time::timeout(IDLE, questions.next()) => question,
            _ = stopped.changed() => break,
        };
        // The client says nothing for too long, or has gone.
        let Ok(Some(question)) = question else { break };
        let answer = match question?.trim().parse() {
            Ok(number) => threadlet!(lines.get(number))?,
            Err(_) => None,
        };
        writer.write_all(answer.as_deref().unwrap_or(b"no such line\n")).await?;
    }
    writer.close().await
}

/// Serves a file of its own to a few clients, stops itself by a signal, and looks whether all went
/// well.
async fn self_test() -> io::Result<()> {
    const LINES: usize = 1000;
    let path = std::env::temp_dir().join(format!("threadlet-lines-{}", std::process::id()));
    let mut file = File::create(&path)?;
    (1..=LINES).try_for_each(|number| writeln!(file, "this is line {number}"))?;
    let lines = Lines::open(path.to_str().expect("the temporary folder has a plain name"));
    std::fs::remove_file(&path)?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = threadlet::spawn(run(listener, lines?));
    let clients = (0..8).map(|client| threadlet::spawn(ask(address, 1 + client * 100)));
    for asked in try_join_all(clients).await? {
        asked?;
    }
    let mut idle = TcpStream::connect(address).await?;
    idle.write_all(b"no number\n").await?;
    let mut answer = [0; 13];
    idle.read_exact(&mut answer).await?;

    signal_hook::low_level::raise(SIGTERM)?;
    server.await??;
    let rest = idle.read(&mut answer).await?;
    check(&answer == b"no such line\n" && rest == 0, "the idle client was sent away")?;
    check(TcpStream::connect(address).await.is_err(), "nobody listens any more")?;
    println!("8 clients were answered, and the server stopped");
    Ok(())
}

/// Asks for a hundred lines, one after the other.
async fn ask(address: SocketAddr, first: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    for number in first..first + 100 {
        stream.write_all(format!("{number}\n").as_bytes()).await?;
        let wanted = format!("this is line {number}\n");
        let mut answer = vec![0; wanted.len()];
        stream.read_exact(&mut answer).await?;
        check(answer == wanted.as_bytes(), "the answer is the line that was asked for")?;
    }
    stream.close().await
}

fn check(holds: bool, what: &str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(format!("not so: {what}"))) }
}
