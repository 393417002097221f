//! Runs suites, says meanwhile how far it is, and prints or keeps what came of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::{Broken, Record, Run};
use crate::machine::Begun;
use crate::pages::{self, Place};
use crate::suite::{Column, Length, Options, SUITES, Suite, Turn, missing, prepare};
use crate::table;

/// Something is broken: a figure panicked, or hung.
const BROKEN: u8 = 2;

/// What `all` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct All {
    /// Only these suites: their files and their parts of the pages are made anew
    #[arg(value_parser = PossibleValuesParser::new(SUITES.iter().map(|(name, _)| *name)))]
    suites: Vec<String>,
    #[command(flatten)]
    length: Length,
    /// Where the data and the pages go, instead of docs/ (with --quick: target/benchmarks)
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Measures the figures of one suite that are named (all, if none is), and prints them.
pub(crate) fn one<S: Suite>(suite: &'static str, options: &Options<S>) -> ExitCode {
    let wanted =
        |name: &str| options.figures.is_empty() || options.figures.iter().any(|w| w == name);
    let turns = turns(suite, S::FIGURES.iter().map(|(name, _)| *name).filter(|name| wanted(name)));
    let progress = Progress::start(turns.len());
    let run = measure(&turns, options.length, &progress);
    progress.end();
    print(&run);
    match (run.broken.is_empty(), run.lost()) {
        (false, _) => ExitCode::from(BROKEN),
        (true, lost) if lost > 0 && options.check => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

/// Measures all suites, keeps the data, and makes the pages from it.
pub(crate) fn all(options: &All) -> io::Result<ExitCode> {
    let place = match &options.into {
        Some(folder) => Place::apart(folder),
        None if options.length.quick => Place::apart(Path::new("target/benchmarks")),
        None => Place::of_the_repository(),
    };
    fs::create_dir_all(&place.data)?;
    let wanted = |name: &str| options.suites.is_empty() || options.suites.iter().any(|w| w == name);
    let chosen = SUITES.iter().filter(|(name, _)| wanted(name));
    let can_be_measured = |name: &str| {
        let missing = missing(name).inspect(|why| eprintln!("{name} is left out: {why}"));
        missing.is_none()
    };
    let suites: Vec<_> = chosen
        .filter(|(name, _)| can_be_measured(name))
        .map(|(name, figures)| (*name, turns(name, figures.iter().map(|(figure, _)| *figure))))
        .collect();
    let progress = Progress::start(suites.iter().map(|(_, turns)| turns.len()).sum());
    let mut broken = false;
    for (name, turns) in suites {
        let run = measure(&turns, options.length, &progress);
        run.write(&place.data_of(name))?;
        progress.beside(|| print(&run));
        broken |= !run.broken.is_empty();
    }
    progress.end();
    pages::write(&place)?;
    println!("the data and the pages are in {}", place.root.display());
    Ok(if broken { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS })
}

/// Each figure under each detector.
fn turns(suite: &'static str, figures: impl Iterator<Item = &'static str>) -> Vec<Turn> {
    let columns = Column::available();
    let of = |figure| columns.clone().into_iter().map(move |column| Turn { suite, figure, column });
    figures.flat_map(of).collect()
}

/// Measures the turns of one suite.
fn measure(turns: &[Turn], length: Length, progress: &Progress) -> Run {
    let begun = Begun::now();
    let (mut records, mut broken) = (Vec::new(), Vec::new());
    let prepared = turns.first().map_or(Ok(()), |turn| prepare(turn.suite));
    for turn in turns {
        progress.begin(turn);
        let (figure, detector) = (turn.figure.to_owned(), turn.column);
        match prepared.clone().and_then(|()| turn.take(length)) {
            Ok(rows) => {
                let record = |row| Record { figure: figure.clone(), detector, row };
                records.extend(rows.into_iter().map(record));
            }
            Err(why) => broken.push(Broken { figure, detector, why }),
        }
    }
    Run { machine: begun.machine(length.quick), records, broken }
}

fn print(run: &Run) {
    println!("{}", table::render(run));
    let lost = match run.lost() {
        0 => "no bar was lost".to_owned(),
        lost => format!("{lost} LOST"),
    };
    let machine = &run.machine;
    println!(
        "{} workers on each side, {} s, other programs took {} % of the processor time: {lost}",
        machine.workers, machine.seconds, machine.others_percent
    );
}

/// A bar on a terminal, lines elsewhere.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    fn start(turns: usize) -> Progress {
        let bar = ProgressBar::new(turns as u64);
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}");
        bar.set_style(style.expect("the template is right"));
        bar.enable_steady_tick(Duration::from_secs(1));
        Progress { bar, begun: Instant::now() }
    }

    fn begin(&self, turn: &Turn) {
        let title = format!("{} {} [{}]", turn.suite, turn.figure, turn.column.name());
        if self.bar.is_hidden() {
            eprintln!("{:6.1} s  {title}", self.begun.elapsed().as_secs_f64());
        }
        self.bar.set_message(title);
        self.bar.inc(1);
    }

    /// Prints without the bar in between.
    fn beside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
