//! Each rule by figures that it is for, and by the nearest that it is not for.

use std::time::{Duration, Instant};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn site(calls: u64) -> SiteStats {
    let mut site = SiteStats::default();
    (site.file, site.line, site.text) = ("app/src/main.rs", 7, "read()");
    (site.calls, site.inline) = (calls, calls);
    site
}

/// So many of its calls have blocked, for so long each, within so long.
fn blocked(mut site: SiteStats, count: u64, each: Duration, within: Duration) -> SiteStats {
    (0..count).for_each(|_| site.block_times.note(each));
    (site.blocked, site.handed_over) = (count, count);
    site.inline = site.calls.saturating_sub(count);
    site.longest_block = each;
    let now = Instant::now();
    site.blocked_within = Some((now, now + within));
    site
}

#[track_caller]
fn says(site: &SiteStats, cure: Cure, words: &str) {
    let verdict = site.verdict();
    assert_eq!((verdict.cure, verdict.text.as_str()), (cure, words));
}

#[test]
fn a_poll_that_computes() {
    let mut site = site(0);
    (site.rescued, site.computed, site.longest_block) = (3, 3, 50 * MS);
    says(
        &site,
        Cure::SpawnBlocking,
        "a task spawned here computes without giving way, 3 times, for up to 50.0 ms more: \
         `spawn_blocking`, or `yield_now` now and then",
    );
    // Where most of them block that is what is said.
    site.rescued = 7;
    assert_eq!(site.verdict().cure, Cure::Mark);
}

#[test]
fn a_poll_that_blocks() {
    let mut site = blocked(site(0), 1, 20 * MS, MS);
    (site.rescued, site.blocked) = (1, 0);
    let words = site.verdict().text;
    assert!(words.starts_with("a task spawned here blocks without saying so, once, "), "{words}");
    assert!(words.ends_with("ms at the median: put that call into `threadlet!`"), "{words}");
    for (call, told) in [
        ("futex", "median, in `futex`, as a lock or a channel does: put"),
        ("a page fault", "median, in a page fault, as memory mapped from a file does: put"),
        ("openat", "median, in `openat`: put"),
    ] {
        site.slept_in = Some(call.to_owned());
        let words = site.verdict().text;
        assert!(words.contains(told), "{words}");
    }
}

#[test]
fn a_call_that_computes() {
    let mut site = site(20);
    (site.hogged, site.longest_block) = (2, 300 * MS);
    says(&site, Cure::SpawnBlocking, "computes, for up to 300 ms more: `spawn_blocking`");
    site.text = SPAWNED;
    says(&site, Cure::Nothing, "computes for up to 300 ms, where it may");
    // One hog among many that block is no habit.
    let mut site = blocked(site, 5, MS, 100 * MS);
    site.text = "read()";
    assert_eq!(site.verdict().cure, Cure::Nothing);
}

#[test]
fn calls_that_wait_for_their_group() {
    let mut site = blocked(site(100), 100, 2 * MS, 100 * MS);
    (site.group, site.waits, site.waited) = (Some("&DISK"), 50, 100 * MS);
    says(
        &site,
        Cure::Nothing,
        "blocks at 100 % of its calls, 2.0 ms at the median; 50 calls waited for a place in its \
         group, 2.0 ms each: raise its limit if what it stands for bears more",
    );
}

#[test]
fn calls_that_wait_for_a_permit() {
    let mut site = blocked(site(100), 10, 2 * MS, 100 * MS);
    (site.waits, site.waited) = (1, 20 * MS);
    says(
        &site,
        Cure::Permits,
        "blocks at 10 % of its calls, 2.0 ms at the median; 1 call waited for a permit, 20.0 ms \
         each: raise `max_async_threads`, or bound by a group who takes them",
    );
    // Little beside the time for which they block.
    site.waited = MS;
    assert_eq!(site.verdict().cure, Cure::Nothing);
}

#[test]
fn a_crowd_of_calls() {
    let mut site = blocked(site(100), 100, 2 * MS, 20 * MS);
    says(
        &site,
        Cure::Group,
        "blocks at 100 % of its calls, 2.0 ms at the median, 10 at a time: a group would bound it",
    );
    site.group = Some("&DISK");
    assert_eq!(site.verdict().cure, Cure::Nothing, "it has one");
    site.group = None;
    site.calls = 1000;
    assert_eq!(site.verdict().cure, Cure::Nothing, "it is seldom");
    site.calls = 100;
    let mut one_by_one = blocked(site, 100, 2 * MS, 200 * MS);
    (one_by_one.calls, one_by_one.block_times) =
        (100, blocked(self::site(1), 100, 2 * MS, MS).block_times);
    assert_eq!(one_by_one.verdict().cure, Cure::Nothing, "it is no crowd");
}

#[test]
fn calls_that_block_now_and_then() {
    says(
        &blocked(site(1000), 31, 20 * MS, Duration::from_secs(1)),
        Cure::Nothing,
        "blocks at 3 % of its calls, 18.9 ms at the median: what the guard is for",
    );
    let seldom = blocked(site(1000), 1, 20 * MS, Duration::from_secs(1)).verdict();
    assert!(seldom.text.starts_with("blocks at less than 1 % of its calls"), "{seldom}");
}

#[test]
fn calls_that_do_not_block() {
    says(&site(99), Cure::Nothing, "has not blocked in 99 calls: too few to tell");
    says(
        &site(100),
        Cure::Unmark,
        "never blocked in 100 calls: the guard costs nanoseconds and finds nothing",
    );
    let mut done_elsewhere = site(0);
    done_elsewhere.asked = 5;
    says(&done_elsewhere, Cure::Nothing, "has not blocked");
    let mut ours = site(1000);
    ours.file = file!();
    says(&ours, Cure::Nothing, "has not blocked");
}

#[test]
fn a_time_has_a_unit_that_keeps_it_short() {
    let words =
        [0, 999_499, 999_600, 2_000_000, 99_949_999, 99_960_000, 999_600_000, 90_000_000_000]
            .map(|nanos| short(Duration::from_nanos(nanos)));
    let expected = ["0 us", "999 us", "1.0 ms", "2.0 ms", "99.9 ms", "100 ms", "1.0 s", "90.0 s"];
    assert_eq!(words, expected);
}
