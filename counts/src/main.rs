//! What threadlet's paths cost in instructions, atomics, fences, allocations and system calls,
//! counted under callgrind, and whether that is within their budgets.
//!
//! ```sh
//! cargo run --release -p threadlet-counts                 # counts those with a budget, and checks it
//! cargo run --release -p threadlet-counts -- spawn wake   # only these
//! cargo run --release -p threadlet-counts -- lines wake   # and which lines make atomics and fences
//! ```
//!
//! Each path is gone N times and 2 N times, each time by a copy of this program, and what is counted
//! is the difference: start and end cancel out. Times say little on a machine that others use, and
//! nothing of a change by a few nanoseconds; such counts are the same everywhere, but for the
//! compiler.
//!
//! One path is the first with more in it than its budget allows. It must be found too dear, each time:
//! a guard that finds nothing guards nothing.

mod budgets;
mod callgrind;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use threadlet::runtime::{Builder, Detector};
use threadlet_counts::{PATHS, PLANTED, Path};

use crate::budgets::{BUDGETS, Budget, Verdict, rounded};
use crate::callgrind::{Counts, Program};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["go", name, count] => go(name, count),
        ["lines", name] => lines(name),
        ["help" | "--help" | "-h"] => Err(USAGE.to_owned()),
        _ => check(&words),
    };
    match done {
        Ok(code) => code,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "threadlet-counts [PATH...]     counts, and checks the budgets
threadlet-counts lines PATH    which lines make atomics and fences
threadlet-counts go PATH N     goes a path, as callgrind has it done";

fn all() -> impl Iterator<Item = &'static Path> {
    PATHS.iter().chain([const { &PLANTED }])
}

fn path(name: &str) -> Result<&'static Path, String> {
    let known = all().find(|path| path.name == name);
    known.ok_or_else(|| {
        let names: Vec<_> = all().map(|path| path.name).collect();
        format!("there is no path {name:?}; there are: {}\n{USAGE}", names.join(", "))
    })
}

fn budget_of(name: &str) -> Option<&'static Budget> {
    BUDGETS.iter().find(|budget| budget.path == name)
}

fn go(name: &str, count: &str) -> Result<ExitCode, String> {
    let count = count.parse().map_err(|_| format!("{count:?} is no number\n{USAGE}"))?;
    // One worker: each run is the same. No detector: under valgrind one thread runs at a time, and all
    // others would be seen asleep.
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).detector(Detector::Off).build();
    path(name)?.go(count, runtime.map_err(|error| format!("there is no runtime: {error}"))?);
    Ok(ExitCode::SUCCESS)
}

/// What one of a path costs, and the file with what the longer run has executed.
fn count(program: &Program, path: &Path) -> Result<(Counts, PathBuf), String> {
    let of = |count| program.count(path.name, count).map_err(|why| format!("{}: {why}", path.name));
    let ((short, _), (long, file)) = (of(path.count)?, of(2 * path.count)?);
    let each = long.each(&short, path.count);
    if each.instructions < 1.0 && budget_of(path.name).is_some() {
        return Err(format!("{}: nothing was counted", path.name));
    }
    Ok((each, file))
}

fn lines(name: &str) -> Result<ExitCode, String> {
    let program = Program::this()?;
    let (counts, _) = count(&program, path(name)?)?;
    program.lines(&counts.places)?.iter().for_each(|(count, line)| println!("{count:6.2}  {line}"));
    Ok(ExitCode::SUCCESS)
}

fn check(names: &[&str]) -> Result<ExitCode, String> {
    let mut chosen: VecDeque<&Path> =
        names.iter().map(|name| path(name)).collect::<Result<_, _>>()?;
    if chosen.is_empty() {
        let is_judged = |path: &&Path| path.name == PLANTED.name || budget_of(path.name).is_some();
        chosen = all().filter(is_judged).collect();
    }
    let program = Program::this()?;
    println!(
        "{:<12} {:>12} {:>8} {:>7} {:>12} {:>13}",
        "path", "instructions", "atomics", "fences", "allocations", "system calls"
    );
    let (left, wrong) = (Mutex::new(chosen), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some(path) = left.lock().expect("no panic").pop_front() else { return };
            let complaint = one(&program, path);
            wrong.lock().expect("no panic").extend(complaint.err());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    if wrong.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(wrong.join("\n")) }
}

/// Counts a path, says what it found, and complains if that is too much.
fn one(program: &Program, path: &Path) -> Result<(), String> {
    let (counts, file) = count(program, path)?;
    let [instructions, atomics, fences, allocations, system_calls] = rounded(&counts);
    println!(
        "{:<12} {instructions:>12} {atomics:>8} {fences:>7} {allocations:>12} {system_calls:>13}",
        path.name
    );
    if path.name == PLANTED.name {
        let verdict = budget_of(PATHS[0].name).expect("the first has one").judge(&counts);
        return judge_planted(&verdict);
    }
    let Some(budget) = budget_of(path.name) else { return Ok(()) };
    let Verdict { over, under } = budget.judge(&counts);
    for line in under {
        println!("{}: {line}: lower its row in counts/src/budgets.rs", path.name);
    }
    if over.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}, {}: too much\n    {}\nWhere, is shown by\n    callgrind_annotate --auto=yes {}\nand which \
         lines make atomics and fences by\n    cargo run --release -p threadlet-counts -- lines '{}'\nIf it \
         must be so, its row in counts/src/budgets.rs is to be raised, and docs/internals/scaling.md.",
        path.name,
        path.what,
        over.join("\n    "),
        file.display(),
        path.name,
    ))
}

/// All that was planted must be found.
fn judge_planted(verdict: &Verdict) -> Result<(), String> {
    let planted = ["instructions", "atomic operations", "allocations", "system calls"];
    let missed: Vec<_> = planted
        .iter()
        .filter(|what| !verdict.over.iter().any(|line| line.contains(**what)))
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(format!("the guard does not see what was planted: more {missed:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_planted_must_be_found() {
        let over = ["9.0 instructions", "1.0 atomic operations", "1.0 allocations"];
        let mut verdict = Verdict { over: over.map(str::to_owned).into(), under: Vec::new() };
        assert!(judge_planted(&verdict).unwrap_err().contains("system calls"));
        verdict.over.push("1.0 system calls, budget 0".to_owned());
        assert_eq!(judge_planted(&verdict), Ok(()));
    }
}
