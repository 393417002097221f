//! Look-ups in a memory-mapped file on a slow device, and a 1 ms ticker beside them: the same
//! program on threadlet, tokio and smol.
//!
//! ```sh
//! cargo run --release -p threadlet-bench --example faults -- --svg docs/faults.svg
//! cargo run --release -p threadlet-bench --example faults -- --quick
//! ```
//!
//! Clients ask a server, each over a connection of its own (a channel in this process, so that what
//! is measured is not a socket), and ask again when they are answered. A look-up adds up one page
//! of a mapped file. Most pages are in memory; a touch of the others waits for the device
//! (`device`). No call says so: that is what makes a mapped file dear to an async program. `peers`
//! has the ways to deal with it, `load` the work, `plot` the picture.
//!
//! Each way has a runtime of its own in its turn, with as many workers and otherwise its default
//! settings; rounds are interleaved, and what is printed are medians over rounds, and percentiles
//! of all ticks. Every answer is checked.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "a mapping, and the calls to the kernel that answer its faults")]
mod device;
mod load;
mod peers;
mod plot;
#[allow(unsafe_code, dead_code, reason = "the benchmarks' seam to the kernel; they use more of it")]
#[path = "../../src/sys/mod.rs"]
mod sys;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::load::{Load, Outcome, measure, percentile};
use crate::peers::{
    BlockInPlace, Marked, NoPerf, Plain, Smol, SpawnBlocking, Threadlet, Tokio, Unblock,
};
use crate::plot::{Caption, Colour};

/// Look-ups in a mapped file on a slow device, on threadlet, tokio and smol.
#[derive(Debug, Parser)]
struct Args {
    /// Draws the picture.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,

    /// Only as much as shows that everything runs.
    #[arg(long)]
    quick: bool,

    /// How often each way has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Workers of each runtime.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    workers: u8,

    /// Clients, with a connection each.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,

    /// How many look-ups of a hundred wait for the device.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=100))]
    cold: u8,
}

/// One way to do it, and what came of it.
#[derive(Debug)]
struct Row {
    name: &'static str,
    colour: Colour,
    measure: fn(Load) -> io::Result<Outcome>,
    outcomes: Vec<Outcome>,
}

/// What is printed and drawn of a row.
#[derive(Debug)]
struct Summary {
    name: &'static str,
    colour: Colour,
    lookups_per_second: f64,
    cpu_per_million: f64,
    threads: usize,
    /// All ticks of all rounds, the latest last, in microseconds.
    late: Vec<f64>,
    late_alone: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    sys::tighten_timers()?;
    let load = Load {
        workers: args.workers.into(),
        clients: args.clients.into(),
        cold_percent: args.cold.into(),
        run: Duration::from_millis(if args.quick { 300 } else { 2000 }),
    };
    let mut rows = rows();
    let (begun, busy) = (sys::process_cpu_time(), machine_busy()?);
    for round in 0..if args.quick { 1 } else { args.rounds } {
        for row in &mut rows {
            eprintln!("round {}, {}", round + 1, row.name);
            row.outcomes.push((row.measure)(load)?);
            // Threads that are kept for half a second are nobody else's.
            std::thread::sleep(Duration::from_millis(700));
        }
    }
    let summaries: Vec<_> = rows.iter().map(Row::summary).collect();
    let (ours, all) = (sys::process_cpu_time() - begun, machine_busy()? - busy);
    let others = all.saturating_sub(ours).as_secs_f64() / all.as_secs_f64();
    print(&summaries, load);
    println!(
        "\nOther programs took {:.0} % of the processor time spent meanwhile.",
        others * 100.0
    );
    if let Some(path) = &args.svg {
        plot::draw(path, &summaries, &Caption::of(load))?;
    }
    Ok(())
}

/// Green is ours, red is tokio, blue is smol; the plain calls are the pale ones.
fn rows() -> Vec<Row> {
    let row = |name, colour, measure| Row { name, colour, measure, outcomes: Vec::new() };
    vec![
        row("threadlet!", Colour(0x05, 0x75, 0x45), measure::<Marked<Threadlet>>),
        row("threadlet!, no perf", Colour(0x5F, 0x8F, 0x05), measure::<Marked<NoPerf>>),
        row("threadlet, plain", Colour(0x5C, 0xB8, 0x85), measure::<Plain<Threadlet>>),
        row("tokio, plain", Colour(0xEE, 0x8C, 0x80), measure::<Plain<Tokio>>),
        row("tokio spawn_blocking", Colour(0xC0, 0x22, 0x22), measure::<SpawnBlocking>),
        row("tokio block_in_place", Colour(0xE0, 0x74, 0x14), measure::<BlockInPlace>),
        row("smol, plain", Colour(0x86, 0xA8, 0xE0), measure::<Plain<Smol>>),
        row("smol unblock", Colour(0x1A, 0x58, 0xBA), measure::<Unblock>),
    ]
}

impl Row {
    fn summary(&self) -> Summary {
        let median_of = |of: fn(&Outcome) -> f64| {
            let mut figures: Vec<_> = self.outcomes.iter().map(of).collect();
            figures.sort_by(f64::total_cmp);
            percentile(&figures, 50.0)
        };
        let all_of = |of: fn(&Outcome) -> &[f64]| {
            let mut figures: Vec<_> = self.outcomes.iter().flat_map(of).copied().collect();
            figures.sort_by(f64::total_cmp);
            figures
        };
        Summary {
            name: self.name,
            colour: self.colour,
            lookups_per_second: median_of(|outcome| outcome.lookups_per_second),
            cpu_per_million: median_of(|outcome| outcome.cpu_per_million),
            threads: self.outcomes.iter().map(|outcome| outcome.threads).max().unwrap_or(0),
            late: all_of(|outcome| &outcome.late),
            late_alone: all_of(|outcome| &outcome.late_alone),
        }
    }
}

fn print(summaries: &[Summary], load: Load) {
    println!("{} (detector: {})", Caption::of(load).line, detector());
    println!();
    println!(
        "| | look-ups/s | ticks late: p50 | p99 | max | alone: p50 | CPU s per million | threads |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for row in summaries {
        println!(
            "| {} | {:.0} | {} | {} | {} | {} | {:.1} | {} |",
            row.name,
            row.lookups_per_second,
            short(percentile(&row.late, 50.0)),
            short(percentile(&row.late, 99.0)),
            short(percentile(&row.late, 100.0)),
            short(percentile(&row.late_alone, 50.0)),
            row.cpu_per_million,
            row.threads,
        );
    }
}

/// The processor time that all programs have taken since the machine started.
fn machine_busy() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    // "cpu", then hundredths of a second: user, nice, system, idle, iowait, irq, softirq.
    let fields = stat.split_whitespace().skip(1).take(7);
    let times: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    Ok(Duration::from_millis(10 * (times.iter().sum::<u64>() - idle)))
}

/// How our runtime finds blocked threads here.
fn detector() -> String {
    let runtime = threadlet::runtime::Builder::new_multi_thread().worker_threads(1).build();
    runtime.expect("our runtime").metrics().detector.to_string()
}

/// Microseconds, in a unit that keeps them short.
fn short(us: f64) -> String {
    match us {
        ..999.5 => format!("{us:.0} us"),
        ..99_950.0 => format!("{:.1} ms", us / 1000.0),
        _ => format!("{:.0} ms", us / 1000.0),
    }
}
