//! What needs crates that do not go into this workspace: the package in `benches/apart`, a workspace
//! of its own, which is built as this program was before the first figure, and started for each.
//!
//! `may` is a peer: coroutines with stacks of their own. `objects` is a published crate, unmodified,
//! that reads in place where no tokio is current.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::harness::{Plan, Samples};
use crate::report::{Bar, Row, Side, Unit};
use crate::suite::{Figures, Suite};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Apart;

impl Suite for Apart {
    const FIGURES: Figures = &[("may", may), ("objects", objects)];
}

/// A line that it prints.
#[derive(Debug, Deserialize)]
struct Measured {
    what: String,
    side: String,
    us: Samples,
}

/// Where it is built to: beside this program.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("the program's own file");
    own.with_file_name("threadlet-bench-apart")
}

/// Builds it, which may take minutes. An error is what was missing.
pub(crate) fn build() -> Result<(), String> {
    let program = program();
    let target = program.ancestors().nth(2).expect("cargo builds into a folder of the profile's");
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--locked", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/apart/Cargo.toml"));
    build.arg("--target-dir").arg(target);
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    let built = build.status().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !built.success() || !program.exists() {
        return Err(format!("benches/apart cannot be built to {}", program.display()));
    }
    Ok(())
}

/// The sides of each workload, in the order of measuring.
fn measured(plan: &Plan, subject: &str, rounds: usize) -> Vec<(String, Vec<Side>)> {
    let mut command = Command::new(program());
    let numbers = [plan.workers, plan.rounds(rounds), plan.size(1, 20)];
    command.arg(subject).args(numbers.map(|number| number.to_string()));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.expect("it can be started");
    assert!(output.status.success(), "{subject}: {}", output.status);
    let mut all: Vec<(String, Vec<Side>)> = Vec::new();
    for line in String::from_utf8(output.stdout).expect("JSON is UTF-8").lines() {
        let Measured { what, side, us } = serde_json::from_str(line).expect("each line is JSON");
        let side = Side::new(side, Unit::Us, &us);
        match all.last_mut() {
            Some((last, sides)) if *last == what => sides.push(side),
            _ => all.push((what, vec![side])),
        }
    }
    all
}

fn may(plan: &Plan) -> Vec<Row> {
    let row = |(what, sides): (String, Vec<Side>)| {
        let [ours, tokio, may] = sides.try_into().expect("there are three sides");
        Row::quotient(format!("{what}: ours / may"), Bar::AtMost(1.0), ours, may).beside(tokio)
    };
    measured(plan, "may", 15).into_iter().map(row).collect()
}

fn objects(plan: &Plan) -> Vec<Row> {
    let row = |(what, sides): (String, Vec<Side>)| {
        let [ours, tokio] = sides.try_into().expect("there are two sides");
        let bar = Bar::AtLeast(if what.contains("64 tasks") { 5.0 } else { 12.0 });
        Row::quotient(format!("{what}: tokio / ours"), bar, tokio, ours)
    };
    measured(plan, "objects", 9).into_iter().map(row).collect()
}
