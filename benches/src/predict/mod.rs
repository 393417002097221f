//! Calls that block often or seldom, and files: one file for each kind of figure.

mod always;
mod device;
mod files;
mod foreign;
pub(crate) mod mixed;

use crate::suite::{Figure, Suite};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Predict;

impl Suite for Predict {
    const FIGURES: &'static [(&'static str, Figure)] = &[
        ("mixed", mixed::run),
        ("unyielding", mixed::run_unyielding),
        ("always", always::run),
        ("whole", files::whole),
        ("read_at", files::read_at),
        ("many", files::many),
        ("device", device::run),
        ("foreign", foreign::run),
    ];
}
