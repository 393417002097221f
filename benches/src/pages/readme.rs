//! The table of the README: a few rows of the data, wins and losses, in other words.

use std::fmt::Write;

use crate::data::{Line, Run};
use crate::report::{How, Row};

/// A row of the README, and which of the data it is.
struct Pick {
    words: &'static str,
    suite: &'static str,
    figure: &'static str,
    what: &'static str,
    /// Which of the two sides is ours.
    ours: usize,
}

const PICKS: &[Pick] = &[
    Pick {
        words: "`hyper`, 64 connections, 1 % of the requests sleep 50 ms in the handler and say nothing: \
                requests/s",
        suite: "handlers",
        figure: "sleeps",
        what: "requests/s, unmarked: ours / tokio",
        ours: 0,
    },
    Pick {
        words: "the same, marked by `threadlet!`, beside `spawn_blocking`",
        suite: "handlers",
        figure: "sleeps",
        what: "requests/s, marked / spawn_blocking",
        ours: 0,
    },
    Pick {
        words: "`hyper`, nobody sleeps: requests/s",
        suite: "handlers",
        figure: "never",
        what: "requests/s: ours / tokio",
        ours: 0,
    },
    Pick {
        words: "look-ups that page-fault (one of twenty), marked, beside what the device gives",
        suite: "faults",
        figure: "lookups",
        what: "look-ups/s, marked / what the device gives",
        ours: 0,
    },
    Pick {
        words: "a ticker beside them: its 99th percentile",
        suite: "faults",
        figure: "lookups",
        what: "ticker's p99, marked: ours / best peer",
        ours: 0,
    },
    Pick {
        words: "a guarded call that does not block, beside the bare call",
        suite: "engine",
        figure: "overhead",
        what: "a call that does not block: threadlet! less the bare body",
        ours: 0,
    },
    Pick {
        words: "a guarded cached 4 KiB `pread`, beside the bare call",
        suite: "engine",
        figure: "pread",
        what: "cached 4 KiB pread: threadlet! / bare",
        ours: 0,
    },
    Pick {
        words: "the same beside `spawn_blocking`",
        suite: "engine",
        figure: "pread",
        what: "cached 4 KiB pread: tokio spawn_blocking / threadlet!",
        ours: 1,
    },
    Pick {
        words: "64 tasks, 10 % of the calls block for 100 us, a yield after each: calls/s",
        suite: "predict",
        figure: "mixed",
        what: "10 % for 100 us: calls/s, ours / best peer",
        ours: 0,
    },
    Pick {
        words: "the same without yields",
        suite: "predict",
        figure: "unyielding",
        what: "10 % for 100 us: calls/s, ours / block_in_place",
        ours: 0,
    },
    Pick {
        words: "random direct 4 KiB reads, 32 tasks, beside io_uring: reads/s",
        suite: "predict",
        figure: "device",
        what: "the same: reads/s, ours / io_uring",
        ours: 0,
    },
    Pick {
        words: "4 KiB reads at depth 32 that are not in memory, through the C functions (fio): reads/s",
        suite: "fio",
        figure: "cold-32",
        what: "requests/s, ours / best of libaio and io_uring",
        ours: 0,
    },
    Pick {
        words: "the same past the cache (direct)",
        suite: "fio",
        figure: "direct-32",
        what: "requests/s, ours / best of libaio and io_uring",
        ours: 0,
    },
    Pick {
        words: "2,000 small files opened, read and parsed: time",
        suite: "load",
        figure: "packages",
        what: "2,000 small files opened, read and parsed: best peer / ours",
        ours: 1,
    },
    Pick {
        words: "4 KiB read at random from a cached file, beside a plain `pread`",
        suite: "load",
        figure: "files",
        what: "4 KiB read at random from a cached file: ours / std",
        ours: 0,
    },
    Pick {
        words: "512 calls released at one instant: until the last task has ended",
        suite: "load",
        figure: "release",
        what: "512 calls released at one instant: until the last task has ended, ours / spawn_blocking",
        ours: 0,
    },
];

/// The suites from which it takes.
pub(super) fn suites() -> impl Iterator<Item = &'static str> {
    PICKS.iter().map(|pick| pick.suite)
}

/// The table. An error is a row that the data does not have.
pub(super) fn render(runs: &[(&'static str, Run)]) -> Result<String, String> {
    let mut text =
        "| figure | ours | theirs | ours / theirs | command, after `cargo run --release -p \
                    threadlet-bench` |\n|---|---|---|---|---|\n"
            .to_owned();
    for pick in PICKS {
        let run = runs.iter().find(|(suite, _)| *suite == pick.suite).map(|(_, run)| run);
        let lines = run.map(Run::lines).unwrap_or_default();
        let line = lines.iter().find(|line| (line.figure, line.what) == (pick.figure, pick.what));
        if line.is_none()
            && run.is_some_and(|run| run.broken.iter().any(|b| b.figure == pick.figure))
        {
            let _ = writeln!(
                text,
                "| {} | **broken** | | | `-- {} {}` |",
                pick.words, pick.suite, pick.figure
            );
            continue;
        }
        let line = line.ok_or_else(|| {
            format!(
                "the README wants {} {} `{}`, which was not measured",
                pick.suite, pick.figure, pick.what
            )
        })?;
        row(&mut text, pick, line);
    }
    Ok(text.trim_end().to_owned() + "\n")
}

fn row(text: &mut String, pick: &Pick, line: &Line<'_>) {
    // Two figures, if both detectors were there.
    let both = |show: &dyn Fn(&Row) -> String| {
        let shown: Vec<_> = line.cells.iter().flatten().map(|row| show(row)).collect();
        shown.join(" / ")
    };
    let side = |nth: usize| {
        both(&|row| {
            let side = &row.sides[nth];
            side.unit.show(side.samples.median())
        })
    };
    let theirs = 1 - pick.ours;
    let name = &line.row().sides[theirs].name;
    let quotient = both(&|row| {
        let median = |nth: usize| row.sides[nth].samples.median();
        let lost = if row.is_met() { "" } else { "**lost** " };
        let value = match row.how {
            How::Quotient => crate::report::Unit::Ratio.show(median(pick.ours) / median(theirs)),
            _ => row.unit().show(row.value()),
        };
        format!("{lost}{value}")
    });
    let _ = writeln!(
        text,
        "| {} | {} | {name} {} | {quotient} | `-- {} {}` |",
        pick.words,
        side(pick.ours),
        side(theirs),
        pick.suite,
        pick.figure
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::SUITES;

    #[test]
    fn what_is_picked_is_a_figure() {
        for Pick { suite, figure, .. } in PICKS {
            let figures = SUITES.iter().find(|(name, _)| name == suite).map(|(_, figures)| figures);
            assert!(
                figures.is_some_and(|all| all.iter().any(|(name, _)| name == figure)),
                "{figure}"
            );
        }
    }

    #[test]
    fn a_row_has_both_detectors_and_says_what_is_lost() {
        let run = crate::data::tests::run();
        let pick = Pick { words: "w", suite: "engine", figure: "f", what: "lost", ours: 0 };
        let lines = run.lines();
        let mut text = String::new();
        row(&mut text, &pick, lines.iter().find(|line| line.what == "lost").unwrap());
        assert_eq!(
            text,
            "| w | 19.0 us / 22.0 us | tokio 2.00 us / 2.00 us | **lost** 9.50 / 11.0 | `-- engine f` |\n"
        );
    }

    #[test]
    fn what_the_data_does_not_have_is_an_error() {
        let error = render(&[("engine", crate::data::tests::run())]).unwrap_err();
        assert!(error.contains("was not measured"), "{error}");
    }
}
