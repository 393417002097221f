//! Named lists of figures, and how one figure is measured: in a process of its own, under one
//! detector. So no figure is measured beside what an earlier one has left (threads that are kept, a
//! heap in pieces), and one that panics or hangs takes no other with it.

use std::io::{Read, Write};
use std::marker::PhantomData;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use serde::{Deserialize, Serialize};
use threadlet::runtime::{Builder, Detector};

use crate::apart::{self, Apart};
use crate::engine::Engine;
use crate::executor::Executor;
use crate::faults::Faults;
use crate::fio::{self, Fio};
use crate::handlers::Handlers;
use crate::harness::Plan;
use crate::load::Load;
use crate::predict::Predict;
use crate::recorder::Recorder;
use crate::report::Row;
use crate::scaling::Scaling;
use crate::sockets::Sockets;

/// Measures under one detector.
pub(crate) type Figure = fn(&Plan) -> Vec<Row>;

/// A list of figures, each with its name on the command line.
pub(crate) trait Suite {
    const FIGURES: Figures;
}

pub(crate) type Figures = &'static [(&'static str, Figure)];

/// All suites, in the order of the page.
pub(crate) const SUITES: &[(&str, Figures)] = &[
    ("engine", Engine::FIGURES),
    ("executor", Executor::FIGURES),
    ("predict", Predict::FIGURES),
    ("handlers", Handlers::FIGURES),
    ("sockets", Sockets::FIGURES),
    ("faults", Faults::FIGURES),
    ("load", Load::FIGURES),
    ("scaling", Scaling::FIGURES),
    ("recorder", Recorder::FIGURES),
    ("apart", Apart::FIGURES),
    ("fio", Fio::FIGURES),
];

/// Why a suite cannot be measured here, if it cannot.
pub(crate) fn missing(suite: &str) -> Option<&'static str> {
    (suite == "fio" && !fio::is_there()).then_some("fio is missing (Debian: apt-get install fio)")
}

/// Builds what a suite's figures start. An error says why it cannot be had.
pub(crate) fn prepare(suite: &str) -> Result<(), String> {
    if suite == "apart" { apart::build() } else { Ok(()) }
}

/// How long to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Length {
    /// A smoke run of some seconds: shows that everything runs, not how fast
    #[arg(long)]
    pub(crate) quick: bool,
    /// Rounds per figure, instead of each figure's own number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: Option<u16>,
}

/// What to measure of a suite, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options<S: Suite> {
    /// Only these figures
    #[arg(value_parser = PossibleValuesParser::new(S::FIGURES.iter().map(|(name, _)| *name)))]
    pub(crate) figures: Vec<String>,
    #[command(flatten)]
    pub(crate) length: Length,
    /// Exit with status 1 if a bar is not met
    #[arg(long)]
    pub(crate) check: bool,
    #[arg(skip)]
    suite: PhantomData<S>,
}

/// A way to find blocked threads, with a column of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Column {
    Perf,
    Monitor,
}

impl Column {
    pub(crate) const ALL: [Column; 2] = [Column::Perf, Column::Monitor];

    /// As `THREADLET_DETECTOR` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Column::Perf => "perf",
            Column::Monitor => "monitor",
        }
    }

    fn detector(self) -> Detector {
        match self {
            Column::Perf => Detector::Perf,
            Column::Monitor => Detector::Monitor,
        }
    }

    /// Those that can be had here. A refusal of perf is said, and its column stays empty.
    pub(crate) fn available() -> Vec<Column> {
        let builder = &mut Builder::new_multi_thread();
        let probe = builder.worker_threads(1).detector(Detector::Perf).build();
        let metrics = probe.expect("a runtime can be built").metrics();
        if metrics.detector == "perf" {
            return Column::ALL.into();
        }
        eprintln!("perf cannot be had here: {}", metrics.detector_reason.unwrap_or_default());
        vec![Column::Monitor]
    }
}

/// One figure under one detector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) suite: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) column: Column,
}

/// What the program's copy is told that measures one turn.
#[derive(Debug, clap::Args)]
pub(crate) struct Measure {
    suite: String,
    figure: String,
    column: Column,
    #[command(flatten)]
    length: Length,
}

/// Measures one turn in this process; a row a line.
pub(crate) fn measure(turn: &Measure) -> ExitCode {
    let suite = SUITES.iter().find(|(name, _)| *name == turn.suite);
    let figure = suite.and_then(|(_, list)| list.iter().find(|(name, _)| *name == turn.figure));
    let Some((_, figure)) = figure else {
        eprintln!("there is no figure {} {}", turn.suite, turn.figure);
        return ExitCode::FAILURE;
    };
    let plan = Plan {
        quick: turn.length.quick,
        rounds: turn.length.rounds.map(usize::from),
        workers: workers(),
        detector: turn.column.detector(),
    };
    let mut lines = std::io::stdout().lock();
    for row in figure(&plan) {
        let line = serde_json::to_string(&row).expect("a row is JSON");
        writeln!(lines, "{line}").expect("who asked listens");
    }
    ExitCode::SUCCESS
}

/// How many workers each side has.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// No figure under one detector takes half as long; more is a hang.
const LIMIT: Duration = Duration::from_secs(240);

impl Turn {
    /// Has it measured by a copy of this program. An error is what it died of.
    pub(crate) fn take(self, length: Length) -> Result<Vec<Row>, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["measure", self.suite, self.figure, self.column.name()]);
        if length.quick {
            command.arg("--quick");
        }
        if let Some(rounds) = length.rounds {
            command.arg("--rounds").arg(rounds.to_string());
        }
        // Also for runtimes that nobody here builds: the global one, a facade's.
        command.env("THREADLET_DETECTOR", self.column.name());
        let limit = LIMIT.max(Duration::from_secs(20) * length.rounds.unwrap_or(0).into());
        let lines = output(&mut command, limit)?;
        let row =
            |line: &str| serde_json::from_str(line).map_err(|error| format!("{line}: {error}"));
        lines.lines().map(row).collect()
    }
}

/// What a command prints, if it ends well within the limit.
fn output(command: &mut Command, limit: Duration) -> Result<String, String> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let said = text_of(child.stdout.take().expect("it is piped"));
    let complained = text_of(child.stderr.take().expect("it is piped"));
    let (ended, ends) = mpsc::channel();
    let said = std::thread::spawn(move || {
        let text = said.join().expect("it reads");
        let _ = ended.send(());
        text
    });
    let in_time = ends.recv_timeout(limit).is_ok();
    if !in_time {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if !in_time {
        return Err(format!("no end after {} s, given up", limit.as_secs()));
    }
    let complained = complained.join().expect("it reads");
    if status.success() {
        Ok(said.join().expect("it reads"))
    } else {
        Err(format!("{status}: {complained}"))
    }
}

fn text_of(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_process_that_ends_well_is_listened_to() {
        let said = output(&mut shell("echo one; echo two >&2"), Duration::from_secs(60));
        assert_eq!(said.unwrap(), "one\n");
    }

    #[test]
    fn a_process_that_fails_says_why() {
        let error = output(&mut shell("echo because >&2; exit 3"), Duration::from_secs(60));
        let error = error.unwrap_err();
        assert!(error.contains("because") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_process_that_hangs_is_given_up() {
        let error = output(&mut shell("exec sleep 600"), Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("given up"), "{error}");
    }

    #[test]
    fn each_name_is_given_once() {
        for (suite, figures) in SUITES {
            let mut names: Vec<_> = figures.iter().map(|(name, _)| name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), figures.len(), "{suite}");
        }
    }
}
