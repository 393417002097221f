//! What the flight recorder costs: each figure with one and without, in turns.

use crate::engine::calls;
use crate::handlers;
use crate::predict::mixed;
use crate::suite::{Figure, Suite};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Recorder;

impl Suite for Recorder {
    const FIGURES: &'static [(&'static str, Figure)] =
        &[("inline", calls::recorded), ("blocks", mixed::recorded), ("hello", handlers::recorded)];
}
