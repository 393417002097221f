//! A model of many cores: each goes a path again and again, computes by itself, and now and then
//! needs a cache line that others write, too. A line is with one core at a time; to get it from
//! another takes the time of a message between the two, and those that want it wait in line.
//!
//! It knows no memory, no kernel and no allocator; what it says is where a path that touches shared
//! lines must cease to grow, and which line it is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::workload::Draw;

/// One-way messages between two cores, in nanoseconds: medians of AMD's EPYC 7R13, two sockets, by
/// <https://github.com/nviennot/core-to-core-latency>. (Intel's Xeon 8375C: 51 in a socket, 108
/// between two; Graviton3: 46.)
const IN_A_GROUP: f64 = 23.0;
const IN_A_SOCKET: f64 = 107.0;
const BETWEEN_SOCKETS: f64 = 197.0;

/// Cores that share a cache, and cores of a socket.
const GROUP: usize = 8;
const SOCKET: usize = 64;

/// A cache line, or several that go together, of which each of some parts has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// Of so many, each core has to do with one.
    pub(crate) parts: usize,
    /// Lines that are moved at a visit: a lock's word, and what it guards.
    pub(crate) moved: f64,
    /// How long it is held beyond that.
    pub(crate) held_ns: f64,
}

/// A path: what it computes on one core, and the lines that it visits on its way.
#[derive(Clone, Debug)]
pub(crate) struct Path<'a> {
    pub(crate) private_ns: f64,
    pub(crate) visits: &'a [Line],
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    /// The line that was in use for most of the time, and for how much of it.
    pub(crate) busiest: Option<(&'static str, f64)>,
}

fn message(one: usize, other: usize) -> f64 {
    match () {
        () if one == other => 0.0,
        () if one / GROUP == other / GROUP => IN_A_GROUP,
        () if one / SOCKET == other / SOCKET => IN_A_SOCKET,
        () => BETWEEN_SOCKETS,
    }
}

/// The state of a line in the model.
#[derive(Clone, Debug)]
struct State {
    name: &'static str,
    holder: usize,
    free_at: f64,
    busy: f64,
}

/// A time in picoseconds, which orders.
type At = u64;

/// Lets so many cores go the path, until it has been gone `times` times by each.
pub(crate) fn simulate(path: &Path<'_>, cores: usize, times: usize) -> Outcome {
    let states = |visit: &Line| {
        let state = State { name: visit.name, holder: usize::MAX, free_at: 0.0, busy: 0.0 };
        vec![state; visit.parts]
    };
    // A line that a path visits twice is one line.
    let mut lines: Vec<Vec<State>> = Vec::new();
    let mut of_visit = Vec::new();
    for visit in path.visits {
        let known = lines.iter().position(|parts| parts[0].name == visit.name);
        of_visit.push(known.unwrap_or(lines.len()));
        if known.is_none() {
            lines.push(states(visit));
        }
    }
    let steps = path.visits.len() + 1;
    let mut draws: Vec<Draw> = (0..cores).map(Draw::new).collect();
    // Nobody keeps step with others.
    let mut computes = |core: usize| {
        let share = f64::from(draws[core].next() % 1000) / 1000.0 + 0.5;
        path.private_ns / steps as f64 * share
    };
    let at = |ns: f64| -> At { (ns * 1e3) as At };
    let begun = (0..cores).map(|core| Reverse((at(computes(core)), core, 0)));
    let mut events: BinaryHeap<Reverse<(At, usize, usize)>> = begun.collect();
    let (mut gone, mut end) = (0, 0.0);
    while gone < cores * times {
        let Some(Reverse((now, core, step))) = events.pop() else { break };
        let now = now as f64 / 1e3;
        let Some(visit) = path.visits.get(step) else {
            (gone, end) = (gone + 1, now);
            events.push(Reverse((at(now + computes(core)), core, 0)));
            continue;
        };
        let line = &mut lines[of_visit[step]][core % visit.parts];
        let begin = now.max(line.free_at);
        let moves = if line.holder == usize::MAX { 0.0 } else { message(line.holder, core) };
        let takes = visit.moved * moves + visit.held_ns;
        (line.holder, line.free_at) = (core, begin + takes);
        line.busy += takes;
        events.push(Reverse((at(begin + takes + computes(core)), core, step + 1)));
    }
    let busiest = lines.iter().flatten().max_by(|one, other| one.busy.total_cmp(&other.busy));
    Outcome {
        per_second: gone as f64 / end * 1e9,
        busiest: busiest.map(|line| (line.name, line.busy / end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: Line = Line { name: "shared", parts: 1, moved: 1.0, held_ns: 0.0 };

    fn rate(visits: &[Line], cores: usize) -> f64 {
        simulate(&Path { private_ns: 100.0, visits }, cores, 200).per_second
    }

    #[track_caller]
    fn is_near(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 0.05, "{value} is not {expected}");
    }

    #[test]
    fn what_shares_nothing_grows_with_the_cores() {
        is_near(rate(&[], 1), 1e7);
        is_near(rate(&[], 256), 256e7);
    }

    #[test]
    fn a_line_alone_costs_nothing_and_bounds_what_all_do() {
        is_near(rate(&[SHARED], 1), 1e7);
        // Two of a group hand it to and fro and hardly ever wait: 123 ns.
        assert!(rate(&[SHARED], 2) > 1.5e7);
        // Many: a message each.
        let far = Path { private_ns: 100.0, visits: &[SHARED] };
        let outcome = simulate(&far, 64, 200);
        let mean = (7.0 * IN_A_GROUP + 56.0 * IN_A_SOCKET) / 63.0;
        is_near(outcome.per_second, 1e9 / mean);
        let (name, busy) = outcome.busiest.unwrap();
        assert!(name == "shared" && busy > 0.99, "{busy}");
    }

    #[test]
    fn parts_divide_the_wait() {
        let parts = Line { parts: 16, ..SHARED };
        assert!(rate(&[parts], 64) > 8.0 * rate(&[SHARED], 64));
        is_near(rate(&[SHARED, SHARED], 64), rate(&[SHARED], 64) / 2.0);
    }
}
