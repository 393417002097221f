//! What is printed at the end.

use std::fmt::Write;
use std::time::Duration;

use threadlet::runtime::{Metrics, SiteStats};

use crate::digest::hex;
use crate::file::Sum;

/// What all entries amount to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) digest: Sum,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) faults: u64,
}

/// The whole report.
pub(crate) fn text(
    totals: &Totals,
    elapsed: Duration,
    metrics: &Metrics,
    sites: &[SiteStats],
) -> String {
    let rate = totals.bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-9);
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<9} {value}").expect("a string takes all");
    };
    line("digest", hex(&totals.digest));
    line("files", totals.files.to_string());
    line("bytes", totals.bytes.to_string());
    line("faults", totals.faults.to_string());
    line("time", format!("{:.3} s, {rate:.1} MB/s", elapsed.as_secs_f64()));
    line("detector", detector(metrics));
    line("threads", format!("{} blocked at once at most", metrics.async_threads_peak));
    text.push('\n');
    text.push_str(&table(sites));
    text
}

/// The detector in use, and why it is not the better one.
fn detector(metrics: &Metrics) -> String {
    match &metrics.detector_reason {
        Some(reason) => format!("{} ({reason})", metrics.detector),
        None => metrics.detector.to_owned(),
    }
}

/// The table of sites, with the busiest first.
fn table(sites: &[SiteStats]) -> String {
    let mut sites: Vec<&SiteStats> = sites.iter().collect();
    sites.sort_by_key(|site| (std::cmp::Reverse(site.calls), site.file, site.line));
    let head = ["site", "expression", "calls", "ran inline", "handed over", "longest block"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(sites.into_iter().map(|site| {
        [
            format!("{}:{}", site.file, site.line),
            shorten(site.text),
            site.calls.to_string(),
            site.inline.to_string(),
            site.handed_over.to_string(),
            if site.handed_over == 0 { "-".to_owned() } else { millis(site.longest_block) },
        ]
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            // Words to the left, figures to the right.
            let cell =
                if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str(&cell);
            text.push_str(if column < 5 { "  " } else { "\n" });
        }
    }
    text
}

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

/// An expression on one short line.
fn shorten(text: &str) -> String {
    const MOST: usize = 48;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST {
        return line;
    }
    line.chars().take(MOST - 3).chain("...".chars()).collect()
}
