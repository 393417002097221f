//! Calls that block often or seldom, and files: one file for each kind of figure.

mod always;
mod mixed;

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

const FIGURES: [(&str, Figure); 3] =
    [("mixed", mixed::run), ("unyielding", mixed::run_unyielding), ("always", always::run)];

pub(crate) fn run(options: &Options) -> ExitCode {
    suite::run(&FIGURES, &options.figures, &options.measure)
}
