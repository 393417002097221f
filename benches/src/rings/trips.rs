//! What a ring does to two threads on one CPU that wake each other in turns.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::{Options, Watcher};
use crate::harness::{Samples, ns_each};
use crate::sys::perf::{PAIR_BYTES, SwitchEvent};
use crate::sys::thread::{Cpus, set_idle_policy};

/// How one of the two treats its ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    None,
    Disarmed,
    DisarmedToPark,
    Armed,
}

use Treatment::{Armed, Disarmed, DisarmedToPark, None};

const TREATMENTS: [(Treatment, &str); 4] = [
    (None, "without a ring"),
    (Disarmed, "with a ring that is disarmed"),
    (DisarmedToPark, "with one that is disarmed around each park"),
    (Armed, "with one that stays armed"),
];

const ROUNDS: usize = 9;

pub(super) fn run(options: Options) -> io::Result<()> {
    let count = options.count(5_000);
    println!("\ntwo threads that park in turns on one CPU, a round trip (median of {ROUNDS})");
    let mut times = TREATMENTS.map(|_| Samples::default());
    for _ in 0..ROUNDS {
        for (times, (how, _)) in times.iter_mut().zip(TREATMENTS) {
            times.push(ns_each(trips(how, count)?, count));
        }
    }
    for (times, (_, words)) in times.iter().zip(TREATMENTS) {
        println!("  {words:50} {:9.0} ns", times.median());
    }
    Ok(())
}

/// The time for `count` round trips, with a sentinel on the ring of one of the threads.
fn trips(how: Treatment, count: usize) -> io::Result<Duration> {
    let home = Cpus::allowed()?;
    let one = home.first();
    let turn = Arc::new(AtomicUsize::new(0));
    let (tell, told) = mpsc::channel();
    let (go, partner) = mpsc::channel();
    let theirs = turn.clone();
    let subject = thread::spawn(move || -> io::Result<()> {
        one.confine(0)?;
        let event = (how != None).then(|| SwitchEvent::open(PAIR_BYTES)).transpose()?.map(Arc::new);
        if let (Some(event), Disarmed) = (&event, how) {
            event.disable()?;
        }
        let _ = tell.send(event.clone());
        let Ok(partner) = partner.recv() else { return Ok(()) };
        answer(how, event.as_deref(), &theirs, &partner, count)
    });
    let Ok(event) = told.recv() else {
        subject.join().expect("it does not panic")?;
        unreachable!("it tells, or fails");
    };
    let sentinel = event.map(|event| Watcher::start(event, set_idle_policy, |_| {}));
    one.confine(0)?;
    let _ = go.send(thread::current());
    let start = Instant::now();
    for trip in 0..count {
        // Ordering: Release and Acquire; the turn is all that goes from one to the other.
        turn.store(2 * trip + 1, Ordering::Release);
        subject.thread().unpark();
        while turn.load(Ordering::Acquire) != 2 * trip + 2 {
            thread::park();
        }
    }
    let took = start.elapsed();
    home.confine(0)?;
    subject.join().expect("it does not panic")?;
    sentinel.map(Watcher::stop).transpose()?;
    Ok(took)
}

/// The other end of each trip.
fn answer(
    how: Treatment,
    event: Option<&SwitchEvent>,
    turn: &AtomicUsize,
    partner: &Thread,
    count: usize,
) -> io::Result<()> {
    for trip in 0..count {
        // Ordering: see `trips`.
        while turn.load(Ordering::Acquire) != 2 * trip + 1 {
            match event {
                Some(event) if how == DisarmedToPark => {
                    event.disable()?;
                    thread::park();
                    event.enable()?;
                }
                _ => thread::park(),
            }
        }
        turn.store(2 * trip + 2, Ordering::Release);
        partner.unpark();
    }
    Ok(())
}
