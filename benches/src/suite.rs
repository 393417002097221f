//! A named list of figures, measured under each detector and printed as one table.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use threadlet::runtime::{Builder, Detector};

use crate::harness::{Plan, watch};
use crate::report::{Column, Report, Row};

/// Measures under one detector.
pub(crate) type Figure = fn(&Plan) -> Vec<Row>;

/// A list of figures, each with its name on the command line.
pub(crate) trait Suite {
    const FIGURES: &'static [(&'static str, Figure)];
}

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options<S: Suite> {
    /// Only these figures
    #[arg(value_parser = PossibleValuesParser::new(S::FIGURES.iter().map(|(name, _)| *name)))]
    figures: Vec<String>,
    /// A smoke run of some seconds: shows that everything runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Rounds per figure, instead of each figure's own number
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Exit with status 1 if a bar is not met
    #[arg(long)]
    check: bool,
    #[arg(skip)]
    suite: PhantomData<S>,
}

/// No figure under one detector takes half as long; more is a hang.
const LIMIT: Duration = Duration::from_secs(180);

/// Something is broken: a figure panicked.
const BROKEN: u8 = 2;

/// Measures the figures that are named (all, if none is), prints, and says how it went.
pub(crate) fn run<S: Suite>(options: &Options<S>) -> ExitCode {
    if std::env::var_os("THREADLET_DETECTOR").is_some_and(|word| !word.is_empty()) {
        eprintln!("THREADLET_DETECTOR is set: it would override the detectors to be compared");
        return ExitCode::from(BROKEN);
    }
    let begin = Instant::now();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let columns = columns();
    let (says, begins) = mpsc::channel();
    let rounds = u32::from(options.rounds.unwrap_or(0));
    let limit = LIMIT.max(Duration::from_secs(20) * rounds);
    let watchdog = thread::spawn(move || watch(&begins, limit));
    let mut report = Report::default();
    for (name, figure) in S::FIGURES {
        if !options.figures.is_empty() && !options.figures.iter().any(|wanted| wanted == name) {
            continue;
        }
        for &(column, detector) in &columns {
            let title = format!("{name} [{detector:?}]");
            eprintln!("{:6.1} s  {title}", begin.elapsed().as_secs_f64());
            let _ = says.send(title.clone());
            let rounds = options.rounds.map(usize::from);
            let plan = Plan { quick: options.quick, rounds, workers, detector };
            match catch_unwind(AssertUnwindSafe(|| figure(&plan))) {
                Ok(rows) => report.add(name, column, rows),
                Err(payload) => report.add_broken(title, text_of(payload.as_ref())),
            }
        }
    }
    drop(says);
    let _ = watchdog.join();
    println!("{}", report.render());
    println!(
        "{workers} workers on each side, {:.0} s, {}",
        begin.elapsed().as_secs_f64(),
        match report.lost() {
            0 => "no bar was lost".to_owned(),
            lost => format!("{lost} LOST"),
        }
    );
    match (report.is_broken(), report.lost()) {
        (true, _) => ExitCode::from(BROKEN),
        (false, lost) if lost > 0 && options.check => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

/// The detectors that can be had here. A refusal of perf is said, and its column stays empty.
fn columns() -> Vec<(Column, Detector)> {
    let probe = Builder::new_multi_thread().worker_threads(1).detector(Detector::Perf).build();
    let metrics = probe.expect("a runtime can be built").metrics();
    let mut columns = vec![(Column::Monitor, Detector::Monitor)];
    if metrics.detector == "perf" {
        columns.insert(0, (Column::Perf, Detector::Perf));
    } else {
        let reason = metrics.detector_reason.unwrap_or_default();
        println!("perf cannot be had here: {reason}");
    }
    columns
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> String {
    let literal = payload.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    let text = literal.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked".to_owned())
}
