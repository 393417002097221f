//! The blocking profiler's report: which line of the program blocks, how often and for how long, and
//! what may be done about it.
//!
//! | module | what it is |
//! |---|---|
//! | `text` | the table for a terminal |
//! | `html` | the page for a browser |
//! | this one | what is reported, and when |

mod html;
mod text;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::metrics::{self, SiteStats};
use super::verdict::Cure;
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
    if !ASKED.swap(true, Ordering::Relaxed) && wanted().is_some() {
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

/// What the environment asks for at the end: `THREADLET_REPORT`, neither empty nor `0`.
fn wanted() -> Option<OsString> {
    std::env::var_os("THREADLET_REPORT").filter(|word| !word.is_empty() && word != "0")
}

extern "C" fn at_exit() {
    // What a child of `fork` has is a copy of what its parent reports.
    if context::forks() > 0 {
        return;
    }
    let word = wanted().unwrap_or_default();
    let path = Path::new(&word);
    if path.extension().is_none_or(|end| end != "html") {
        return report();
    }
    if let Err(error) = std::fs::write(path, Report::of_all().to_html()) {
        let text = format!(
            "threadlet: the report cannot be written to {}: {error} (THREADLET_REPORT names a file in \
             a folder that is there; 1 prints it here)\n",
            path.display(),
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// Prints the blocking profiler's report on the standard error stream: for each call site of all
/// runtimes of this process, those that have ended included, how often it ran inline and how often
/// it was handed over, for how long it blocked, and in a second line what may be done about it (see
/// [`Verdict`](super::Verdict)). What costs most stands first.
///
/// A program that is run with `THREADLET_REPORT=1` in its environment prints it when it exits, with
/// no change to its source; with `THREADLET_REPORT=report.html`, or any name that ends so, it
/// writes it there as a page for a browser ([`Report::to_html`]). (Not if it is killed, and not in a
/// child of `fork`; and calls that are still under way when their runtime is dropped are not in it.)
/// To print it elsewhere, see [`Report`].
///
/// On a terminal it has colours, unless `NO_COLOR` is set.
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
    let mut text = String::new();
    let _never_fails = text::write(&mut text, &Report::of_all(), text::Colours::of_stderr());
    // Nobody is left to be told that standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The blocking profiler's report, to be printed: see [`report`].
///
/// | column | what it counts |
/// |---|---|
/// | `cost` | for how long calls blocked, computed on threads that had lost their core, and waited |
/// | `calls` | calls of the site |
/// | `inline` | of those, the ones that kept their core, or had none and did not block |
/// | `asked` | calls of [`fs`](crate::fs) in other executors that were done at once |
/// | `blocked`, `predicted`, `hogged`, `rescued` | cores handed over, by cause |
/// | `coreless` | calls that blocked on a thread that had no core to lose |
/// | `p50`, `p99`, `max` | for how long calls blocked |
/// | `waits`, `waited` | waits for a permit or for a place in a group, and all these together |
///
/// A column in which nothing would stand is left out.
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
    /// That of all runtimes of this process.
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

    /// As one page for a browser, with pictures: it loads nothing, and its table is sorted by a
    /// click on a column's head.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Report;
    ///
    /// let page = Report::of_all().to_html();
    /// assert!(page.starts_with("<!DOCTYPE html>"));
    /// ```
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    /// What costs most first; where the costs are the same, what is called most.
    fn by_cost(&self) -> Vec<&SiteStats> {
        let mut sites: Vec<_> = self.sites().collect();
        sites.sort_by_key(|site| std::cmp::Reverse((site.cost(), site.calls)));
        sites
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

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self, text::Colours::NONE)
    }
}

/// How many places there are, and how many of them could be better.
fn summary(sites: &[&SiteStats]) -> String {
    if sites.is_empty() {
        return "none, and no poll has blocked".to_owned();
    }
    let idle = |cure| matches!(cure, Cure::Nothing | Cure::Unmark);
    let better = sites.iter().filter(|site| !idle(site.verdict().cure)).count();
    let places = if sites.len() == 1 { "1 place" } else { &format!("{} places", sites.len()) };
    format!("{places}, what costs most first; {better} could be better")
}

fn place(site: &SiteStats) -> String {
    format!("{}:{}", printable(site.file), site.line)
}

/// The call on one line, with its group.
fn call(site: &SiteStats) -> String {
    let text = site.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = printable(&text);
    match site.group {
        Some(group) => format!("in {}; {text}", printable(group)),
        None => text,
    }
}

/// Nothing in a source's text moves the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
