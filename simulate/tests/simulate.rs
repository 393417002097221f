//! Seeds that must pass, and what is to be said of the simulation itself.

use std::process::Command;

use threadlet_simulate::scenario::{Tally, run};

/// So many seeds find each line of `.ci/sabotage` whose place is `simulate`.
const SEEDS: u64 = 10_000;

/// What is wrong ends the process, with the seed. And nothing of what the simulation is for is left
/// out.
#[test]
fn no_seed_fails() {
    let mut sum = Tally::default();
    (0..SEEDS).for_each(|seed| sum.add(&run(seed, false).1));
    assert!(sum.handed_over.iter().all(|handed_over| *handed_over > 20), "{sum:?}");
    let Tally { stalled, emergencies, edges, by_sentinel, unprotected, .. } = sum;
    assert!(
        [stalled, emergencies, edges, by_sentinel, unprotected].iter().all(|n| *n > 20),
        "{sum:?}"
    );
    assert!([sum.refused, sum.ring_faults, sum.early_ends].iter().all(|n| *n > 20), "{sum:?}");
}

fn digests(from: u64, runs: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_threadlet-simulate"))
        .args(["--digests", "--seconds=60", &format!("--from={from}"), &format!("--runs={runs}")])
        .output()
        .expect("it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it is text");
    text.lines().take(runs as usize).map(|line| format!("{line}\n")).collect()
}

/// A run is a function of its seed, whatever the process has run before.
#[test]
fn a_seed_replays() {
    let all = digests(100, 300);
    assert_eq!(all.lines().count(), 300);
    let mut seen: Vec<_> =
        all.lines().filter_map(|line| line.split_once(' ')).map(|(_, d)| d).collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 290, "different seeds are different runs");
    for seed in [100, 250, 399] {
        assert!(all.contains(&digests(seed, 1)), "seed {seed} alone is another run");
    }
}
