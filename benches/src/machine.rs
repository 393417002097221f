//! On what, and with which versions, a run was made.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::suite::workers;
use crate::sys;

/// The crates that are measured, or that measure.
const CRATES: [&str; 10] = [
    "async-executor",
    "async-fs",
    "async-io",
    "blocking",
    "compio",
    "futures",
    "hyper",
    "may",
    "mio",
    "tokio",
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Year, month and day.
    pub(crate) date: String,
    /// The commit that was measured.
    pub(crate) commit: String,
    pub(crate) processor: String,
    /// Workers on each side: one for each CPU.
    pub(crate) workers: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) crates: BTreeMap<String, String>,
    /// How long the run took.
    pub(crate) seconds: u64,
    /// What other programs took of the processor time that was spent meanwhile.
    pub(crate) others_percent: u64,
    /// A smoke run, not to be taken for figures.
    pub(crate) quick: bool,
}

/// From the beginning of a run.
#[derive(Debug)]
pub(crate) struct Begun {
    at: Instant,
    ours: Duration,
    all: Duration,
}

impl Begun {
    pub(crate) fn now() -> Begun {
        Begun { at: Instant::now(), ours: sys::cpu_time_with_children(), all: busy() }
    }

    /// The machine, at the end of the run.
    pub(crate) fn machine(&self, quick: bool) -> Machine {
        let ours = (sys::cpu_time_with_children() - self.ours).as_secs_f64();
        let all = busy().saturating_sub(self.all).as_secs_f64();
        let others = if all > 0.0 { (1.0 - ours / all).max(0.0) } else { 0.0 };
        Machine {
            date: said("date", &["-u", "+%F"]),
            commit: commit(),
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "?".to_owned()),
            workers: workers(),
            memory_mib: memory_mib(),
            kernel: kernel(),
            rustc: env!("THREADLET_BENCH_RUSTC").to_owned(),
            crates: crates(),
            seconds: self.at.elapsed().as_secs(),
            others_percent: (others * 100.0).round() as u64,
            quick,
        }
    }
}

/// The processor time that all programs have taken since the machine started.
fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    // "cpu", then hundredths of a second: user, nice, system, idle, iowait, irq, softirq.
    let fields = stat.split_whitespace().skip(1).take(7);
    let times: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    Duration::from_millis(10 * (times.iter().sum::<u64>() - idle))
}

/// Its name and version, without what who built it has added.
fn kernel() -> String {
    let release = said("uname", &["-r"]);
    let version = release.split('-').next().unwrap_or_default();
    format!("Linux {version} {}", said("uname", &["-m"]))
}

fn memory_mib() -> u64 {
    let text = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    text.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

/// What stands behind a name and a colon.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let of = |line: &str| {
        Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().to_owned())
    };
    text.lines().find_map(of)
}

/// The commit's short name, with a `+` if what was measured is more than that.
fn commit() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let name = said("git", &["-C", root, "rev-parse", "--short", "HEAD"]);
    let changes = said(
        "git",
        &["-C", root, "status", "--porcelain", "--untracked-files=no", "--", "*.rs", "*.toml"],
    );
    if changes.is_empty() { name } else { name + "+" }
}

/// The first line that a program prints; nothing, if it fails.
fn said(program: &str, arguments: &[&str]) -> String {
    let output: io::Result<_> = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// The versions in `Cargo.lock`, as it was when this program was compiled.
fn crates() -> BTreeMap<String, String> {
    let lock = include_str!("../../Cargo.lock");
    let package = |text: &str| {
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches(['"', '=', ' ']).to_owned())
        };
        Some((of("name = ")?, of("version = ")?))
    };
    let all = lock.split("[[package]]").filter_map(package);
    all.filter(|(name, _)| CRATES.contains(&name.as_str())).collect()
}

#[cfg(test)]
impl Machine {
    pub(crate) fn made_up() -> Machine {
        Machine {
            date: "2007-07-24".to_owned(),
            commit: "abcdef0".to_owned(),
            processor: "a processor".to_owned(),
            workers: 2,
            memory_mib: 4096,
            kernel: "Linux 6.18.5 x86_64".to_owned(),
            rustc: "1.87.0".to_owned(),
            crates: [("tokio".to_owned(), "1.54.1".to_owned())].into(),
            seconds: 7,
            others_percent: 1,
            quick: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_is_made_on_is_known() {
        let machine = Begun::now().machine(true);
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert!(machine.crates["tokio"].starts_with("1."), "{machine:?}");
        assert!(machine.memory_mib > 0 && machine.workers > 0, "{machine:?}");
        assert!(machine.rustc.starts_with("rustc "), "{machine:?}");
        assert_eq!(machine.date.len(), 10, "{machine:?}");
    }
}
