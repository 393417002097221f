//! The engine's figures, one file each.

mod build;
mod calls;
mod closures;
mod handoff;
mod idle;
mod lateness;
mod micro;
mod pread;
mod unmarked;

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;

use crate::suite::{self, Figure, Measure};

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these figures
    #[arg(value_parser = PossibleValuesParser::new(suite::names(&FIGURES)))]
    figures: Vec<String>,
    #[command(flatten)]
    measure: Measure,
}

const FIGURES: [(&str, Figure); 9] = [
    ("overhead", calls::run),
    ("pread", pread::run),
    ("handoff", handoff::run),
    ("lateness", lateness::run),
    ("closures", closures::run),
    ("unmarked", unmarked::run),
    ("micro", micro::run),
    ("idle", idle::run),
    ("build", build::run),
];

pub(crate) fn run(options: &Options) -> ExitCode {
    suite::run(&FIGURES, &options.figures, &options.measure)
}
