//! The report as one page for a browser: it loads nothing, and is well-formed XML, too.

use std::fmt::{self, Write};
use std::time::Duration;

use super::{Report, place, summary};
use crate::runtime::metrics::SiteStats;
use crate::runtime::verdict::{Cure, short};

const STYLE: &str = include_str!("page.css");
/// Sorts the table. There is neither `<` nor `&` in it, which would mean something else in XML.
const SCRIPT: &str = include_str!("page.js");

/// How many sites the picture at the top has.
const MOST_BARS: usize = 12;

/// A column: what stands above it, what the head's tooltip says, the value that it is sorted by, and
/// the text of a cell, empty for nothing.
struct Column {
    head: &'static str,
    says: &'static str,
    value: fn(&SiteStats) -> u128,
    text: fn(&SiteStats) -> String,
}

const fn counts(head: &'static str, says: &'static str, value: fn(&SiteStats) -> u128) -> Column {
    Column { head, says, value, text: |_| String::new() }
}

const COLUMNS: [Column; 13] = [
    Column {
        head: "cost",
        says: "for how long calls blocked, computed on threads that had lost their core, and waited",
        value: |site| site.cost().as_nanos(),
        text: |site| time(site.cost()),
    },
    counts("calls", "calls of the site", |site| site.calls.into()),
    Column {
        head: "blocks",
        says: "the share of the calls that blocked",
        value: |site| (site.blocking_share() * 1e6) as u128,
        text: |site| match site.blocking_share() {
            0.0 => String::new(),
            share => format!("{:.0} %", share * 100.0),
        },
    },
    Column {
        head: "p50",
        says: "for how long calls blocked: half of them not longer",
        value: |site| site.block_times.quantile(0.5).as_nanos(),
        text: |site| time(site.block_times.quantile(0.5)),
    },
    Column {
        head: "p99",
        says: "99 of 100 not longer",
        value: |site| site.block_times.quantile(0.99).as_nanos(),
        text: |site| time(site.block_times.quantile(0.99)),
    },
    Column {
        head: "max",
        says: "the longest",
        value: |site| site.longest_block.as_nanos(),
        text: |site| time(site.longest_block),
    },
    counts("blocked", "cores handed over because a call was seen to block", |site| {
        site.blocked.into()
    }),
    counts("predicted", "cores handed over before the call", |site| site.predicted.into()),
    counts("hogged", "cores handed over because a call computed", |site| site.hogged.into()),
    counts("rescued", "cores handed over because a poll had not said so", |site| {
        site.rescued.into()
    }),
    counts("coreless", "calls that blocked on a thread that had no core to lose", |site| {
        site.coreless.into()
    }),
    counts("waits", "waits for a permit or for a place in a group", |site| site.waits.into()),
    Column {
        head: "waited",
        says: "all these waits together",
        value: |site| site.waited.as_nanos(),
        text: |site| time(site.waited),
    },
];

fn time(time: Duration) -> String {
    if time.is_zero() { String::new() } else { short(time) }
}

pub(super) fn page(report: &Report) -> String {
    let mut page = String::new();
    write_page(&mut page, report).expect("a string takes whatever is written");
    page
}

fn write_page(out: &mut String, report: &Report) -> fmt::Result {
    let sites = report.by_cost();
    let program = std::env::args_os().next().unwrap_or_default();
    let program = std::path::Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    let program = Escaped(&program);
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n\
         <title>{program}: what blocks</title>\n<style>\n{STYLE}</style></head>\n<body>\n\
         <h1>{program}: what blocks</h1>\n<p>Calls by site: {}.</p>",
        Escaped(&summary(&sites)),
    )?;
    if !sites.is_empty() {
        bars(out, &sites)?;
        table(out, &sites)?;
        writeln!(out, "<script>\n{SCRIPT}</script>")?;
    }
    writeln!(out, "</body></html>")
}

/// What the sites cost, as bars.
fn bars(out: &mut String, sites: &[&SiteStats]) -> fmt::Result {
    const HEIGHT: usize = 24;
    const LEFT: usize = 300;
    const WIDTH: f64 = 600.0;
    let sites: Vec<_> =
        sites.iter().filter(|site| !site.cost().is_zero()).take(MOST_BARS).collect();
    let Some(most) = sites.first().map(|site| site.cost().as_secs_f64()) else { return Ok(()) };
    let height = sites.len() * HEIGHT;
    writeln!(
        out,
        "<h2>What it costs</h2>\n<p>Time on threads that had lost their core, and in line:\
         <svg class=\"key\" viewBox=\"0 0 9 9\"><rect class=\"block\" width=\"9\" height=\"9\"/></svg>blocked\
         <svg class=\"key\" viewBox=\"0 0 9 9\"><rect class=\"compute\" width=\"9\" height=\"9\"/></svg>computed\
         <svg class=\"key\" viewBox=\"0 0 9 9\"><rect class=\"wait\" width=\"9\" height=\"9\"/></svg>waited for a turn</p>\n\
         <svg viewBox=\"0 0 1000 {height}\" width=\"1000\" height=\"{height}\" role=\"img\" \
         aria-label=\"cost by site\">",
    )?;
    for (nth, site) in sites.iter().enumerate() {
        let (top, middle) = (nth * HEIGHT + 3, nth * HEIGHT + 16);
        let place = end_of(&place(site), 40);
        let name = LEFT - 8;
        writeln!(
            out,
            "<text x=\"{name}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            Escaped(&place)
        )?;
        let parts = [
            ("block", "blocked", site.block_times.total()),
            ("compute", "computed", site.computing),
            ("wait", "waited", site.waited),
        ];
        let mut left = LEFT as f64;
        for (class, word, time) in parts.into_iter().filter(|(_, _, time)| !time.is_zero()) {
            let width = time.as_secs_f64() / most * WIDTH;
            writeln!(
                out,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" \
                 height=\"18\"><title>{word}: {}</title></rect>",
                short(time),
            )?;
            left += width;
        }
        let left = left + 6.0;
        writeln!(out, "<text x=\"{left:.1}\" y=\"{middle}\">{}</text>", short(site.cost()))?;
    }
    writeln!(out, "</svg>")
}

/// The end of a path that is too long.
fn end_of(path: &str, most: usize) -> String {
    let length = path.chars().count();
    if length <= most {
        return path.to_owned();
    }
    "...".chars().chain(path.chars().skip(length - (most - 3))).collect()
}

fn table(out: &mut String, sites: &[&SiteStats]) -> fmt::Result {
    let shown = |column: &&Column| sites.iter().any(|site| (column.value)(site) > 0);
    let columns: Vec<&Column> = COLUMNS.iter().filter(shown).collect();
    writeln!(
        out,
        "<h2>Where</h2>\n<p>A click on a head sorts by it. The pictures show for how long calls \
         blocked: a bar to each doubling, from a microsecond to 17 seconds, as high as there were \
         calls.</p>\n<table><thead><tr>\n<th class=\"where\"><button>place</button></th>",
    )?;
    for (nth, Column { head, says, .. }) in columns.iter().enumerate() {
        let sort = if nth == 0 { " aria-sort=\"descending\"" } else { "" };
        writeln!(out, "<th{sort}><button title=\"{}\">{head}</button></th>", Escaped(says))?;
    }
    writeln!(out, "<th><button title=\"how many blocked\">block times</button></th>")?;
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for site in sites {
        row(out, site, &columns)?;
    }
    writeln!(out, "</tbody></table>")
}

fn row(out: &mut String, site: &SiteStats, columns: &[&Column]) -> fmt::Result {
    let (place, verdict) = (place(site), site.verdict());
    let class = match verdict.cure {
        Cure::Nothing => "fine",
        Cure::Unmark => "idle",
        Cure::Mark | Cure::SpawnBlocking | Cure::Group | Cure::Permits => "act",
    };
    writeln!(
        out,
        "<tr><td class=\"where\" data-v=\"{0}\"><code><b>{0}</b><br/>{1}</code>\
         <div class=\"verdict {class}\">{2}</div></td>",
        Escaped(&place),
        Escaped(&super::call(site)),
        Escaped(&verdict.text),
    )?;
    for column in columns {
        let value = (column.value)(site);
        let text = match (column.text)(site) {
            text if text.is_empty() && value > 0 => value.to_string(),
            text => text,
        };
        match text.is_empty() {
            true => writeln!(out, "<td class=\"none\" data-v=\"0\">-</td>")?,
            false => writeln!(out, "<td data-v=\"{value}\">{}</td>", Escaped(&text))?,
        }
    }
    write!(out, "<td data-v=\"{}\">", site.block_times.count())?;
    histogram(out, site)?;
    writeln!(out, "</td></tr>")
}

/// The block times of a site, a bar to each power of two.
fn histogram(out: &mut String, site: &SiteStats) -> fmt::Result {
    /// From 2^10 ns, the first bucket's end, on.
    const FIRST: u32 = 10;
    const BARS: usize = 25;
    const WIDTH: usize = 6;
    const HEIGHT: u64 = 30;
    let mut bars = [0; BARS];
    for (below, count) in site.block_times.buckets() {
        let longest = u64::try_from(below.as_nanos()).unwrap_or(u64::MAX) - 1;
        let nth = (longest | 1).ilog2().saturating_sub(FIRST - 1) as usize;
        bars[nth.min(BARS - 1)] += count;
    }
    let most = bars.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return Ok(());
    }
    let width = BARS * WIDTH;
    write!(
        out,
        "<svg viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" role=\"img\" \
         aria-label=\"block times\"><path d=\"M0 {base}H{width}\" stroke=\"currentColor\" \
         opacity=\".3\"/>",
        base = HEIGHT as f64 - 0.5,
    )?;
    for (nth, count) in bars.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        // What is there is seen.
        let high = (count as f64 / most as f64 * HEIGHT as f64).max(1.5);
        let below = Duration::from_nanos(1 << (nth as u32 + FIRST));
        write!(
            out,
            "<rect class=\"block\" x=\"{}\" y=\"{:.1}\" width=\"{}\" height=\"{high:.1}\">\
             <title>{count} up to {}</title></rect>",
            nth * WIDTH,
            HEIGHT as f64 - high,
            WIDTH - 1,
            short(below),
        )?;
    }
    write!(out, "</svg>")
}

/// Text in XML, in an element or an attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Not to be had in XML at all.
                char if char.is_control() && char != '\n' && char != '\t' => {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}
