//! threadlet beside its peers, in one process and one run.
//!
//! `cargo run --release -p threadlet-bench -- engine` prints one table (`predict`, `handlers` and
//! `sockets` print others): each figure, its bar, what was measured with `Detector::Perf` and with
//! `Detector::Monitor`, and whether the bar was met. `rings` measures the kernel alone.
//!
//! What is the same for all figures: peers run in the same process with their default settings and
//! as many workers as we have (one for each CPU); rounds are interleaved (ours, peer, ours,
//! peer...), and what is compared are medians over rounds. Each round builds its runtime and drops
//! it before the other side's turn, so nobody is measured beside the other's background threads.
//! The process sets its timer slack to 1 ns before it starts a thread, so a timer's lateness is
//! the runtime's and the scheduler's, not the kernel's habit of batching timers.
#![deny(unsafe_code)]

mod engine;
mod handlers;
mod harness;
mod peer;
mod predict;
mod report;
mod rings;
mod sockets;
mod suite;
#[allow(unsafe_code, reason = "the one seam to the operating system")]
mod sys;
mod workload;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use engine::Engine;
use handlers::Handlers;
use predict::Predict;
use sockets::Sockets;
use suite::Options;

/// Measures threadlet beside its peers.
#[derive(Debug, Parser)]
#[command(name = "threadlet-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The engine: regions, hand-off, scheduler, idle.
    Engine(Options<Engine>),
    /// Calls that block often or seldom; files.
    Predict(Options<Predict>),
    /// A hyper server whose handlers sleep now and then.
    Handlers(Options<Handlers>),
    /// Echo over TCP, Unix sockets and UDP.
    Sockets(Options<Sockets>),
    /// What the detectors' tools cost on this kernel, and how soon an edge comes.
    Rings(rings::Options),
    /// What `handlers` starts in a process of its own.
    #[command(hide = true)]
    Clients(handlers::Clients),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    if let Err(error) = sys::tighten_timers() {
        eprintln!("the timer slack stays as it is: {error}");
    }
    match command {
        Command::Engine(options) => suite::run(&options),
        Command::Predict(options) => suite::run(&options),
        Command::Handlers(options) => suite::run(&options),
        Command::Sockets(options) => suite::run(&options),
        Command::Rings(options) => ended(rings::run(options)),
        Command::Clients(options) => ended(handlers::run_clients(&options)),
    }
}

fn ended(result: io::Result<()>) -> ExitCode {
    let said = result.inspect_err(|error| eprintln!("it cannot be measured here: {error}"));
    said.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
