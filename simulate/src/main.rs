//! Runs one seed after the other, or one seed that is told.

use std::process::{Command, ExitCode};
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
    /// From one seed to the next
    #[arg(long, default_value_t = 1)]
    step: u64,
    /// So many processes side by side share the seeds
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Prints the digest of each run
    #[arg(long)]
    digests: bool,
}

/// Other processes, each with every so manieth seed. What one of them finds is the answer of all.
fn side_by_side(arguments: &Arguments) -> ExitCode {
    let start = |nth: u64| {
        let Arguments { seconds, runs, from, jobs, .. } = *arguments;
        let (from, runs) = (from.wrapping_add(nth), runs / jobs);
        let numbers =
            [("--seconds", seconds), ("--runs", runs), ("--from", from), ("--step", jobs)];
        let mut command = Command::new(std::env::current_exe().expect("it is running"));
        numbers.iter().for_each(|(name, number)| _ = command.arg(name).arg(number.to_string()));
        command.spawn().expect("another process can be started")
    };
    let all: Vec<_> = (0..arguments.jobs).map(start).collect();
    let ended: Vec<_> = all.into_iter().map(|mut job| job.wait().expect("it ends")).collect();
    if ended.iter().all(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    if arguments.jobs > 1 {
        return side_by_side(&arguments);
    }
    let (begun, limit) = (Instant::now(), Duration::from_secs(arguments.seconds));
    let (mut runs, mut points, mut turns) = (0, 0, 0);
    let (mut told, mut sum) = (begun, Tally::default());
    while runs < arguments.runs && begun.elapsed() < limit {
        let seed = arguments.from.wrapping_add(runs.wrapping_mul(arguments.step));
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
        "{runs} runs from seed {} in {seconds:.1} s: {:.0} a second, of {:.0} steps and {:.0} turns",
        arguments.from,
        runs as f64 / seconds,
        per(points),
        per(turns),
    );
    println!("{sum:?}");
    ExitCode::SUCCESS
}
