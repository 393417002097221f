//! What a run measured, as text for a terminal.

use std::fmt::Write;

use crate::data::{Line, Run, Verdict};
use crate::report::Row;
use crate::suite::Column;

/// The table, then the medians behind it.
pub(crate) fn render(run: &Run) -> String {
    let [perf, monitor] = Column::ALL.map(Column::name);
    let mut table = vec![["figure", "bar", perf, monitor, "verdict"].map(str::to_owned)];
    let lines = run.lines();
    table.extend(lines.iter().map(cells));
    table.extend(run.broken.iter().map(|broken| {
        let empty = String::new;
        [broken.figure.clone(), empty(), empty(), empty(), "BROKE".to_owned()]
    }));
    let mut text = columns(&table);
    text.push_str("\nmedians\n");
    for line in &lines {
        for (column, row) in Column::ALL.iter().zip(&line.cells) {
            if let Some(row) = row {
                let (name, medians) = (column.name(), medians(row));
                let _ = writeln!(text, "  {}: {} [{name}] {medians}", line.figure, line.what);
            }
        }
    }
    for broken in &run.broken {
        let _ =
            writeln!(text, "BROKE {} [{}]: {}", broken.figure, broken.detector.name(), broken.why);
    }
    text
}

fn cells(line: &Line<'_>) -> [String; 5] {
    let cell = |nth: usize| {
        let value = line.cells[nth].map(|row| line.unit().show(row.value()));
        value.unwrap_or_else(|| "n/a".to_owned())
    };
    let verdict = match line.verdict() {
        Verdict::Met => "met".to_owned(),
        Verdict::Lost(under) => format!("LOST ({})", under.join(", ")),
        Verdict::Open => "-".to_owned(),
    };
    let what = format!("{}: {}", line.figure, line.what);
    [what, line.row().bar.show(line.unit()), cell(0), cell(1), verdict]
}

/// Each side's, and between what the number lies.
fn medians(row: &Row) -> String {
    let side = |side: &crate::report::Side| {
        format!("{} {}", side.name, side.unit.show(side.samples.median()))
    };
    let mut text = row.sides.iter().map(side).collect::<Vec<_>>().join(", ");
    if let Some((low, high)) = row.spread() {
        let (low, high) = (row.unit().show(low), row.unit().show(high));
        let _ = write!(text, "; half of the rounds within {low} and {high}");
    }
    if !row.note.is_empty() {
        let _ = write!(text, "; {}", row.note);
    }
    text
}

/// Left-aligned text in columns as wide as their widest cell; numbers stand to the right.
fn columns(table: &[[String; 5]]) -> String {
    let width = |nth: usize| table.iter().map(|row| row[nth].len()).max().unwrap_or(0);
    let [first, bar, perf, monitor] = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for [what, limit, left, right, verdict] in table {
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

    #[test]
    fn a_loss_is_printed_as_plainly_as_a_win() {
        let text = render(&crate::data::tests::run());
        let line = |word| text.lines().find(|line| line.contains(word)).unwrap();
        assert!(line("won").ends_with("  met"), "{text}");
        assert!(line("lost").ends_with("  LOST (perf)"), "{text}");
        assert!(line("one").contains("n/a") && line("one").ends_with("LOST (monitor)"), "{text}");
        assert!(line("open").ends_with("  -"), "{text}");
        assert!(text.contains("f: lost [monitor] ours 22.0 us, tokio 2.00 us"), "{text}");
        assert!(text.contains("BROKE g [perf]: it panicked"), "{text}");
    }
}
