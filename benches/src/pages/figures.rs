//! The tables of `docs/figures.md`.

use std::fmt::Write;

use crate::data::{Line, Run};
use crate::report::{Row, Side};
use crate::suite::Column;

/// What a suite is called, and what it is about.
fn words(suite: &str) -> (&'static str, &'static str) {
    match suite {
        "engine" => ("The engine", "A call, a block, at rest."),
        "executor" => (
            "The executor",
            "Ours over the best of tokio's and smol's; the five of the C-forall scheduler's suite; what a \
             task weighs.",
        ),
        "predict" => (
            "Calls that block, and files",
            "64 tasks of whose calls so many block for so long, a yield after each (`mixed`) or none \
             (`unyielding`); files; the device.",
        ),
        "handlers" => (
            "A server whose handler blocks without saying so",
            "A `hyper` server, 64 connections. 1 % of the requests sleep 50 ms in the handler (`sleeps`), \
             or none does (`never`); `ServeDir` serves files that are in memory (`folder`).",
        ),
        "sockets" => (
            "Echo",
            "64 bytes there and back, on 256 pairs of sockets at once; both ends are tasks.",
        ),
        "faults" => (
            "Look-ups that page-fault, and a ticker",
            "[The picture](faults.md): 64 clients look up pages of a mapped file. 5 % of the look-ups wait \
             for the device (`lookups`), none (`memory`), or all (`device`).",
        ),
        "load" => (
            "What programs do",
            "Cached reads beside other programs (`busy`), many calls that end at once (`release`), \
             timers, a package tool's start (`packages`), and compio's comparison of file systems (`files`).",
        ),
        "recorder" => (
            "The flight recorder",
            "With one of 16 MiB and without, in turns: a call that does not block (`inline`), 64 tasks of \
             whose calls 10 % block for 100 us (`blocks`), a `hyper` server (`hello`).",
        ),
        "apart" => (
            "Crates in a workspace of their own",
            "Coroutines with stacks of their own (`may`); files of `object_store`, unmodified, which reads \
             in place where no tokio is current (`objects`).",
        ),
        "fio" => (
            "The C functions under fio",
            "4 KiB requests of `fio`, unmodified, in one file: cached, out of memory at first (`cold`), past \
             the cache (`direct`), and 80 % writes with an `fsync` every 64; the number is the depth. \
             `benches/fio.sh` has more.",
        ),
        "scaling" => ("Cost as work grows", "A page of its own."),
        other => unreachable!("the suite {other} has no words"),
    }
}

/// Whether a suite has a page of its own, and no part here.
pub(super) fn is_elsewhere(suite: &str) -> bool {
    suite == "scaling"
}

/// A part for each suite.
pub(super) fn render(runs: &[(&'static str, Run)]) -> String {
    let mut text = String::new();
    for (suite, run) in runs.iter().filter(|(suite, _)| !is_elsewhere(suite)) {
        part(&mut text, suite, run);
    }
    text.trim_end().to_owned() + "\n"
}

fn part(text: &mut String, suite: &str, run: &Run) {
    let (title, about) = words(suite);
    let _ = writeln!(text, "## {title}\n\n{about}\n");
    let _ = writeln!(text, "```sh\ncargo run --release -p threadlet-bench -- all {suite}\n```\n");
    let _ = writeln!(text, "{}\n", made_on(run));
    let _ = writeln!(text, "![How far each figure is beyond its bar](benchmarks/{suite}.svg)\n");
    if suite == "predict" {
        let _ =
            writeln!(text, "![Calls a second by the share that blocks](benchmarks/sweep.svg)\n");
    }
    let _ = writeln!(text, "| figure | bar | perf | monitor |\n|---|---|---|---|");
    let lines = run.lines();
    for line in &lines {
        let [perf, monitor] = line.cells.map(|row| row.map_or("-".to_owned(), cell));
        let bar = line.row().bar.show(line.unit());
        let _ = writeln!(text, "| {} | {bar} | {perf} | {monitor} |", plain(line));
    }
    for broken in &run.broken {
        let (figure, under) = (&broken.figure, broken.detector.name());
        let _ =
            writeln!(text, "| `{figure}` under {under} could not be measured: **broken** | | | |");
    }
    let _ = writeln!(text, "\n<details><summary>Medians of all sides</summary>\n");
    let _ = writeln!(text, "| figure | | medians |\n|---|---|---|");
    for line in &lines {
        for (column, row) in Column::ALL.iter().zip(&line.cells) {
            if let Some(row) = row {
                let _ = writeln!(text, "| {} | {} | {} |", plain(line), column.name(), sides(row));
            }
        }
    }
    let _ = writeln!(text, "\n</details>\n");
}

pub(super) fn made_on(run: &Run) -> String {
    let machine = &run.machine;
    let crates = machine.crates.iter().map(|(name, version)| format!("{name} {version}"));
    let quick = if machine.quick { "**A smoke run: no figures.** " } else { "" };
    format!(
        "{quick}{} of {}: {} workers on each side; {}, {:.1} GiB, {}; {}; {}. It took {} s, and other programs \
         took {} % of the processor time spent meanwhile.",
        machine.commit,
        machine.date,
        machine.workers,
        machine.processor,
        machine.memory_mib as f64 / 1024.0,
        machine.kernel,
        machine.rustc,
        crates.collect::<Vec<_>>().join(", "),
        machine.seconds,
        machine.others_percent,
    )
}

/// What the line is, as text of a table.
fn plain(line: &Line<'_>) -> String {
    format!("`{}`: {}", line.figure, line.what.replace('|', "\\|"))
}

/// The number, whether its bar is lost, and between what it lies.
fn cell(row: &Row) -> String {
    let show = |value| row.unit().show(value);
    let lost = if row.is_met() { "" } else { "**lost** " };
    let spread = row.spread().map(|(low, high)| format!(" ({} to {})", show(low), show(high)));
    format!("{lost}{}{}", show(row.value()), spread.unwrap_or_default())
}

fn sides(row: &Row) -> String {
    let side = |side: &Side| format!("{} {}", side.name, side.unit.show(side.samples.median()));
    let sides = row.sides.iter().map(side).collect::<Vec<_>>().join("; ");
    let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
    format!("{sides}{note}").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::SUITES;

    #[test]
    fn each_suite_has_its_words() {
        let mut titles: Vec<_> = SUITES.iter().map(|(suite, _)| words(suite).0).collect();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), SUITES.len());
    }

    #[test]
    fn a_loss_and_a_breakage_are_in_the_table() {
        let text = render(&[("engine", crate::data::tests::run())]);
        let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap();
        assert_eq!(
            line("`f`: won"),
            "| `f`: won | <= 1.2 | 1.200 (1.000 to 1.200) | 0.500 (0.333 to 1.000) |"
        );
        assert!(line("`f`: lost").contains("| **lost** 9.50 "), "{text}");
        assert!(line("`f`: one").starts_with("| `f`: one | < 0.1 | - | **lost** 0.100"), "{text}");
        assert!(text.contains("`g` under perf could not be measured: **broken**"), "{text}");
        assert!(text.contains("| `f`: won | perf | ours 2.40 us; tokio 2.00 us |"), "{text}");
        assert!(text.contains("2007-07-24") && text.contains("Linux 6.18.5"), "{text}");
    }
}
