//! The region: the dynamic extent of one in-place call.
//!
//! Every poll is lent, so a region has nothing to lend: at its entry the thread only writes down,
//! in its own slot, *which* site it is in (that is what tells a marked call from an unmarked one);
//! at its exit it looks at the word, and at whether a thief looks, to learn whether its core is
//! still its own. What belongs to a site with a bad record (a hog, a waiter at the gate) hands its
//! core over before the call instead of after.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::call::gate::{Admission, Pass, passes_at_once};
use crate::call::replayed;
use crate::context::{self, Thread};
use crate::coop;
use crate::observe::event;
use crate::observe::recorder;
use crate::observe::site::{Habit, Site};
use crate::primitive::failpoint::fail_point;
use crate::protocol::Cause;
use crate::protocol::core::Suspect;
use crate::protocol::pool::Claim;
use crate::protocol::queue::Ticket;
use crate::sys::thread::sleeps;

/// A call that came back sooner than this after its core was taken had not really blocked.
const WASTED: Duration = Duration::from_micros(5);

/// One call in this many runs the ordinary way at a site that hands over first, so that the site
/// can show that it has changed.
const SAMPLE: u64 = 32;

/// One call in this many is timed at a site that keeps its core: it may block for times too short
/// for a detector. The clock, read twice, costs four times an ordinary region.
const TIMED: u64 = 256;

/// A call that waited for so long has blocked, whether or not its core was taken.
const BLOCKED: Duration = Duration::from_micros(20);

/// Runs `f` as a region of `site`, with what the gate gave.
#[doc(hidden)]
#[inline]
pub fn run_at<T>(site: &'static Site, pass: Pass, f: impl FnOnce() -> T) -> T {
    context::with(|thread| match thread {
        // Outside a poll (a hook, a plain thread, a child of `fork`) and inside another region a
        // region is a plain call.
        Some(thread) if thread.poll.active.get() && !thread.poll.in_region.get() => {
            let mut exit = Exit { thread, site, kind: Kind::Common };
            exit.enter(pass);
            coop::around_call(f)
        }
        thread => {
            if thread.is_none() {
                super::outside::plain_call(site);
            }
            // It may be one in the poll of a root that has no core.
            coop::around_call(f)
        }
    })
}

/// Runs `f` as an ordinary region of `site`, if nothing has to be waited for; gives it back otherwise.
/// What has no more to do than that needs no future.
#[inline]
pub(crate) fn run_at_once<T, F: FnOnce() -> T>(site: &'static Site, f: F) -> Result<T, F> {
    context::with(|thread| match thread {
        Some(thread) if !thread.poll.in_region.get() && passes_at_once(thread) => {
            let mut exit = Exit { thread, site, kind: Kind::Common };
            exit.enter(Pass::Free);
            Ok(coop::around_call(f))
        }
        _ => Err(f),
    })
}

/// Leaves the region, however the call ends.
struct Exit<'t, 'a> {
    thread: &'t Thread<'a>,
    site: &'static Site,
    kind: Kind,
}

/// What there is to do at the end of a call.
enum Kind {
    /// The common case, with the core lent: to look at the word.
    Common,
    /// There was no core at the entry, and nothing is measured: nothing.
    Plain,
    /// Anything else.
    Special(Special),
}

struct Special {
    how: How,
    watch: Watch,
    /// When the call began, for the timeline.
    begun: Option<Instant>,
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

impl How {
    fn word(self) -> &'static str {
        match self {
            How::Lent => "with the core lent",
            How::HandedOver => "handed over first",
            How::Coreless => "without a core",
        }
    }
}

/// What is measured of a call that runs with its core lent.
#[derive(Clone, Copy)]
enum Watch {
    /// Nothing.
    No,
    /// The time it takes. No system call: the path that does not block makes none.
    Wall(Instant),
    /// That, and how often the thread goes to sleep, at a site under suspicion.
    Full(Instant, u64),
}

impl Watch {
    #[inline]
    fn begin(habit: Habit, nth: u64) -> Watch {
        match habit {
            Habit::Stays if !nth.is_multiple_of(TIMED) => Watch::No,
            Habit::Stays | Habit::Doubtful => Watch::Wall(Instant::now()),
            Habit::Suspect | Habit::Loses => Watch::Full(Instant::now(), sleeps()),
        }
    }

    /// Tells the site what the call did: a computation is no block, however long, and neither is a
    /// wait for a CPU.
    #[inline]
    fn end(self, thread: &Thread<'_>, site: &'static Site) {
        let (Watch::Wall(start) | Watch::Full(start, _)) = self else { return };
        let lasted = start.elapsed();
        let long = lasted >= BLOCKED;
        if long {
            thread.log.called(site, recorder::How::Kept, start, lasted);
        }
        match self {
            Watch::No => {}
            Watch::Wall(_) => {
                site.learn(long);
                if long {
                    site.suspect();
                }
            }
            Watch::Full(_, before) => {
                let blocked = long && sleeps() > before;
                site.learn(blocked);
                if blocked {
                    site.warm();
                }
            }
        }
    }

    /// The same for a call on a thread that had no core to lose: what is learnt is for the profile.
    fn end_coreless(self, thread: &Thread<'_>, site: &'static Site) {
        let Watch::Wall(start) = self else { return };
        let lasted = start.elapsed();
        if lasted >= BLOCKED {
            thread.slot.coreless.note(site.id(), lasted);
            thread.log.called(site, recorder::How::Coreless, start, lasted);
        }
    }
}

/// Anything but the common case: the thread has no core, the call is to be watched, or the region
/// is to hand over first, or to run without a permit in sight.
#[cold]
#[inline(never)]
fn enter_slowly(thread: &Thread<'_>, site: &'static Site, pass: Pass, nth: u64) -> Kind {
    let begun = thread.traced.then(Instant::now);
    let special = |how, watch, _admission| Kind::Special(Special { how, watch, begun, _admission });
    let habit = site.habit();
    if thread.shared.turns.is_some() {
        replayed::before(thread, site, pass);
        return Kind::Plain;
    }
    if thread.is_coreless() {
        thread.poll.called_coreless.set(true);
        if habit < Habit::Suspect && !thread.traced {
            return Kind::Plain;
        }
        // For the profile and the timeline alone: there is no core to be saved.
        let watch = if habit < Habit::Suspect { Watch::No } else { Watch::Wall(Instant::now()) };
        return special(How::Coreless, watch, None);
    }
    let ticket = match pass {
        Pass::Unprotected(admission) => {
            thread.shared.counters.unprotected.fetch_add(1, Ordering::Relaxed);
            return special(How::Lent, Watch::No, Some(admission));
        }
        // Without a detector nothing is predicted either: only who says so hands over.
        Pass::Free if !thread.shared.detection.monitor => {
            return special(How::Lent, Watch::No, None);
        }
        Pass::Free if habit != Habit::Loses || is_sample(nth) => {
            if nth.is_multiple_of(TIMED) {
                site.cool();
            }
            thread.ring.on_call(site.record().is_warm());
            return special(How::Lent, Watch::begin(habit, nth), None);
        }
        Pass::Inline => return special(How::Lent, Watch::No, None),
        // A future that has moved to another runtime since brings a permit of the old one.
        Pass::Granted(waiting) => waiting.into_ticket_of(thread.shared),
        Pass::Free | Pass::WillBlock => None,
    };
    let handed_over = hand_over_first(thread, ticket);
    special(if handed_over { How::HandedOver } else { How::Lent }, Watch::No, None)
}

/// Whether the call runs the ordinary way though its site hands over first.
fn is_sample(nth: u64) -> bool {
    nth.is_multiple_of(SAMPLE)
}

fn hand_over_first(thread: &Thread<'_>, ticket: Option<Ticket>) -> bool {
    let Some((seat, seen)) = thread.lent() else { return false };
    let claim = Claim { seat, seen, observed: thread.id, cause: Cause::Predicted };
    let done = thread.shared.ask_pool(|pool, todo| {
        let done = pool.hand_over_first(ticket, claim, todo);
        if done {
            thread.lose();
        } else {
            // The claim is on the list, and good for this call only.
            thread.slot.suspicion.raise(Suspect::Stalled);
        }
        done
    });
    if !done {
        // The call is about to block, and a task that was just woken may be in this core's LIFO
        // slot.
        thread.shared.empty_lifo(seat);
    }
    done
}

impl Exit<'_, '_> {
    /// In place: to hand an exit from one to the other would copy it with each call.
    #[inline(always)]
    fn enter(&mut self, pass: Pass) {
        fail_point!("region-enter");
        let (thread, site) = (self.thread, self.site);
        thread.poll.in_region.set(true);
        thread.slot.site.set(Some(site));
        let nth = thread.slot.counts.add(site.id());
        let record = site.record();
        let common = record.habit() == Habit::Stays
            && (!record.is_warm() || thread.ring.is_settled())
            && !nth.is_multiple_of(TIMED)
            && matches!(pass, Pass::Free)
            && !thread.is_coreless()
            && !thread.traced;
        if !common {
            self.kind = enter_slowly(thread, site, pass, nth);
        }
    }
}

impl Drop for Exit<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        fail_point!("region-exit");
        self.thread.slot.site.set(None);
        self.thread.poll.in_region.set(false);
        if !matches!(self.kind, Kind::Common) || !self.thread.leave_region() {
            let kind = std::mem::replace(&mut self.kind, Kind::Common);
            leave_slowly(self.thread, self.site, kind);
        }
    }
}

#[cold]
#[inline(never)]
fn leave_slowly(thread: &Thread<'_>, site: &'static Site, kind: Kind) {
    if matches!(kind, Kind::Plain) || thread.is_forgotten() {
        // (A call with a core is none of those.)
        if thread.shared.turns.is_some() {
            replayed::after(thread, site);
        }
        return;
    }
    if let Kind::Special(special) = &kind {
        if let (Some(begun), Some(trace)) = (special.begun, &thread.shared.trace) {
            trace.call(thread.slot.tid.load(Ordering::Relaxed), site, begun, special.how.word());
        }
        match special.how {
            How::Coreless => return special.watch.end_coreless(thread, site),
            How::HandedOver => {}
            How::Lent if thread.leave_region() => {
                return special.watch.end(thread, site);
            }
            How::Lent => {}
        }
    }
    thread.poll.called_coreless.set(true);
    thread.ring.on_loss();
    record(thread, site);
    // A task that blocks again and again is better off staying where it is, on a thread of its own,
    // than taking a core only to lose it.
    if thread.poll.losses.get() == 1 && site.habit() != Habit::Loses {
        come_back(thread);
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
        Cause::Blocked => {
            site.learn(lasted >= WASTED);
            site.warm();
        }
        Cause::Predicted => site.learn(lasted >= BLOCKED),
        // The monitor has said so already.
        Cause::Hog => {}
        // The poll blocked before it came to this call; `Thread::lose` has noted it.
        Cause::Rescued => return,
    }
    shared.with_events(site.id(), |events| events.handed_over(holding.cause, lasted));
    thread.log.called(site, recorder::How::Lost(holding.cause), holding.since, lasted);
    let task = thread.slot.task.load(Ordering::Relaxed);
    event::handed_over(site, holding.cause, lasted, task);
}

/// The call is over and the core is gone: take an idle one, or go on without.
fn come_back(thread: &Thread<'_>) {
    let Some(sleeper) = thread.shared.idle.take_for_claim() else { return };
    let core = thread.claim(sleeper.seat);
    // Before it is lent: whoever took the core again would give this thread a second permit.
    thread.release_permit();
    fail_point!("come back");
    thread.lend(core);
    // The one that slept with this core has none now: it wakes to become a spare.
    thread.shared.wake_sleeper(sleeper);
    thread.shared.wake_monitor();
}
