//! The engine's figures, one file each.

mod build;
pub(crate) mod calls;
mod closures;
mod handoff;
mod idle;
mod injector;
mod lateness;
mod pread;
mod root;
mod unmarked;

use crate::suite::{Figure, Suite};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Engine;

impl Suite for Engine {
    const FIGURES: &'static [(&'static str, Figure)] = &[
        ("overhead", calls::run),
        ("pread", pread::run),
        ("handoff", handoff::run),
        ("lateness", lateness::run),
        ("closures", closures::run),
        ("unmarked", unmarked::run),
        ("injector", injector::run),
        ("root", root::run),
        ("idle", idle::run),
        ("build", build::run),
    ];
}
