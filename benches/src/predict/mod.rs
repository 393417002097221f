//! Calls that block often or seldom, and files: one file for each kind of figure.

mod always;
mod device;
mod files;
mod foreign;
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

const FIGURES: [(&str, Figure); 8] = [
    ("mixed", mixed::run),
    ("unyielding", mixed::run_unyielding),
    ("always", always::run),
    ("whole", files::whole),
    ("read_at", files::read_at),
    ("many", files::many),
    ("device", device::run),
    ("foreign", foreign::run),
];

pub(crate) fn run(options: &Options) -> ExitCode {
    suite::run(&FIGURES, &options.figures, &options.measure)
}
