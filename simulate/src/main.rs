//! Runs one seed after the other, or one seed that is told.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use threadlet_simulate::scenario::{self, Tally};

/// Runs threadlet's scheduler in a simulated kernel, each time as the next seed says. What is wrong
/// ends it, with that seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// For so many seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// At most so many runs
    #[arg(long, default_value_t = u64::MAX)]
    runs: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Prints the digest of each run
    #[arg(long)]
    digests: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Ok(seed) = std::env::var("THREADLET_SIM_SEED") {
        let Ok(seed) = seed.parse() else {
            eprintln!("THREADLET_SIM_SEED is {seed:?}: it must be a number");
            return ExitCode::FAILURE;
        };
        let (outcome, tally) = scenario::run(seed, true);
        println!("seed {seed}: {outcome:?}, {tally:?}");
        return ExitCode::SUCCESS;
    }
    let (begun, limit) = (Instant::now(), Duration::from_secs(arguments.seconds));
    let (mut runs, mut points, mut turns) = (0, 0, 0);
    let (mut told, mut sum) = (begun, Tally::default());
    while runs < arguments.runs && begun.elapsed() < limit {
        let seed = arguments.from.wrapping_add(runs);
        let (outcome, tally) = scenario::run(seed, false);
        sum.add(&tally);
        if arguments.digests {
            println!("{seed} {:016x}", outcome.digest);
        }
        (runs, points, turns) = (runs + 1, points + outcome.points, turns + outcome.turns);
        if told.elapsed() >= Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{runs} runs, the last with seed {seed}");
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let per = |sum: u64| sum as f64 / runs.max(1) as f64;
    println!(
        "{runs} runs from seed {} in {seconds:.1} s: {:.0} a second, with {:.0} steps and {:.0} turns each",
        arguments.from,
        runs as f64 / seconds,
        per(points),
        per(turns),
    );
    println!("{sum:?}");
    ExitCode::SUCCESS
}
