//! Cost as work grows, and past this machine: tasks from one to a million, blocked threads from one
//! to ten thousand, and cores by a model. The page is `docs/internals/scaling.md`.

mod blocked;
mod cores;
mod model;
mod tasks;

pub(crate) use self::blocked::{COUNTS as BLOCKED, STEPS as BLOCKED_STEPS};
pub(crate) use self::cores::{CORES, MEASURED, MODELLED, VISITS};
pub(crate) use self::tasks::{COUNTS as TASKS, STEPS as TASK_STEPS};
use crate::report::in_thousands;
use crate::suite::{Figures, Suite};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Scaling;

impl Suite for Scaling {
    const FIGURES: Figures =
        &[("tasks", tasks::run), ("blocked", blocked::run), ("cores", cores::run)];
}

/// How many of something, in words.
fn many(count: usize) -> String {
    in_thousands(count as f64, 0)
}
