//! What may be done about a site, in words: a table of rules, of which the first that fits holds.

use std::fmt;
use std::time::Duration;

use super::metrics::SiteStats;

/// What a site needs, as far as its figures tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cure {
    /// Nothing: it is as it should be, or too little is known.
    Nothing,
    /// A poll blocks without having said so: the call goes into
    /// [`threadlet!`](crate::threadlet).
    Mark,
    /// It computes: [`spawn_blocking`](crate::task::spawn_blocking), or a
    /// [`yield_now`](crate::task::yield_now) now and then.
    SpawnBlocking,
    /// Many of its calls are blocked at once: a [`Group`](crate::Group) would bound them.
    Group,
    /// Its calls wait for a permit:
    /// [`max_async_threads`](super::Builder::max_async_threads) is too low, or a group is missing
    /// elsewhere.
    Permits,
    /// Its calls never block: the guard finds nothing.
    Unmark,
}

/// What a site's figures say, for a person: [`SiteStats::verdict`].
///
/// # Examples
///
/// ```
/// use threadlet::runtime::{Cure, Handle};
///
/// fn complain() {
///     for site in Handle::current().sites() {
///         let verdict = site.verdict();
///         if verdict.cure != Cure::Nothing {
///             println!("{}:{}: {verdict}", site.file, site.line);
///         }
///     }
/// }
/// # threadlet::block_on(async { complain() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// What would help.
    pub cure: Cure,
    /// What is seen, and what would help, in words.
    pub text: String,
}

/// The text.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One in four of its calls, and it is a habit.
const OFTEN: f64 = 0.25;

/// So many calls that block tell something of a site.
const SOME: u64 = 16;

/// So many calls of which none has blocked do.
const MANY: u64 = 100;

/// With more at once than a machine's disk, lock or database is likely to serve faster for it.
const CROWD: f64 = 4.0;

/// A rule: whether it fits, what is to be done, and how that is said.
struct Rule {
    fits: fn(&SiteStats) -> bool,
    cure: Cure,
    words: fn(&SiteStats) -> String,
}

const RULES: [Rule; 11] = [
    Rule {
        fits: |site| site.rescued > 0 && site.computed * 2 >= site.rescued,
        cure: Cure::SpawnBlocking,
        words: |site| {
            format!(
                "a task spawned here computes without giving way, {}, for up to {} more: \
                 `spawn_blocking`, or `yield_now` now and then",
                times(site.computed),
                short(site.longest_block),
            )
        },
    },
    Rule {
        fits: |site| site.rescued > 0,
        cure: Cure::Mark,
        words: |site| {
            format!(
                "a task spawned here blocks without saying so, {}, {} at the median{}: put that call \
                 into `threadlet!`",
                times(site.rescued - site.computed),
                median(site),
                slept_in(site),
            )
        },
    },
    Rule {
        fits: |site| computes(site) && site.text == SPAWNED,
        cure: Cure::Nothing,
        words: |site| format!("computes for up to {}, where it may", short(site.longest_block)),
    },
    Rule {
        fits: computes,
        cure: Cure::SpawnBlocking,
        words: |site| {
            format!("computes, for up to {} more: `spawn_blocking`", short(site.longest_block))
        },
    },
    Rule {
        fits: |site| site.group.is_some() && site.waits > 0,
        cure: Cure::Nothing,
        words: |site| {
            format!(
                "{}; {} waited for a place in its group, {} each: raise its limit if what it \
                 stands for bears more",
                blocks(site),
                calls(site.waits),
                each(site),
            )
        },
    },
    Rule {
        fits: |site| site.waits > 0 && site.waited * 10 >= site.block_times.total(),
        cure: Cure::Permits,
        words: |site| {
            format!(
                "{}; {} waited for a permit, {} each: raise `max_async_threads`, or bound by a \
                 group who takes them",
                blocks(site),
                calls(site.waits),
                each(site),
            )
        },
    },
    Rule {
        fits: |site| {
            site.group.is_none()
                && site.blocking_share() >= OFTEN
                && site.block_times.count() >= SOME
                && site.blocked_at_once() >= CROWD
                && site.text != SPAWNED
                && !is_ours(site)
        },
        cure: Cure::Group,
        words: |site| {
            let at_once = site.blocked_at_once();
            format!("{}, {at_once:.0} at a time: a group would bound it", blocks(site))
        },
    },
    Rule {
        fits: |site| site.block_times.count() > 0,
        cure: Cure::Nothing,
        words: |site| format!("{}: what the guard is for", blocks(site)),
    },
    Rule {
        fits: |site| site.calls == 0 || is_ours(site) || site.text == SPAWNED,
        cure: Cure::Nothing,
        words: |_| "has not blocked".to_owned(),
    },
    Rule {
        fits: |site| site.calls < MANY,
        cure: Cure::Nothing,
        words: |site| format!("has not blocked in {}: too few to tell", calls(site.calls)),
    },
    Rule {
        fits: |_| true,
        cure: Cure::Unmark,
        words: |site| {
            format!(
                "never blocked in {}: the guard costs nanoseconds and finds nothing",
                calls(site.calls)
            )
        },
    },
];

/// The text of the sites of closures that are meant to block or compute.
const SPAWNED: &str = "spawn_blocking";

pub(super) fn of(site: &SiteStats) -> Verdict {
    let rule = RULES.iter().find(|rule| (rule.fits)(site)).expect("the last fits all");
    Verdict { cure: rule.cure, text: (rule.words)(site) }
}

fn computes(site: &SiteStats) -> bool {
    // Once it is known for that, its calls are handed over first, whatever they do.
    site.hogged > 0 && site.hogged >= site.blocked
}

/// It stands in this crate, in `fs` or `aio`: nobody else can change it.
fn is_ours(site: &SiteStats) -> bool {
    let ours = file!().strip_suffix("runtime/verdict.rs").unwrap_or(file!());
    site.file.starts_with(ours)
}

/// How often it blocks, and for how long.
fn blocks(site: &SiteStats) -> String {
    if site.block_times.count() == 0 {
        return "has not blocked".to_owned();
    }
    let percent = site.blocking_share() * 100.0;
    let share = if percent < 1.0 { "less than 1".to_owned() } else { format!("{percent:.0}") };
    format!("blocks at {share} % of its calls, {} at the median", median(site))
}

fn median(site: &SiteStats) -> String {
    short(site.block_times.quantile(0.5))
}

fn each(site: &SiteStats) -> String {
    short(site.waited.div_f64(site.waits.max(1) as f64))
}

/// What the call does that is to be looked for.
fn slept_in(site: &SiteStats) -> String {
    match site.slept_in.as_deref() {
        None => String::new(),
        Some("futex") => ", in `futex`, as a lock or a channel does".to_owned(),
        Some("a page fault") => ", in a page fault, as memory mapped from a file does".to_owned(),
        Some(call) => format!(", in `{call}`"),
    }
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// A time in a unit that keeps it short.
pub(super) fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..999.5e-6 => format!("{:.0} us", seconds * 1e6),
        ..99.95e-3 => format!("{:.1} ms", seconds * 1e3),
        ..999.5e-3 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests;
