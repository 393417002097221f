//! The data of a suite's run: a file of JSON lines, first the machine, then a line for each row.
//! Everything that is printed, tabled or drawn is made from these.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::report::{Bar, Row, Unit};
use crate::suite::Column;

/// A row, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) figure: String,
    pub(crate) detector: Column,
    #[serde(flatten)]
    pub(crate) row: Row,
}

/// A figure that could not be measured, because something does not work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Broken {
    pub(crate) figure: String,
    pub(crate) detector: Column,
    pub(crate) why: String,
}

/// What a line of the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Machine(Machine),
    Row(Record),
    Broken(Broken),
}

/// All of a suite that was measured in one go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    pub(crate) records: Vec<Record>,
    pub(crate) broken: Vec<Broken>,
}

/// A row under each detector.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) figure: &'a str,
    pub(crate) what: &'a str,
    /// In the order of [`Column::ALL`].
    pub(crate) cells: [Option<&'a Row>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    /// Under these detectors.
    Lost(Vec<&'static str>),
    /// There is no bar.
    Open,
}

impl Line<'_> {
    /// A row of the line; both have the same bar and the same unit.
    pub(crate) fn row(&self) -> &Row {
        self.cells.iter().flatten().next().expect("a line has a row")
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.row().bar == Bar::Open {
            return Verdict::Open;
        }
        let cells = Column::ALL.iter().zip(&self.cells);
        let lost = cells.filter(|(_, row)| row.is_some_and(|row| !row.is_met()));
        let names: Vec<_> = lost.map(|(column, _)| column.name()).collect();
        if names.is_empty() { Verdict::Met } else { Verdict::Lost(names) }
    }

    pub(crate) fn unit(&self) -> Unit {
        self.row().unit()
    }
}

impl Run {
    /// The rows of both detectors side by side, in the order in which they were measured first.
    pub(crate) fn lines(&self) -> Vec<Line<'_>> {
        let mut lines: Vec<Line<'_>> = Vec::new();
        for Record { figure, detector, row } in &self.records {
            let what = &*row.what;
            let known = lines.iter().position(|line| (line.figure, line.what) == (figure, what));
            let nth = known.unwrap_or_else(|| {
                lines.push(Line { figure, what, cells: [None; 2] });
                lines.len() - 1
            });
            lines[nth].cells[*detector as usize] = Some(row);
        }
        lines
    }

    /// How many lines have lost under a detector, or both.
    pub(crate) fn lost(&self) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| matches!(line.verdict(), Verdict::Lost(_))).count()
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let rows = self.records.iter().cloned().map(Entry::Row);
        let broken = self.broken.iter().cloned().map(Entry::Broken);
        let first = [Entry::Machine(self.machine.clone())];
        let mut text = String::new();
        for entry in first.into_iter().chain(rows).chain(broken) {
            text += &serde_json::to_string(&entry)?;
            text.push('\n');
        }
        fs::write(path, text)
    }

    pub(crate) fn read(path: &Path) -> io::Result<Run> {
        let (mut machine, mut records, mut broken) = (None, Vec::new(), Vec::new());
        for line in fs::read_to_string(path)?.lines() {
            match serde_json::from_str(line)? {
                Entry::Machine(one) => machine = Some(one),
                Entry::Row(one) => records.push(one),
                Entry::Broken(one) => broken.push(one),
            }
        }
        let machine = machine.ok_or_else(|| io::Error::other("no line is about the machine"))?;
        Ok(Run { machine, records, broken })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::Side;

    /// A run made up: what is won, what is lost under one detector, what one alone has, what broke.
    pub(crate) fn run() -> Run {
        let record = |detector, what: &'static str, bar, over: [f64; 3]| {
            let side =
                |name, samples: [f64; 3]| Side::new(name, Unit::Us, &samples.into_iter().collect());
            let row = Row::quotient(what, bar, side("ours", over), side("tokio", [1.0, 2.0, 3.0]));
            Record { figure: "f".to_owned(), detector, row }
        };
        let why = "it panicked".to_owned();
        Run {
            machine: Machine::made_up(),
            records: vec![
                record(Column::Perf, "won", Bar::AtMost(1.2), [1.0, 2.4, 3.0]),
                record(Column::Perf, "lost", Bar::AtLeast(10.0), [10.0, 19.0, 31.0]),
                record(Column::Monitor, "won", Bar::AtMost(1.2), [1.0, 1.0, 1.0]),
                record(Column::Monitor, "lost", Bar::AtLeast(10.0), [10.0, 22.0, 31.0]),
                record(Column::Monitor, "one", Bar::Below(0.1), [0.2, 0.2, 0.2]),
                record(Column::Monitor, "open", Bar::Open, [99.0, 99.0, 99.0]),
            ],
            broken: vec![Broken { figure: "g".to_owned(), detector: Column::Perf, why }],
        }
    }

    #[test]
    fn a_run_is_the_same_behind_its_file() {
        let path =
            std::env::temp_dir().join(format!("threadlet-bench-data-{}", std::process::id()));
        run().write(&path).unwrap();
        let read = Run::read(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap(), run());
    }

    #[test]
    fn the_detectors_stand_side_by_side_and_each_is_judged() {
        let run = run();
        let lines = run.lines();
        let verdict = |what| lines.iter().find(|line| line.what == what).unwrap().verdict();
        assert_eq!(lines.len(), 4);
        assert_eq!(verdict("won"), Verdict::Met);
        assert_eq!(verdict("lost"), Verdict::Lost(vec!["perf"]));
        assert_eq!(verdict("one"), Verdict::Lost(vec!["monitor"]));
        assert_eq!(verdict("open"), Verdict::Open);
        assert_eq!(run.lost(), 2);
    }
}
