//! Looks up names, many of them at once:
//!
//! ```sh
//! cargo run --example resolve -- localhost example.org
//! cargo run --example resolve -- --at-once 100 <names.txt   # a name a line
//! ```
//!
//! A name that stands in `/etc/hosts` is found right here, and costs no thread. One that a name
//! server is asked for is a call of the C library that blocks: it holds up nobody, and `--limit` ends
//! the wait for it. (The call itself goes on alone until the C library gives up.) `--at-once` bounds
//! how many are waited for at the same time.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use futures::stream::{self, StreamExt};
use futures::{AsyncBufReadExt, TryStreamExt};
use threadlet::net::lookup_host;
use threadlet::time::{Duration, timeout};

/// Prints the addresses of names.
#[derive(Parser)]
struct Arguments {
    /// The names; without any they are read from the standard input, one a line.
    names: Vec<String>,
    /// How many may be waited for at once.
    #[arg(long, default_value = "64")]
    at_once: std::num::NonZero<usize>,
    /// After how many seconds a name is given up.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    limit: f64,
}

#[threadlet::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("resolve: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many names were not found.
async fn run(arguments: Arguments) -> io::Result<usize> {
    let limit = Duration::from_secs_f64(arguments.limit);
    let names = if arguments.names.is_empty() {
        if io::stdin().is_terminal() {
            eprintln!("resolve: a name a line, please");
        }
        let input = futures::io::BufReader::new(threadlet::io::stdin());
        input.lines().boxed()
    } else {
        stream::iter(arguments.names).map(Ok).boxed()
    };
    names
        .map_ok(|name| async move { Ok(print(&name, look_up(&name, limit).await)) })
        .try_buffer_unordered(arguments.at_once.get())
        .try_fold(0, async |missing, found| Ok(missing + usize::from(!found)))
        .await
}

async fn look_up(name: &str, limit: Duration) -> io::Result<Vec<String>> {
    // The port is nobody's business here.
    let addresses = timeout(limit, lookup_host((name, 0))).await??;
    let mut addresses: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
    addresses.dedup();
    Ok(addresses)
}

/// Returns whether the name was found.
fn print(name: &str, addresses: io::Result<Vec<String>>) -> bool {
    match addresses {
        Ok(addresses) => {
            println!("{name} {}", addresses.join(" "));
            true
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            false
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(_) => Ok(seconds),
        Err(error) => Err(error.to_string()),
    }
}
