//! The table: what was measured under each detector, beside its bar.

use std::fmt::{self, Write};

use Verdict::{Broke, Information, Lost, Met, Unmeasured};

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
    /// For information.
    Open,
}

impl Bar {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Bar::AtMost(limit) => value <= limit,
            Bar::AtLeast(limit) => value >= limit,
            Bar::Below(limit) => value < limit,
            Bar::Open => true,
        }
    }
}

/// What the numbers of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// One side over the other.
    Ratio,
    Ns,
    Us,
    Ms,
    Percent,
}

impl Unit {
    fn suffix(self) -> &'static str {
        match self {
            Unit::Ratio => "x",
            Unit::Ns => " ns",
            Unit::Us => " us",
            Unit::Ms => " ms",
            Unit::Percent => " %",
        }
    }

    fn show(self, value: f64) -> String {
        let places = match value.abs() {
            // Some bars are this near to 1.
            ..2.0 if self == Unit::Ratio => 3,
            ..10.0 => 2,
            _ if self == Unit::Percent => 2,
            _ => 1,
        };
        format!("{value:.places$}{}", self.suffix())
    }
}

/// One measured number with what it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it is, in words; rows of the two detectors with the same words stand on one line.
    pub(crate) what: &'static str,
    pub(crate) bar: Bar,
    pub(crate) unit: Unit,
    pub(crate) value: f64,
    /// The absolute medians, for information.
    pub(crate) medians: String,
}

#[derive(Debug)]
struct Line {
    figure: &'static str,
    what: &'static str,
    bar: Bar,
    unit: Unit,
    /// Under perf, under the monitor.
    cells: [Option<(f64, String)>; COLUMNS],
}

/// The detectors in the order of the columns.
const COLUMNS: usize = 2;
const NAMES: [&str; COLUMNS] = ["perf", "monitor"];

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Perf = 0,
    Monitor = 1,
}

/// All lines of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
    broken: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    /// Under these detectors.
    Lost(String),
    Information,
    Unmeasured,
    Broke,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Met => f.write_str("met"),
            Lost(under) => write!(f, "LOST ({under})"),
            Information => f.write_str("-"),
            Unmeasured => f.write_str("not measured"),
            Broke => f.write_str("BROKE"),
        }
    }
}

impl Report {
    /// Adds what a figure measured under one detector.
    pub(crate) fn add(&mut self, figure: &'static str, column: Column, rows: Vec<Row>) {
        for Row { what, bar, unit, value, medians } in rows {
            let known =
                self.lines.iter().position(|line| (line.figure, line.what) == (figure, what));
            let nth = known.unwrap_or_else(|| {
                self.lines.push(Line { figure, what, bar, unit, cells: [const { None }; COLUMNS] });
                self.lines.len() - 1
            });
            self.lines[nth].cells[column as usize] = Some((value, medians));
        }
    }

    /// Adds that a figure could not be measured, because something does not work.
    pub(crate) fn add_broken(&mut self, figure: String, why: String) {
        self.broken.push((figure, why));
    }

    pub(crate) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// How many lines have lost under a detector, or both.
    pub(crate) fn lost(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.verdict(), Lost(_))).count()
    }

    /// The table, then the absolute medians behind it.
    pub(crate) fn render(&self) -> String {
        let heads = ["figure", "bar", NAMES[0], NAMES[1], "verdict"].map(str::to_owned);
        let mut table = vec![heads];
        table.extend(self.lines.iter().map(Line::columns));
        let broken = self.broken.iter().map(|(figure, _)| {
            [figure.clone(), String::new(), String::new(), String::new(), Broke.to_string()]
        });
        table.extend(broken);
        let mut text = columns(&table);
        text.push_str("\nmedians\n");
        for line in &self.lines {
            for (name, cell) in NAMES.iter().zip(&line.cells) {
                if let Some((_, medians)) = cell {
                    let _ = writeln!(text, "  {}: {} [{name}] {medians}", line.figure, line.what);
                }
            }
        }
        for (figure, why) in &self.broken {
            let _ = writeln!(text, "BROKE {figure}: {why}");
        }
        text
    }
}

impl Line {
    fn verdict(&self) -> Verdict {
        if self.bar == Bar::Open {
            return Information;
        }
        let cells = NAMES.iter().zip(&self.cells);
        let measured = cells.filter_map(|(name, cell)| Some((*name, cell.as_ref()?.0)));
        let (met, lost): (Vec<_>, Vec<_>) = measured.partition(|(_, v)| self.bar.is_met_by(*v));
        let names: Vec<&str> = lost.iter().map(|(name, _)| *name).collect();
        match (met.is_empty(), names.is_empty()) {
            (true, true) => Unmeasured,
            (false, true) => Met,
            (_, false) => Lost(names.join(", ")),
        }
    }

    fn columns(&self) -> [String; 5] {
        let cell = |nth: usize| {
            let value = self.cells[nth].as_ref().map(|(value, _)| self.unit.show(*value));
            value.unwrap_or_else(|| "n/a".to_owned())
        };
        let limit = |value: f64| format!("{value}{}", self.unit.suffix());
        let bar = match self.bar {
            Bar::AtMost(value) => format!("<= {}", limit(value)),
            Bar::AtLeast(value) => format!(">= {}", limit(value)),
            Bar::Below(value) => format!("< {}", limit(value)),
            Bar::Open => "-".to_owned(),
        };
        let what = format!("{}: {}", self.figure, self.what);
        [what, bar, cell(0), cell(1), self.verdict().to_string()]
    }
}

/// Left-aligned text in columns as wide as their widest cell; numbers stand to the right.
fn columns(table: &[[String; 5]]) -> String {
    let width = |nth: usize| table.iter().map(|row| row[nth].len()).max().unwrap_or(0);
    let [first, bar, perf, monitor] = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for row in table {
        let [what, limit, left, right, verdict] = row;
        let _ = writeln!(
            text,
            "{what:first$}  {limit:>bar$}  {left:>perf$}  {right:>monitor$}  {verdict}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(what: &'static str, bar: Bar, value: f64) -> Vec<Row> {
        vec![Row { what, bar, unit: Unit::Ratio, value, medians: format!("of {value}") }]
    }

    #[test]
    fn a_loss_is_printed_as_plainly_as_a_win() {
        let mut report = Report::default();
        report.add("f", Column::Perf, row("won", Bar::AtMost(1.2), 1.2));
        report.add("f", Column::Monitor, row("won", Bar::AtMost(1.2), 0.5));
        report.add("f", Column::Perf, row("lost", Bar::AtLeast(10.0), 9.99));
        report.add("f", Column::Monitor, row("lost", Bar::AtLeast(10.0), 11.0));
        let text = report.render();
        assert_eq!(report.lost(), 1);
        assert!(!report.is_broken());
        let line = |word| text.lines().find(|line| line.contains(word)).unwrap();
        assert!(line("won").ends_with("  met"), "{text}");
        assert!(line("lost").ends_with("  LOST (perf)"), "{text}");
        assert!(text.contains("f: lost [monitor] of 11"), "{text}");
    }

    #[test]
    fn what_one_detector_cannot_measure_is_judged_by_the_other() {
        let mut report = Report::default();
        report.add("f", Column::Monitor, row("one", Bar::Below(0.1), 0.1));
        report.add("f", Column::Monitor, row("open", Bar::Open, 99.0));
        assert_eq!(report.lost(), 1);
        let text = report.render();
        assert!(text.contains("n/a") && text.contains("LOST (monitor)"), "{text}");
        assert!(text.lines().any(|line| line.contains("open") && line.ends_with("  -")), "{text}");
    }

    #[test]
    fn what_broke_is_in_the_table_with_its_reason() {
        let mut report = Report::default();
        report.add_broken("f [perf]".to_owned(), "it panicked".to_owned());
        assert!(report.is_broken());
        let text = report.render();
        assert!(text.contains("BROKE f [perf]: it panicked"), "{text}");
    }
}
