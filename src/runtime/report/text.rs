//! The report as a table for a terminal.

use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use super::{Report, place};
use crate::runtime::metrics::SiteStats;
use crate::runtime::verdict::{Cure, short};

/// A column: what stands above it, and the cell of a site; an empty one says nothing.
struct Column {
    head: &'static str,
    cell: fn(&SiteStats) -> String,
}

const fn column(head: &'static str, cell: fn(&SiteStats) -> String) -> Column {
    Column { head, cell }
}

const COLUMNS: [Column; 14] = [
    column("cost", |site| time(site.cost())),
    column("calls", |site| count(site.calls)),
    // Those on threads without a core have a column of their own.
    column("inline", |site| count(site.inline.saturating_sub(site.coreless))),
    column("asked", |site| count(site.asked)),
    column("blocked", |site| count(site.blocked)),
    column("predicted", |site| count(site.predicted)),
    column("hogged", |site| count(site.hogged)),
    column("rescued", |site| count(site.rescued)),
    column("coreless", |site| count(site.coreless)),
    column("p50", |site| time(site.block_times.quantile(0.5))),
    column("p99", |site| time(site.block_times.quantile(0.99))),
    column("max", |site| time(site.longest_block)),
    column("waits", |site| count(site.waits)),
    column("waited", |site| time(site.waited)),
];

/// Whether escapes for colours are written.
#[derive(Clone, Copy)]
pub(super) struct Colours(bool);

impl Colours {
    pub(super) const NONE: Colours = Colours(false);

    /// On a terminal that has some, unless the user wants none (<https://no-color.org>).
    pub(super) fn of_stderr() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Colours(!dumb && !is_set("NO_COLOR") && std::io::stderr().is_terminal())
    }

    /// Writes what is to be seen in that way.
    fn paint(self, f: &mut dyn fmt::Write, code: &str, text: &str) -> fmt::Result {
        if self.0 { write!(f, "\x1b[{code}m{text}\x1b[0m") } else { f.write_str(text) }
    }
}

const BOLD: &str = "1";
const DIM: &str = "2";

pub(super) fn write(f: &mut dyn fmt::Write, report: &Report, colours: Colours) -> fmt::Result {
    let sites = report.by_cost();
    writeln!(f, "threadlet: calls by site: {}", super::summary(&sites))?;
    if sites.is_empty() {
        return Ok(());
    }
    let columns: Vec<Vec<String>> = COLUMNS.iter().map(|column| cells(column, &sites)).collect();
    // Where nothing stands nothing is shown.
    let shown = columns.iter().filter(|cells| cells[1..].iter().any(|cell| cell != NOTHING));
    let shown: Vec<_> = shown.map(|cells| (cells, width(cells))).collect();
    for row in 0..=sites.len() {
        let mut line = String::new();
        for (cells, width) in &shown {
            line.push_str(&format!("{:>width$}  ", cells[row]));
        }
        let Some(site) = row.checked_sub(1).map(|nth| sites[nth]) else {
            line.push_str("place");
            colours.paint(f, DIM, &line)?;
            writeln!(f)?;
            continue;
        };
        f.write_str(&line)?;
        colours.paint(f, BOLD, &place(site))?;
        writeln!(f, "  {}", one_line(site))?;
        let verdict = site.verdict();
        let line = format!("  => {verdict}");
        colours.paint(f, colour(verdict.cure), &line)?;
        writeln!(f)?;
    }
    Ok(())
}

fn colour(cure: Cure) -> &'static str {
    match cure {
        Cure::Nothing => DIM,
        // Blue: it costs nothing worth a hurry.
        Cure::Unmark => "34",
        // Yellow.
        Cure::Mark | Cure::SpawnBlocking | Cure::Group | Cure::Permits => "33",
    }
}

const NOTHING: &str = "-";

fn cells(column: &Column, sites: &[&SiteStats]) -> Vec<String> {
    let cell = |site: &&SiteStats| match (column.cell)(site) {
        cell if cell.is_empty() => NOTHING.to_owned(),
        cell => cell,
    };
    std::iter::once(column.head.to_owned()).chain(sites.iter().map(cell)).collect()
}

fn width(cells: &[String]) -> usize {
    cells.iter().map(String::len).max().unwrap_or(0)
}

fn count(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

/// With the unit's letters in a column of their own.
fn time(time: Duration) -> String {
    if time.is_zero() { String::new() } else { aligned(&short(time)) }
}

fn aligned(time: &str) -> String {
    // "s" stands under the first letter of "ms" and "us".
    if time.ends_with(" s") { format!("{time} ") } else { time.to_owned() }
}

/// The call on one line, and not a long one.
fn one_line(site: &SiteStats) -> String {
    const MOST: usize = 60;
    let text = super::call(site);
    if text.chars().count() <= MOST {
        return text;
    }
    text.chars().take(MOST - 3).chain("...".chars()).collect()
}
