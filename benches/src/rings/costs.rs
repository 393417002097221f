//! The price of each tool, on the thread that uses it.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use super::{Computing, Options};
use crate::harness::{Samples, ns_each};
use crate::sys::perf::{PAIR_BYTES, SwitchEvent};
use crate::sys::thread::{Stat, cpu_time_of, set_slice, sleeps};

pub(super) fn run(options: Options) -> io::Result<()> {
    println!("the price of a tool, on the thread that uses it (median)");
    let say = |what: &str, runs: usize, batch: usize, call: &mut dyn FnMut() -> io::Result<()>| {
        median_ns(options.count(runs), batch, call).map(|ns| println!("  {what:50} {ns:9.0} ns"))
    };
    let event = SwitchEvent::open(PAIR_BYTES)?;
    say("open a ring, with its priming block", 200, 1, &mut || {
        SwitchEvent::open(PAIR_BYTES).map(drop)
    })?;
    say("disarm and arm a ring", 2000, 10, &mut || {
        event.disable()?;
        event.enable()
    })?;
    say("look at a ring", 2000, 100, &mut || {
        black_box(event.sleeps());
        Ok(())
    })?;
    let suspect = Computing::start();
    let (tid, stat) = (suspect.tid, Stat::open(suspect.tid)?);
    say("read a state from an open `stat`", 2000, 10, &mut || stat.state().map(drop))?;
    say("read another thread's CPU clock", 2000, 10, &mut || cpu_time_of(tid).map(drop))?;
    say("ask how often the own thread has slept", 2000, 10, &mut || {
        black_box(sleeps());
        Ok(())
    })?;
    say("give a thread long slices, and short ones again", 500, 4, &mut || {
        set_slice(tid, Duration::from_millis(20))?;
        set_slice(tid, Duration::ZERO)
    })?;
    suspect.stop();
    Ok(())
}

/// The median of many runs of `batch` calls each, in nanoseconds a call.
fn median_ns(
    runs: usize,
    batch: usize,
    call: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<f64> {
    let mut times = Samples::default();
    for _ in 0..runs {
        let start = Instant::now();
        (0..batch).try_for_each(|_| call())?;
        times.push(ns_each(start.elapsed(), batch));
    }
    Ok(times.median())
}
