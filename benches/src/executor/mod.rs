//! The executor beside those of tokio and smol: spawning, waking, waiting, and what a task weighs.
//!
//! The workloads are generic code that all of them run; channels and wakers come from `futures`, so
//! that none brings its own. A round builds a runtime, runs the workload once to warm up, and then
//! measures it once; the sides take turns. The ratio of a row is ours over the best of the others.

mod cforall;
mod countdown;
mod sets;
pub(crate) mod side;
mod spawn;
mod wait;
mod weight;

use crate::harness::Samples;
use crate::report::{Bar, Row, Side, Unit};
use crate::suite::{Figures, Suite};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Executor;

impl Suite for Executor {
    const FIGURES: Figures = &[
        ("spawn", spawn::run),
        ("wait", wait::run),
        ("sets", sets::run),
        ("cforall", cforall::run),
        ("weight", weight::run),
    ];
}

/// One row: ours, which comes first, over the best of the others.
fn row(what: &'static str, bar: f64, sides: &[(&'static str, Samples)], unit: Unit) -> Row {
    let mut sides: Vec<Side> =
        sides.iter().map(|(name, samples)| Side::new(*name, unit, samples)).collect();
    sides[1..].sort_by(|one, other| one.samples.median().total_cmp(&other.samples.median()));
    let mut sides = sides.into_iter();
    let mut next = || sides.next().expect("two are compared at least");
    let row = Row::quotient(what, Bar::AtMost(bar), next(), next());
    sides.fold(row, Row::beside)
}

/// Measures a workload on each of these sides, in turns. A macro, because a generic function cannot
/// be passed to one.
macro_rules! compare {
    ($plan:ident, $workers:expr, $what:expr, $workload:path, $size:expr, $rounds:expr) => {
        $crate::executor::compare!(
            $plan, $workers, $what, $workload, $size, $rounds,
            [threadlet::runtime::Runtime, tokio::runtime::Runtime, $crate::peer::Smol]
        )
    };
    ($plan:ident, $workers:expr, $what:expr, $workload:path, $size:expr, $rounds:expr, [$($side:ty),+]) => {{
        use $crate::executor::side::Side;
        let (size, workers) = ($plan.size($size, $size / 10), $workers);
        let mut sides = [$((<$side as Side>::NAME, $crate::harness::Samples::default())),+];
        for _ in 0..$plan.rounds($rounds) {
            let mut sides = sides.iter_mut();
            $({
                let runtime = <$side as Side>::start($plan, workers);
                $workload(&runtime, size);
                let time = $workload(&runtime, size);
                sides.next().expect("one each").1.push(time.as_nanos() as f64 / 1e3);
            })+
        }
        $crate::executor::row($what, 1.0, &sides, $crate::report::Unit::Us)
    }};
}
use compare;
