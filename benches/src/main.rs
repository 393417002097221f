//! threadlet beside its peers, in one run.
//!
//! `cargo run --release -p threadlet-bench -- all` measures everything, keeps the data in
//! `docs/benchmarks/` and makes the tables and pictures of the pages from it (`figures`, without
//! measuring). `engine`, `predict`, `handlers`, `sockets`, `faults`, `load`, `scaling`, `apart` and `fio`
//! measure one suite and print it: each figure, its bar, what was measured with `Detector::Perf` and with
//! `Detector::Monitor`, and whether the bar was met. `rings` measures the kernel alone.
//!
//! What is the same for all figures: each has a process of its own, in which the peers run with
//! their default settings and as many workers as we have (one for each CPU); rounds are interleaved
//! (ours, peer, ours, peer...), and what is compared are medians over rounds. Each round builds its
//! runtime and drops it before the other side's turn, so nobody is measured beside the other's
//! background threads. The process sets its timer slack to 1 ns before it starts a thread, so a
//! timer's lateness is the runtime's and the scheduler's, not the kernel's habit of batching
//! timers.
#![deny(unsafe_code)]

mod apart;
mod data;
mod engine;
mod executor;
mod faults;
mod fio;
mod handlers;
mod harness;
mod load;
mod machine;
mod pages;
mod peer;
mod predict;
mod recorder;
mod report;
mod rings;
mod run;
mod scaling;
mod sockets;
mod suite;
#[allow(unsafe_code, reason = "the one seam to the operating system")]
mod sys;
mod table;
mod workload;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use apart::Apart;
use engine::Engine;
use executor::Executor;
use faults::Faults;
use fio::Fio;
use handlers::Handlers;
use load::Load;
use predict::Predict;
use recorder::Recorder;
use scaling::Scaling;
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
    /// Everything below but `rings`; keeps the data and makes the pages.
    All(run::All),
    /// The engine: regions, hand-off, idle.
    Engine(Options<Engine>),
    /// The executor beside those of tokio and smol.
    Executor(Options<Executor>),
    /// Calls that block often or seldom; files.
    Predict(Options<Predict>),
    /// A hyper server whose handlers sleep now and then.
    Handlers(Options<Handlers>),
    /// Echo over TCP, Unix sockets and UDP.
    Sockets(Options<Sockets>),
    /// Look-ups that page-fault, and a ticker beside them.
    Faults(Options<Faults>),
    /// What programs do beside that: files, timers, busy processors.
    Load(Options<Load>),
    /// Cost as work grows, and past this machine.
    Scaling(Options<Scaling>),
    /// What the flight recorder costs.
    Recorder(Options<Recorder>),
    /// Beside crates of a workspace of their own: may, object_store.
    Apart(Options<Apart>),
    /// The C functions under fio, beside the C library's, libaio and io_uring; needs fio.
    Fio(Options<Fio>),
    /// Makes the pages from the data that is kept.
    Figures(pages::Options),
    /// What the detectors' tools cost on this kernel, and how soon an edge comes.
    Rings(rings::Options),
    /// What the suites start in a process of its own.
    #[command(hide = true)]
    Measure(suite::Measure),
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
        Command::All(options) => said(run::all(&options)),
        Command::Engine(options) => run::one("engine", &options),
        Command::Executor(options) => run::one("executor", &options),
        Command::Predict(options) => run::one("predict", &options),
        Command::Handlers(options) => run::one("handlers", &options),
        Command::Sockets(options) => run::one("sockets", &options),
        Command::Faults(options) => run::one("faults", &options),
        Command::Load(options) => run::one("load", &options),
        Command::Scaling(options) => run::one("scaling", &options),
        Command::Recorder(options) => run::one("recorder", &options),
        Command::Apart(options) => run::one("apart", &options),
        Command::Fio(options) => run::one("fio", &options),
        Command::Figures(options) => said(pages::run(&options)),
        Command::Rings(options) => said(rings::run(options).map(|()| ExitCode::SUCCESS)),
        Command::Measure(turn) => suite::measure(&turn),
        Command::Clients(options) => {
            said(handlers::run_clients(&options).map(|()| ExitCode::SUCCESS))
        }
    }
}

fn said(result: io::Result<ExitCode>) -> ExitCode {
    let told = result.inspect_err(|error| eprintln!("it cannot be done here: {error}"));
    told.unwrap_or(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
