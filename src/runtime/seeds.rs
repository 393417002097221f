//! A test under many seeds. Not for people: the attribute expands to it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

use super::Builder;

/// How many of the last decisions are printed.
const SHOWN: usize = 24;

/// A test of a seed, or of several.
#[derive(Debug)]
pub struct Seeds {
    builder: Builder,
    first: u64,
    count: u64,
}

/// What a test returns, as far as it says that the test has failed.
pub trait Verdict {
    /// Whether it has.
    fn is_failure(&self) -> bool;
}

impl Verdict for () {
    fn is_failure(&self) -> bool {
        false
    }
}

impl<T: Verdict, E> Verdict for Result<T, E> {
    fn is_failure(&self) -> bool {
        self.as_ref().map_or(true, Verdict::is_failure)
    }
}

impl Verdict for ExitCode {
    fn is_failure(&self) -> bool {
        // It can be shown, and not compared.
        format!("{self:?}") != format!("{:?}", ExitCode::SUCCESS)
    }
}

impl Seeds {
    /// `seed`, unless the environment names another, and as many from that on as it says.
    ///
    /// # Panics
    ///
    /// If what it says is no number.
    pub(super) fn new(builder: Builder, seed: u64) -> Self {
        let first = from_environment("THREADLET_SEED").unwrap_or(seed);
        Seeds { builder, first, count: from_environment("THREADLET_SEEDS").unwrap_or(1) }
    }

    /// Runs the test under each seed, in a runtime of its own, up to the first that fails, and waits for
    /// what it has started.
    pub fn test<F: Future>(mut self, test: impl Fn() -> F) -> F::Output
    where
        F::Output: Verdict,
    {
        assert!(self.count > 0, "THREADLET_SEEDS is 0: it must be at least 1");
        let mut nth = 0;
        loop {
            let (output, is_last) =
                (self.run(self.first.wrapping_add(nth), &test), nth + 1 == self.count);
            if is_last && self.count > 1 {
                eprintln!("{} seeds passed, from {} on", self.count, self.first);
            }
            if is_last || output.is_failure() {
                return output;
            }
            nth += 1;
        }
    }

    fn run<F: Future>(&mut self, seed: u64, test: impl Fn() -> F) -> F::Output
    where
        F::Output: Verdict,
    {
        let runtime = match self.builder.deterministic(seed).build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the runtime cannot be built: {error}"),
        };
        let output = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test())));
        if output.as_ref().map_or(true, Verdict::is_failure) {
            let decisions = runtime.decisions().unwrap_or_default();
            tell(seed, &decisions);
        }
        drop(runtime);
        output.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => panic!("{name} is {text:?}: it must be a number ({error})"),
    }
}

/// Says which seed has failed, and how it came to that. All of that goes to a file if the environment
/// names one.
fn tell(seed: u64, decisions: &str) {
    eprintln!("seed {seed} failed: run again with THREADLET_SEED={seed}");
    let lines: Vec<_> = decisions.lines().collect();
    eprintln!("what it decided last (THREADLET_SEED_LOG=FILE keeps all):");
    for line in lines.iter().skip(lines.len().saturating_sub(SHOWN)) {
        eprintln!("  {line}");
    }
    let Some(path) = std::env::var_os("THREADLET_SEED_LOG") else { return };
    if let Err(error) = std::fs::write(&path, decisions) {
        eprintln!("THREADLET_SEED_LOG: {} cannot be written: {error}", path.display());
    }
}
