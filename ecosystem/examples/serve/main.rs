//! A server of static files over HTTP/1, on hyper:
//!
//! ```sh
//! cargo run --release --example serve -- ../docs --port 8080 --report
//! curl http://127.0.0.1:8080/
//! ```
//!
//! It knows GET and HEAD, ranges, conditional requests and MIME types, lists folders that have no
//! `index.html`, and keeps connections alive. Ctrl-C (or SIGTERM) stops it: it takes no more
//! clients, finishes the answers that are under way, and ends. `--report` prints then which of its
//! calls have blocked.
//!
//! What it gives out stands below PATH. Names that begin with a dot are not served, `..` included,
//! and a symbolic link is followed as long as it leads to something below PATH: the kernel sees to
//! that, in the same system call that opens the file (see `folder.rs`).

mod answer;
mod folder;
mod listing;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::server::graceful::GracefulShutdown;
use threadlet::hyper1::Timer;
use threadlet::net::TcpListener;
use threadlet::signal::unix::{SignalKind, signal};
use threadlet::time::{self, Duration};

use folder::Folder;

/// A client that is silent for so long, before or after a request, is sent away.
const IDLE: Duration = Duration::from_secs(60);

/// How long the server waits for the answers that are under way when it stops.
const GRACE: Duration = Duration::from_secs(10);

/// Serves the files of a folder over HTTP.
#[derive(Parser)]
struct Arguments {
    /// The folder.
    path: PathBuf,
    /// The port on 127.0.0.1; with 0 the system chooses one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Prints at the end which calls have blocked.
    #[arg(long)]
    report: bool,
}

#[threadlet::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = run(&arguments).await {
        eprintln!("serve: {}: {error}", arguments.path.display());
        return ExitCode::FAILURE;
    }
    if arguments.report {
        threadlet::report();
    }
    ExitCode::SUCCESS
}

async fn run(arguments: &Arguments) -> io::Result<()> {
    let folder = Arc::new(Folder::open(&arguments.path)?);
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    // Before anybody is told that the server is there.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("http://{}/", listener.local_addr()?);

    let mut http = http1::Builder::new();
    http.timer(Timer::new()).header_read_timeout(IDLE);
    let clients = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Out of descriptors, say. The next `accept` waits a little by itself.
            Err(error) => {
                eprintln!("accept: {error}");
                continue;
            }
        };
        // An answer is written as a head and a body, and neither is to wait for the other.
        stream.set_nodelay(true)?;
        let folder = folder.clone();
        let service = service_fn(move |request| answer::answer(folder.clone(), request));
        let client = clients.watch(http.serve_connection(stream, service));
        threadlet::spawn(async move {
            match client.await {
                Err(error) if !error.is_timeout() => eprintln!("{peer}: {error}"),
                _ => {}
            }
        });
    }
    drop(listener);
    if time::timeout(GRACE, clients.shutdown()).await.is_err() {
        eprintln!("some clients did not end in time");
    }
    Ok(())
}
