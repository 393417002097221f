//! The region: the dynamic extent of one in-place call.
//!
//! Every poll is lent, so a region has nothing to lend: at its entry the thread only writes down,
//! in its own slot, *which* site it is in (that is what tells a marked call from an unmarked one);
//! at its exit it bumps the number of the word, by which it learns whether its core is still its
//! own. What belongs to a site with a bad record (a hog, a waiter at the gate) hands its core over
//! before the call instead of after.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::arming;
use crate::context::{self, Thread};
use crate::failpoint::fail_point;
use crate::gate::{Admission, Pass};
use crate::scheduler::pool::{Cause, Claim, Ticket, Todo};
use crate::site::{Habit, Site};
use crate::sys::thread::thread_cpu_time;

/// A call that came back sooner than this after its core was taken had not really blocked.
const WASTED: Duration = Duration::from_micros(5);

/// One call in this many is watched: at a site that hands over first it runs the ordinary way, so
/// that the site can show that it has changed; at one that keeps its core, the clock is read.
const SAMPLE: u64 = 32;

/// A call that waited for so long has blocked, whether or not its core was taken.
const BLOCKED: Duration = Duration::from_micros(20);

/// Runs `f` as a region of `site`, with what the gate gave.
#[doc(hidden)]
#[inline]
pub fn run_at<T>(site: &'static Site, pass: Pass, f: impl FnOnce() -> T) -> T {
    context::with(|thread| match thread {
        // Outside a poll (a hook, a plain thread, a child of `fork`) and inside another region a
        // region is a plain call.
        Some(thread) if thread.in_poll.get() && !thread.in_region.get() => {
            let _exit = enter(thread, site, pass);
            f()
        }
        _ => f(),
    })
}

/// Leaves the region, however the call ends.
struct Exit<'t, 'a> {
    thread: &'t Thread<'a>,
    site: &'static Site,
    how: How,
    watch: Watch,
    /// Given back when the region has ended.
    _admission: Option<Admission>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// With the core lent.
    Lent,
    /// The core was handed over before the call.
    HandedOver,
    /// On a thread that had no core at entry.
    Coreless,
}

/// What is measured of a call that runs with its core lent.
#[derive(Clone, Copy)]
enum Watch {
    /// Nothing.
    No,
    /// The time it takes. No system call: the path that does not block makes none.
    Wall(Instant),
    /// That, and how much of it is CPU time, at a site under suspicion.
    Full(Instant, Duration),
}

impl Watch {
    #[inline]
    fn begin(habit: Habit, nth: u64) -> Watch {
        match habit {
            Habit::Stays if !nth.is_multiple_of(SAMPLE) => Watch::No,
            Habit::Stays => Watch::Wall(Instant::now()),
            Habit::Doubtful | Habit::Loses => Watch::Full(Instant::now(), thread_cpu_time()),
        }
    }

    /// Tells the site what the call did: a computation is no block, however long.
    #[inline]
    fn end(self, site: &'static Site) {
        match self {
            Watch::No => {}
            Watch::Wall(start) => {
                if start.elapsed() >= BLOCKED {
                    // From now on with both clocks.
                    site.learn(true);
                }
            }
            Watch::Full(start, cpu) => {
                let (wall, cpu) = (start.elapsed(), thread_cpu_time().saturating_sub(cpu));
                site.learn(wall >= BLOCKED && wall.saturating_sub(cpu) > cpu);
            }
        }
    }
}

#[inline]
fn enter<'t, 'a>(thread: &'t Thread<'a>, site: &'static Site, pass: Pass) -> Exit<'t, 'a> {
    fail_point!("region-enter");
    thread.in_region.set(true);
    thread.slot.site.set(Some(site));
    let nth = thread.slot.counts.add(site.id());
    let habit = site.habit();
    let ordinary = habit != Habit::Loses || nth.is_multiple_of(SAMPLE);
    if ordinary && matches!(pass, Pass::Free) && !thread.is_coreless() {
        arming::on_region(thread);
        let watch = Watch::begin(habit, nth);
        return Exit { thread, site, how: How::Lent, watch, _admission: None };
    }
    enter_slowly(thread, site, pass)
}

/// The thread has no core, or the region is to hand over first, or to run without a permit in
/// sight.
#[cold]
fn enter_slowly<'t, 'a>(thread: &'t Thread<'a>, site: &'static Site, pass: Pass) -> Exit<'t, 'a> {
    let exit = |how, admission| Exit { thread, site, how, watch: Watch::No, _admission: admission };
    if thread.is_coreless() {
        return exit(How::Coreless, None);
    }
    let ticket = match pass {
        Pass::Unprotected(admission) => {
            thread.shared.counters.unprotected.fetch_add(1, Ordering::Relaxed);
            return exit(How::Lent, Some(admission));
        }
        Pass::Inline => return exit(How::Lent, None),
        // A future that has moved to another runtime since brings a permit of the old one.
        Pass::Granted(waiting) => waiting.into_ticket_of(thread.shared),
        Pass::Free | Pass::WillBlock => None,
    };
    let handed_over = hand_over_first(thread, ticket);
    exit(if handed_over { How::HandedOver } else { How::Lent }, None)
}

fn hand_over_first(thread: &Thread<'_>, ticket: Option<Ticket>) -> bool {
    let (Some(core), Some(seen)) = (thread.core(), thread.word()) else { return false };
    let claim = Claim { seat: core.index, seen, observed: thread.id, cause: Cause::Predicted };
    let mut todo = Todo::default();
    let done = thread.shared.pool.hand_over_first(ticket, claim, &mut todo);
    if done {
        thread.lose();
    }
    thread.shared.carry_out(todo);
    if !done {
        // The call is about to block, and a task that was just woken may be in this core's slot.
        thread.shared.empty_lifo(core.index);
    }
    done
}

impl Drop for Exit<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        fail_point!("region-exit");
        let thread = self.thread;
        thread.slot.site.set(None);
        thread.in_region.set(false);
        if self.how == How::Lent && thread.bump() {
            self.watch.end(self.site);
            return;
        }
        self.leave_slowly();
    }
}

impl Exit<'_, '_> {
    #[cold]
    fn leave_slowly(&self) {
        if self.how != How::Coreless && !self.thread.forgotten.get() {
            record(self.thread, self.site);
            // A task that blocks again and again is better off staying where it is, on a thread of
            // its own, than taking a core only to lose it.
            if self.thread.losses.get() == 1 && self.site.habit() != Habit::Loses {
                come_back(self.thread);
            }
        }
    }
}

/// What the hand-off tells of the site.
fn record(thread: &Thread<'_>, site: &'static Site) {
    let Some(holding) = thread.holding() else { return };
    let shared = thread.shared;
    let lasted = holding.since.elapsed();
    if holding.cause == Cause::Blocked && lasted < WASTED {
        shared.counters.wasted.fetch_add(1, Ordering::Relaxed);
    }
    match holding.cause {
        Cause::Blocked => site.learn(lasted >= WASTED),
        Cause::Predicted => site.learn(lasted >= BLOCKED),
        // The monitor has said so already, or it was not the call's doing.
        Cause::Hog | Cause::Rescued => {}
    }
    let id = site.id();
    let calls = shared.calls(id);
    shared.with_events(id, |events| {
        events.handoffs[holding.cause as usize] += 1;
        events.longest = events.longest.max(lasted);
        if holding.cause != Cause::Hog {
            events.calls_at_block = calls + 1;
        }
    });
}

/// The call is over and the core is gone: take an idle one, or go on without.
fn come_back(thread: &Thread<'_>) {
    let Some(sleeper) = thread.shared.idle.take_for_claim() else { return };
    thread.claim(sleeper.seat);
    thread.lend();
    thread.release_permit();
    // The one that slept with this core has none now: it wakes to become a spare.
    thread.shared.wake_sleeper(sleeper);
    thread.shared.wake_monitor();
}
