//! A key-value server and its client, on threadlet. `kv_tokio.rs` is the same program on tokio.
//!
//! ```sh
//! cargo run --example kv -- serve --log /tmp/kv.log
//! cargo run --example kv -- set colour blue
//! cargo run --example kv -- get colour
//! ```
//!
//! A client sends `get KEY`, `set KEY VALUE` or `del KEY`, a line each, and gets a line back: `= VALUE`,
//! `ok`, `none`, or `error` and why. What has been answered with `ok` is on the disk.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, RwLock};

use clap::{Parser, Subcommand};
use threadlet::net::{TcpListener, TcpStream};
use threadlet::signal::unix::{SignalKind, signal};
use threadlet::task::JoinSet;
use threadlet::threadlet;
use threadlet::time::{Duration, sleep, timeout};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The longest line that is read.
const LINE: u64 = 64 * 1024;

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A key-value server and its client.
#[derive(Parser)]
struct Arguments {
    /// Where the server is.
    #[arg(long, default_value = "127.0.0.1:7009", global = true)]
    address: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until Ctrl-C.
    Serve {
        /// The file that keeps what is set.
        #[arg(long)]
        log: PathBuf,
    },
    /// Prints a value.
    Get { key: String },
    /// Sets a value.
    Set { key: String, value: String },
    /// Takes a value away.
    Del { key: String },
}

#[threadlet::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.address, arguments.command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kv: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str, command: Command) -> io::Result<ExitCode> {
    let request = match command {
        Command::Serve { log } => {
            let store = threadlet!(Store::open(&log))?;
            let listener = TcpListener::bind(address).await?;
            // Before anybody is told that the server is there.
            let mut interrupt = signal(SignalKind::interrupt())?;
            println!("listening on {}", listener.local_addr()?);
            serve(listener, Arc::new(store), async { _ = interrupt.recv().await }).await;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Get { key } => format!("get {key}"),
        Command::Set { key, value } => format!("set {key} {value}"),
        Command::Del { key } => format!("del {key}"),
    };
    let answer = Client::connect(address).await?.ask(&request).await?;
    println!("{}", answer.strip_prefix("= ").unwrap_or(&answer));
    let found = answer == "ok" || answer.starts_with("= ");
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is kept: in memory to be read, and in a file to be there tomorrow.
struct Store {
    values: RwLock<BTreeMap<String, String>>,
    /// A line for each change. Whoever holds it may change `values`.
    log: Mutex<File>,
}

impl Store {
    fn open(log: &Path) -> io::Result<Store> {
        let mut log = OpenOptions::new().create(true).append(true).read(true).open(log)?;
        let mut text = Vec::new();
        log.read_to_end(&mut text)?;
        // What was not written to its end was never answered.
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1));
        log.set_len(text.len() as u64)?;
        let text = String::from_utf8(text).map_err(io::Error::other)?;

        let mut values = BTreeMap::new();
        for line in text.split_terminator('\n') {
            match line.split_once(' ') {
                Some((key, value)) => values.insert(key.to_owned(), value.to_owned()),
                None => values.remove(line),
            };
        }
        Ok(Store { values: RwLock::new(values), log: Mutex::new(log) })
    }

    fn get(&self, key: &str) -> Option<String> {
        self.values.read().unwrap().get(key).cloned()
    }

    /// Returns when the change is on the disk.
    fn change(&self, key: &str, value: Option<&str>) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        let line = match value {
            Some(value) => format!("{key} {value}\n"),
            None => format!("{key}\n"),
        };
        let length = log.metadata()?.len();
        if let Err(error) = log.write_all(line.as_bytes()).and_then(|()| log.sync_data()) {
            // Not half of it.
            log.set_len(length)?;
            return Err(error);
        }
        let mut values = self.values.write().unwrap();
        match value {
            Some(value) => values.insert(key.to_owned(), value.to_owned()),
            None => values.remove(key),
        };
        Ok(())
    }
}

/// Serves until `stop` is ready.
async fn serve(listener: TcpListener, store: Arc<Store>, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = clients.join_next() => continue,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let client = answer_all(stream, store.clone());
                clients.spawn(async move {
                    if let Err(error) = client.await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    clients.shutdown().await;
}

async fn answer_all(mut stream: TcpStream, store: Arc<Store>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    while let Some(line) = read_line(&mut reader).await? {
        let answer = answer(&line, &store).await.unwrap_or_else(|error| format!("error {error}"));
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn answer(line: &str, store: &Store) -> io::Result<String> {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("get"), Some(key), None) => {
            Ok(store.get(key).map_or_else(|| "none".to_owned(), |value| format!("= {value}")))
        }
        (Some("set"), Some(key), Some(value)) => {
            threadlet!(store.change(key, Some(value)))?;
            Ok("ok".to_owned())
        }
        (Some("del"), Some(key), None) => {
            threadlet!(store.change(key, None))?;
            Ok("ok".to_owned())
        }
        _ => Err(io::Error::other("get KEY, set KEY VALUE or del KEY")),
    }
}

/// The next line, without its end; `None` if there is none.
async fn read_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.take(LINE).read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    match line.strip_suffix('\n') {
        Some(line) => Ok(Some(line.to_owned())),
        None => Err(io::Error::other("the line is too long, or has no end")),
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: &str) -> io::Result<Client> {
        let stream = timeout(ANSWER, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    async fn ask(&mut self, request: &str) -> io::Result<String> {
        if request.contains('\n') {
            return Err(io::Error::other("a key or a value has no line breaks"));
        }
        self.0.write_all(format!("{request}\n").as_bytes()).await?;
        let answer = timeout(ANSWER, read_line(&mut self.0)).await??;
        answer.ok_or_else(|| io::Error::other("the server has gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    /// A server of the log, until what is returned with its address is used.
    async fn start(log: &Path) -> (String, impl AsyncFnOnce()) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let store = Arc::new(Store::open(log).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = threadlet::spawn(serve(listener, store, async { drop(stopped.await) }));
        let end = async || {
            stop.send(()).unwrap();
            timeout(ANSWER, server).await.unwrap().unwrap();
        };
        (address, end)
    }

    fn log(name: &str) -> PathBuf {
        let log = std::env::temp_dir().join(format!("kv-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&log);
        log
    }

    #[threadlet::test]
    async fn what_is_set_is_there_after_a_restart() {
        let log = log("restart");
        let (address, end) = start(&log).await;
        let mut client = Client::connect(&address).await.unwrap();
        for (request, expected) in [
            ("get colour", "none"),
            ("set colour blue and green", "ok"),
            ("set size 7", "ok"),
            ("get colour", "= blue and green"),
            ("del size", "ok"),
            ("get size", "none"),
            ("put size 7", "error get KEY, set KEY VALUE or del KEY"),
        ] {
            assert_eq!(client.ask(request).await.unwrap(), expected, "{request}");
        }
        end().await;
        assert!(client.ask("get colour").await.is_err(), "the server has gone");

        let (address, end) = start(&log).await;
        let mut client = Client::connect(&address).await.unwrap();
        assert_eq!(client.ask("get colour").await.unwrap(), "= blue and green");
        assert_eq!(client.ask("get size").await.unwrap(), "none");
        end().await;

        // A machine that fell over while it wrote.
        OpenOptions::new().append(true).open(&log).unwrap().write_all(b"colour re").unwrap();
        let (address, end) = start(&log).await;
        let mut client = Client::connect(&address).await.unwrap();
        assert_eq!(client.ask("get colour").await.unwrap(), "= blue and green");
        assert_eq!(client.ask("set size 8").await.unwrap(), "ok");
        end().await;
        let log_text = std::fs::read_to_string(&log).unwrap();
        assert!(log_text.ends_with("green\nsize 7\nsize\nsize 8\n"), "{log_text}");
        std::fs::remove_file(log).unwrap();
    }

    #[threadlet::test]
    async fn many_clients_set_at_once() {
        let log = log("many");
        let (address, end) = start(&log).await;
        let mut clients = JoinSet::new();
        for n in 0..20 {
            let address = address.clone();
            clients.spawn(async move {
                let mut client = Client::connect(&address).await.unwrap();
                for round in 0..5 {
                    let answer = client.ask(&format!("set {n} {round}")).await.unwrap();
                    assert_eq!(answer, "ok");
                }
                assert_eq!(client.ask(&format!("get {n}")).await.unwrap(), "= 4");
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        end().await;
        std::fs::remove_file(log).unwrap();
    }
}
