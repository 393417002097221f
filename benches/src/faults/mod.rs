//! Look-ups in a memory-mapped file on a slow device, and a 1 ms ticker beside them: the same
//! program on threadlet, tokio and smol.
//!
//! Clients ask a server, each over a connection of its own (a channel in this process, so that what
//! is measured is not a socket), and ask again when they are answered. A look-up adds up one page
//! of a mapped file. Most pages are in memory; a touch of the others waits for the device
//! (`device`). No call says so: that is what makes a mapped file dear to an async program. `ways`
//! has the ways to deal with it, `load` the work.
//!
//! Each way has a runtime of its own in its turn. Every answer is checked.

#[allow(unsafe_code, reason = "a mapping, and the calls to the kernel that answer its faults")]
mod device;
mod load;
mod ways;

use std::io;
use std::time::Duration;

use crate::harness::{Plan, Samples};
use crate::report::{Bar, Row, Side, Unit, least};
use crate::suite::{Figures, Suite};
use device::{DEPTH, LATENCY};
use load::{Load, Outcome, measure};
use ways::{BlockInPlace, Marked, Plain, SpawnBlocking, Unblock};

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Faults;

impl Suite for Faults {
    const FIGURES: Figures = &[("lookups", lookups), ("memory", memory), ("device", all_cold)];
}

const CLIENTS: u64 = 64;

/// A way to do it, and what came of it.
struct Way {
    name: &'static str,
    measure: fn(&Plan, Load) -> io::Result<Outcome>,
    outcomes: Vec<Outcome>,
}

/// Ours, the first of them marked; then the peers.
fn ways() -> [Way; 7] {
    let way = |name, measure| Way { name, measure, outcomes: Vec::new() };
    [
        way("threadlet!", measure::<Marked>),
        way("threadlet, plain", measure::<Plain<threadlet::runtime::Runtime>>),
        way("tokio, plain", measure::<Plain<tokio::runtime::Runtime>>),
        way("tokio spawn_blocking", measure::<SpawnBlocking>),
        way("tokio block_in_place", measure::<BlockInPlace>),
        way("smol, plain", measure::<Plain<crate::peer::Smol>>),
        way("smol unblock", measure::<Unblock>),
    ]
}

const OURS: usize = 2;

impl Way {
    fn side(&self, unit: Unit, of: impl Fn(&Outcome) -> f64) -> Side {
        Side::new(self.name, unit, &self.outcomes.iter().map(of).collect())
    }
}

fn all(plan: &Plan, cold_percent: u64, rounds: usize) -> [Way; 7] {
    let run = plan.size(Duration::from_millis(1300), Duration::from_millis(100));
    let alone = plan.size(Duration::from_millis(200), Duration::from_millis(20));
    let load = Load { clients: CLIENTS, cold_percent, run, alone };
    let mut ways = ways();
    for _ in 0..if plan.quick { 1 } else { plan.rounds(rounds) } {
        for way in &mut ways {
            let outcome = (way.measure)(plan, load).expect("a file whose faults we answer");
            way.outcomes.push(outcome);
            // Threads that are kept for half a second are nobody else's.
            std::thread::sleep(plan.size(Duration::from_millis(600), Duration::ZERO));
        }
    }
    ways
}

/// The picture: one look-up of twenty waits for the device.
fn lookups(plan: &Plan) -> Vec<Row> {
    const COLD_PERCENT: u64 = 5;
    let ways = all(plan, COLD_PERCENT, 5);
    let gives = DEPTH as f64 / LATENCY.as_secs_f64() * 100.0 / COLD_PERCENT as f64;
    let device = Side::new(
        "the device gives",
        Unit::PerSecond,
        &ways[0].outcomes.iter().map(|_| gives).collect(),
    );
    let rate = |way: &Way| way.side(Unit::PerSecond, |outcome| outcome.lookups_per_second);
    let rated = |what, bar, way: &Way| Row::quotient(what, bar, rate(way), device.clone());
    let marked = rated("look-ups/s, marked / what the device gives", Bar::AtLeast(0.97), &ways[0]);
    let mut rows = vec![
        ways[OURS..].iter().map(rate).fold(marked, Row::beside),
        rated("look-ups/s, nothing marked / what the device gives", Bar::AtLeast(0.86), &ways[1]),
        against(
            "ticker's p99, marked: ours / best peer",
            Bar::AtMost(0.5),
            &ways,
            Unit::Us,
            |outcome| outcome.late.percentile(99.0),
        ),
        against(
            "ticker's latest, marked: ours / best peer",
            Bar::AtMost(1.0),
            &ways,
            Unit::Us,
            |outcome| outcome.late.max(),
        ),
        against("CPU a look-up, marked: ours / best peer", Bar::Open, &ways, Unit::Us, |outcome| {
            outcome.cpu_each
        }),
        against(
            "threads, marked: ours / fewest of the peers",
            Bar::Open,
            &ways,
            Unit::Count,
            |outcome| outcome.threads as f64,
        ),
    ];
    rows.extend(ways.iter().flat_map(ticks));
    rows
}

/// The first way beside the best of the peers' ways, where less is better.
fn against(
    what: &'static str,
    bar: Bar,
    ways: &[Way],
    unit: Unit,
    of: impl Fn(&Outcome) -> f64 + Copy,
) -> Row {
    let (best, others) = least(ways[OURS..].iter().map(|way| way.side(unit, of)).collect());
    let row = Row::quotient(what, bar, ways[0].side(unit, of), best);
    let row = row.beside(ways[1].side(unit, of));
    others.into_iter().fold(row, Row::beside)
}

/// How the words of a row begin that has all ticks of a way.
pub(crate) const TICKS: &str = "ticks late, ";

/// The last of the percentiles that such a row has, in decades of what is left: 99.9 %.
pub(crate) const DECADES: f64 = 3.0;
/// How many percentiles it has, from 50 % to that one, at equal distances.
const STEPS: usize = 111;

/// What share of its ticks is no later than the percentile that is `nth`, in decades: 90 %, 99 % and
/// 99.9 % are equally far from each other.
pub(crate) fn decades(nth: usize) -> f64 {
    let half = 2f64.log10();
    half + (DECADES - half) * nth as f64 / (STEPS - 1) as f64
}

/// How late all ticks of a way were, and those before the first client came. The samples are
/// percentiles, see [`decades`].
fn ticks(way: &Way) -> [Row; 1] {
    let gathered = |of: fn(&Outcome) -> &Samples| -> Samples {
        way.outcomes.iter().flat_map(|outcome| of(outcome).iter()).collect()
    };
    let late = gathered(|outcome| &outcome.late);
    let percentile = |nth| late.percentile(100.0 * (1.0 - 10f64.powf(-decades(nth))));
    let steps = Side::new(way.name, Unit::Us, &(0..STEPS).map(percentile).collect());
    let alone = gathered(|outcome| &outcome.late_alone).median();
    let row = Row::worst(format!("{TICKS}{}: 999 of 1,000", way.name), Bar::Open, steps);
    let one = |name, value| Side::new(name, Unit::Us, &[value].into_iter().collect());
    let others = [
        one("the median", late.median()),
        one("the 99th percentile", late.percentile(99.0)),
        one("the latest", late.max()),
        one("alone, the median", alone),
    ];
    [others.into_iter().fold(row, Row::beside)]
}

/// Nothing waits for the device.
fn memory(plan: &Plan) -> Vec<Row> {
    compared(plan, 0, "no look-up waits: look-ups/s, ours marked / best peer")
}

/// Every look-up does.
fn all_cold(plan: &Plan) -> Vec<Row> {
    compared(plan, 100, "every look-up waits: look-ups/s, ours marked / best peer")
}

fn compared(plan: &Plan, cold_percent: u64, what: &'static str) -> Vec<Row> {
    let ways = all(plan, cold_percent, 2);
    let rate = |way: &Way| way.side(Unit::PerSecond, |outcome| outcome.lookups_per_second);
    let (best, others) = crate::report::most(ways[OURS..].iter().map(rate).collect());
    let row = Row::quotient(what, Bar::AtLeast(0.95), rate(&ways[0]), best).beside(rate(&ways[1]));
    vec![others.into_iter().fold(row, Row::beside)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentiles_go_from_the_median_to_999_of_1000() {
        let percent = |nth| 100.0 * (1.0 - 10f64.powf(-decades(nth)));
        assert!((percent(0) - 50.0).abs() < 1e-9, "{}", percent(0));
        assert!((percent(STEPS - 1) - 99.9).abs() < 1e-9, "{}", percent(STEPS - 1));
    }
}
