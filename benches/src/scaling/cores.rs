//! What a path costs on one worker and on all, measured; and on up to 256 cores, by the model, from
//! the time on one worker and the shared lines that the path visits.

use std::time::Instant;

use threadlet_counts::{Goes, PATHS};

use super::model::{Line, Path, simulate};
use crate::harness::{Plan, Samples, in_turns, ns_each};
use crate::report::{Bar, Row, Side, Unit};

/// How many cores the model is asked for.
pub(crate) const CORES: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// How a row of measured times begins, and how one of the model; the path's name follows.
pub(crate) const MEASURED: &str = "measured: ";
pub(crate) const MODELLED: &str = "by the model: ";

/// The list of tasks alive is in parts, by the thread that spawns, and so are the timers.
const PARTS: usize = 16;

const fn counter(name: &'static str) -> Line {
    Line { name, parts: 1, moved: 1.0, held_ns: 0.0 }
}

const fn lock(name: &'static str, parts: usize, held_ns: f64) -> Line {
    Line { name, parts, moved: 2.0, held_ns }
}

/// Each thread takes 64 numbers at a time.
const IDS: Line = Line { moved: 1.0 / 64.0, ..counter("the counter of tasks") };
const ALIVE: Line = lock("the list of tasks alive", PARTS, 10.0);
const TIMERS: Line = lock("the lock of the timers", PARTS, 50.0);
/// Each timer counts in its part.
const TIMED: Line = Line { parts: PARTS, ..counter("the count of a part of the timers") };
const POOL: Line = lock("the lock of the pool", 1, 30.0);

/// What is told of a path in `docs/internals/scaling.md`, "Lines and locks": what others write.
pub(crate) const VISITS: &[(&str, &[Line])] = &[
    ("region", &[]),
    ("wake", &[]),
    ("read", &[]),
    ("spawn", &[IDS, ALIVE, ALIVE]),
    ("timeout", &[TIMED, TIMERS, TIMERS, TIMED]),
    ("handoff", &[IDS, ALIVE, POOL, POOL, ALIVE, POOL]),
];

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    VISITS.iter().flat_map(|(name, visits)| rows(plan, name, visits)).collect()
}

fn rows(plan: &Plan, name: &'static str, visits: &'static [Line]) -> Vec<Row> {
    let [one, all] = in_turns(
        plan.rounds(5),
        [&mut || gone(plan, name, 1), &mut || gone(plan, name, plan.workers)],
    );
    let side = |what: String, samples| Side::new(what, Unit::Ns, samples);
    let measured = Row::quotient(
        format!("{MEASURED}{name}, throughput of {} workers over one's", plan.workers),
        Bar::Open,
        side("on one".to_owned(), &one),
        side(format!("on {}", plan.workers), &all),
    );
    // One worker alone may have to wait for what it has left, as for a spare.
    let private_ns = one.median().min(all.median() * plan.workers as f64);
    let path = Path { private_ns, visits };
    let alone = simulate(&path, 1, TIMES).per_second;
    let modelled = CORES.map(|cores| {
        let outcome = simulate(&path, cores, TIMES);
        let times = Samples::from_iter([outcome.per_second / alone]);
        let what = format!("{MODELLED}{name} on {cores} cores, throughput over one's");
        let row = Row::median(what, Bar::Open, Side::new("model", Unit::Ratio, &times));
        match outcome.busiest {
            None => row,
            Some((line, share)) => {
                row.note(format!("{line} is in use {:.0} % of the time", 100.0 * share))
            }
        }
    });
    [measured].into_iter().chain(modelled).collect()
}

/// How often each core goes a path in the model.
const TIMES: usize = 100;

/// Nanoseconds for each, where as many tasks as workers go it at once.
fn gone(plan: &Plan, name: &str, workers: usize) -> f64 {
    let path = PATHS.iter().find(|path| path.name == name).expect("it is one of those");
    let Goes::Task(task) = path.goes else { unreachable!("{name} is gone by a task") };
    let (count, runtime) = (plan.size(4 * path.count, 100), plan.runtime_of(workers));
    let time = runtime.block_on(async {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..workers).map(|_| threadlet::spawn(task(count))).collect();
        for task in tasks {
            task.await.expect("it ends well");
        }
        begin.elapsed()
    });
    ns_each(time, count * workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_of_the_model_can_be_measured() {
        for (name, _) in VISITS {
            let path = PATHS.iter().find(|path| path.name == *name).unwrap();
            assert!(matches!(path.goes, Goes::Task(_)), "{name}");
        }
    }
}
