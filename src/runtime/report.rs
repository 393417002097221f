//! The blocking profiler's table: which line of the program blocks, how often and for how long.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::metrics::{self, SiteStats};
use crate::primitive::Mutex;
use crate::shared::Shared;
use crate::sys::fork::PerFork;
use crate::{context, sys};

/// All runtimes of the process (none of its parents'): those that live, and what those that have
/// ended knew.
#[derive(Debug, Default)]
struct Known {
    live: Vec<Weak<Shared>>,
    ended: Report,
}

static KNOWN: PerFork<Mutex<Known>> = PerFork::new();

fn with_known<R>(f: impl FnOnce(&mut Known) -> R) -> R {
    f(&mut KNOWN.get().lock())
}

/// A runtime has been built. With `THREADLET_REPORT` set, the process will report when it ends.
pub(super) fn began(shared: &Arc<Shared>) {
    static ASKED: AtomicBool = AtomicBool::new(false);
    // Ordering: Relaxed; whoever comes second has nothing to do with what the first does.
    if !ASKED.swap(true, Ordering::Relaxed) && wanted() {
        // Without room for it there is no report.
        let _registered = sys::exit::at_exit(at_exit);
    }
    with_known(|known| {
        known.live.retain(|runtime| runtime.strong_count() > 0);
        known.live.push(Arc::downgrade(shared));
    });
}

/// A runtime is going: what it knows is kept.
pub(super) fn ended(shared: &Arc<Shared>) {
    let sites = metrics::sites(shared);
    with_known(|known| {
        known.live.retain(|runtime| !std::ptr::eq(runtime.as_ptr(), Arc::as_ptr(shared)));
        known.ended.add(sites);
    });
}

/// Whether the environment asks for a report at the end: `THREADLET_REPORT`, neither empty nor `0`.
fn wanted() -> bool {
    std::env::var_os("THREADLET_REPORT").is_some_and(|word| !word.is_empty() && word != "0")
}

extern "C" fn at_exit() {
    // What a child of `fork` has is a copy of what its parent reports.
    if context::forks() == 0 {
        report();
    }
}

/// Prints the blocking profiler's table on the standard error stream: for each call site of all
/// runtimes of this process, those that have ended included, how often it ran inline and how often
/// it was handed over, and for how long it blocked.
///
/// A program that is run with `THREADLET_REPORT=1` in its environment prints it when it exits, with
/// no change to its source. (Not if it is killed, and not in a child of `fork`; and calls that are
/// still under way when their runtime is dropped are not in it.) To print it
/// elsewhere, see [`Report`].
///
/// # Examples
///
/// ```
/// threadlet::block_on(async {
///     let task = threadlet::spawn(async { threadlet::threadlet!(std::fs::read("/etc/hosts")) });
///     assert!(task.await.unwrap().is_ok());
///     threadlet::report();
/// });
/// ```
pub fn report() {
    // Nobody is left to be told that standard error is closed.
    let _ = write!(std::io::stderr(), "{}", Report::of_all());
}

/// The blocking profiler's table, to be printed: see [`report`].
///
/// | column | what it counts |
/// |---|---|
/// | `calls` | calls of the site |
/// | `inline` | of those, the ones that kept their core |
/// | `asked` | calls of [`fs`](crate::fs) in other executors that were done at once |
/// | `blocked`, `predicted`, `hogged`, `rescued` | cores handed over, by cause |
/// | `coreless` | calls that blocked on a thread that had no core to lose |
/// | `p50`, `p99`, `max` | for how long calls blocked |
/// | `waits`, `waited` | waits for a permit or for a place in a group, and all these together |
///
/// # Examples
///
/// ```
/// use threadlet::runtime::Report;
///
/// threadlet::block_on(async {
///     threadlet::spawn(async { threadlet::threadlet!(std::fs::read("/etc/hosts")) }).await
/// }).unwrap().unwrap();
/// println!("{}", Report::of_all());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Report {
    sites: BTreeMap<(&'static str, u32, &'static str), SiteStats>,
}

impl Report {
    /// The table of all runtimes of this process.
    pub fn of_all() -> Report {
        let (live, mut report) = with_known(|known| (known.live.clone(), known.ended.clone()));
        for runtime in live.iter().filter_map(Weak::upgrade) {
            report.add(metrics::sites(&runtime));
        }
        report.add(metrics::asked());
        report
    }

    pub(super) fn of(shared: &Shared) -> Report {
        let mut report = Report::default();
        report.add(metrics::sites(shared));
        report
    }

    /// Its rows, by file and line.
    pub fn sites(&self) -> impl Iterator<Item = &SiteStats> {
        self.sites.values()
    }

    fn add(&mut self, sites: Vec<SiteStats>) {
        for site in sites {
            let key = (site.file, site.line, site.text);
            match self.sites.entry(key) {
                std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(site)),
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    known.get_mut().add(&site)
                }
            }
        }
    }
}

const HEAD: [&str; 14] = [
    "calls",
    "inline",
    "asked",
    "blocked",
    "predicted",
    "hogged",
    "rescued",
    "coreless",
    "p50",
    "p99",
    "max",
    "waits",
    "waited",
    "site",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Those that cost the most threads first.
        let mut sites: Vec<&SiteStats> = self.sites.values().collect();
        sites.sort_by_key(|site| std::cmp::Reverse((site.handed_over + site.coreless, site.calls)));
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(sites.into_iter().map(row));
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        writeln!(f, "threadlet: calls by site")?;
        for row in &rows {
            let (site, figures) = row.split_last().expect("a row has columns");
            for (cell, width) in figures.iter().zip(&widths) {
                write!(f, "{cell:>width$}  ")?;
            }
            writeln!(f, "{site}")?;
        }
        Ok(())
    }
}

fn row(site: &SiteStats) -> [String; 14] {
    let count = |count: u64| if count == 0 { "-".to_owned() } else { count.to_string() };
    let blocks = &site.block_times;
    let time = |time: Duration| if time.is_zero() { "-".to_owned() } else { short(time) };
    [
        count(site.calls),
        count(site.inline),
        count(site.asked),
        count(site.blocked),
        count(site.predicted),
        count(site.hogged),
        count(site.rescued),
        count(site.coreless),
        time(blocks.quantile(0.5)),
        time(blocks.quantile(0.99)),
        time(site.longest_block),
        count(site.waits),
        time(site.waited),
        format!("{}:{}  {}", site.file, site.line, one_line(site.text)),
    ]
}

/// A time in a unit that keeps it short.
fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..1e-3 => format!("{:.0} us", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

/// An expression on one line, and not a long one.
fn one_line(text: &str) -> String {
    const MOST: usize = 60;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST {
        return line;
    }
    line.chars().take(MOST - 3).chain("...".chars()).collect()
}
