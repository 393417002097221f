//! What programs do beside calls and sockets: one file for each kind of figure.

mod busy;
mod files;
mod packages;
mod release;
mod timers;

use crate::suite::{Figures, Suite};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Load;

impl Suite for Load {
    const FIGURES: Figures = &[
        ("busy", busy::run),
        ("release", release::run),
        ("timers", timers::run),
        ("packages", packages::run),
        ("files", files::run),
    ];
}
