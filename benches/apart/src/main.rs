//! What `threadlet-bench` measures and cannot build itself, because it needs crates that do not go
//! into the workspace: the figures of its suite `apart`. It builds this, starts it and takes what it
//! prints: a JSON object for each side of each workload, with a sample a round. By hand:
//!
//! ```sh
//! cargo run --release --manifest-path benches/apart/Cargo.toml -- may 2 15 1
//! ```
//!
//! The words are the subject, how many workers each side has, how many rounds there are, and by what
//! number the workloads' sizes are divided. How our runtime finds blocked threads is said by
//! `THREADLET_DETECTOR`, as ever.

mod may;
mod objects;
mod peer;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    workers: usize,
    rounds: usize,
    divisor: usize,
}

impl Plan {
    fn size(self, full: usize) -> usize {
        (full / self.divisor).max(1)
    }
}

/// A side of a workload: its name, and how it does it once.
type Side<'a> = (&'static str, &'a mut dyn FnMut() -> Duration);

/// Measures the sides in turns, and prints microseconds.
fn compare<const N: usize>(plan: Plan, what: &str, mut sides: [Side<'_>; N]) {
    let mut samples = [const { Vec::new() }; N];
    for _ in 0..plan.rounds {
        for ((_, measure), samples) in sides.iter_mut().zip(&mut samples) {
            samples.push(measure().as_nanos() as f64 / 1e3);
        }
    }
    for ((name, _), samples) in sides.iter().zip(samples) {
        println!("{}", json!({ "what": what, "side": name, "us": samples }));
    }
}

fn plan(words: &[String]) -> Option<Plan> {
    let numbers: Result<Vec<usize>, _> = words.iter().map(|word| word.parse()).collect();
    let [workers, rounds, divisor] = numbers.ok()?.try_into().ok()?;
    Some(Plan { workers, rounds, divisor })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (subject, rest) = words.split_first().map_or(("", &[][..]), |(one, rest)| (one, rest));
    match (subject, plan(rest)) {
        ("may", Some(plan)) => may::run(plan),
        ("objects", Some(plan)) => objects::run(plan),
        _ => {
            eprintln!("usage: threadlet-bench-apart may|objects WORKERS ROUNDS DIVISOR");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
