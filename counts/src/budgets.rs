//! What each path may cost.

use crate::callgrind::Counts;

/// What one of a path cost when this was last written, and about what it may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) path: &'static str,
    instructions: f64,
    atomics: f64,
    fences: f64,
    allocations: f64,
    system_calls: f64,
}

/// Today's counts. Who makes a path cheaper lowers its row (`threadlet-counts` says so); who makes
/// one dearer says in the change what for. A path without a row is one that is not the same in each
/// run: its threads meet by chance. It is counted for the page only.
pub(crate) const BUDGETS: &[Budget] = &[
    row("region", [164.0, 0.1, 0.0, 0.0, 0.0]),
    row("spawn", [1296.0, 21.1, 0.0, 1.0, 0.0]),
    row("wake", [331.0, 6.0, 0.0, 0.0, 0.0]),
    row("yield", [456.0, 6.0, 0.0, 0.0, 0.0]),
    row("read", [113.0, 0.1, 0.0, 0.0, 1.0]),
    row("echo", [2225.0, 27.9, 2.9, 1.0, 4.1]),
    row("timeout", [800.0, 8.0, 0.0, 0.0, 0.0]),
    row("file", [241.0, 0.1, 0.0, 0.0, 1.0]),
];

/// Instructions, atomics, fences, allocations, system calls.
const fn row(path: &'static str, counts: [f64; 5]) -> Budget {
    let [instructions, atomics, fences, allocations, system_calls] = counts;
    Budget { path, instructions, atomics, fences, allocations, system_calls }
}

/// Another compiler makes other instructions of the same source, and a worker looks at timers and
/// sockets by the clock; so there is room. What is counted in ones has little.
const ROOM: f64 = 1.15;
const ROOM_IN_ONES: f64 = 0.3;

/// One of the numbers of a path.
struct Number {
    what: &'static str,
    budget: f64,
    most: f64,
    found: f64,
}

/// How a path has done.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// What is too much, each in a line.
    pub(crate) over: Vec<String>,
    /// What is less than the table says, by more than the room.
    pub(crate) under: Vec<String>,
}

impl Budget {
    fn numbers(&self, found: &Counts) -> [Number; 5] {
        let number = |what, budget, most, found| Number { what, budget, most, found };
        let in_ones = |what, budget, found| number(what, budget, budget + ROOM_IN_ONES, found);
        let budget = self.instructions;
        [
            number("instructions", budget, budget * ROOM, found.instructions),
            in_ones("atomic operations", self.atomics, found.atomics),
            in_ones("fences", self.fences, found.fences),
            in_ones("allocations", self.allocations, found.allocations),
            in_ones("system calls", self.system_calls, found.system_calls),
        ]
    }

    pub(crate) fn judge(&self, found: &Counts) -> Verdict {
        let mut verdict = Verdict::default();
        for Number { what, budget, most, found } in self.numbers(found) {
            let line = format!("{found:.1} {what}, budget {budget}, with room {most:.1}");
            if found > most {
                verdict.over.push(line);
            } else if found < 2.0 * budget - most {
                verdict.under.push(line);
            }
        }
        verdict
    }
}

/// What was found, as it is put into the table above and into the page.
pub(crate) fn rounded(found: &Counts) -> [f64; 5] {
    let ones = [found.atomics, found.fences, found.allocations, found.system_calls];
    let [atomics, fences, allocations, system_calls] = ones.map(|one| (one * 10.0).round() / 10.0);
    [found.instructions.round(), atomics, fences, allocations, system_calls].map(|n| n + 0.0)
}

#[cfg(test)]
mod tests {
    use threadlet_counts::PATHS;

    use super::*;

    const ROW: Budget = row("a", [100.0, 2.0, 1.0, 0.0, 0.0]);

    fn found(instructions: f64, atomics: f64, system_calls: f64) -> Counts {
        Counts { instructions, atomics, system_calls, fences: 1.0, ..Counts::default() }
    }

    #[test]
    fn what_is_within_its_room_is_met() {
        assert_eq!(ROW.judge(&found(114.0, 2.2, 0.1)), Verdict::default());
        assert_eq!(ROW.judge(&found(86.0, 1.9, 0.0)), Verdict::default());
    }

    #[test]
    fn what_is_too_much_is_said_with_its_numbers() {
        let over = ROW.judge(&found(116.0, 3.0, 1.0)).over;
        let expected = [
            "116.0 instructions, budget 100, with room 115.0",
            "3.0 atomic operations, budget 2, with room 2.3",
            "1.0 system calls, budget 0, with room 0.3",
        ];
        assert_eq!(over, expected);
        assert_eq!(ROW.judge(&found(80.0, 2.0, 0.0)).under.len(), 1);
    }

    #[test]
    fn the_page_has_a_row_for_each_path_and_says_its_budget() {
        let page = include_str!("../../docs/internals/scaling.md");
        for path in PATHS {
            let budget = BUDGETS.iter().find(|budget| budget.path == path.name);
            let cells = budget.map_or(String::new(), |row| {
                let ones = [row.atomics, row.fences, row.allocations, row.system_calls];
                format!("{} | {} |", row.instructions, ones.map(|one| one.to_string()).join(" | "))
            });
            let row = format!("| `{}` | {} | {cells}", path.name, path.what);
            assert!(
                page.lines().any(|line| line.starts_with(&row)),
                "the page does not say: {row}"
            );
        }
        assert!(BUDGETS.iter().all(|row| PATHS.iter().any(|path| path.name == row.path)));
    }
}
