//! The monitor: finds blocked threads by looking, and does what needs doing once in a while.
//!
//! A thread is blocked if its core's word is the same on two looks and then, for that suspect only,
//! its state says that it sleeps: from its ring if that is armed, else from
//! `/proc/self/task/TID/stat`. (The word alone would take a long computation for a block; the
//! thread's CPU clock would take a wait for a CPU for one.) The word is loaded before the state is
//! read, and the retake compares with that same word: a thread that has moved on is never robbed.
//! So the second look is for economy, not for safety; after a long pause, when a state costs little
//! beside the wait for another look, the first one is enough for a region.
//!
//! | what it sees, with the same word | for at least | then |
//! |---|---|---|
//! | a region, asleep | a second look | handed over: blocked |
//! | a region, running | `hog_after` | handed over: hog |
//! | a poll outside any region, asleep | `rescue_after` | handed over: rescued |
//! | a poll outside any region, running | 10 ms | handed over: rescued |
//!
//! It looks often while it finds something and ever more seldom while it does not, up to 10 ms;
//! when every seat sleeps it sleeps too, and the next seat to wake wakes it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::core::{SlotId, State, Word};
use super::idle::DriverWatch;
use super::pool::{Cause, Claim, Retake, Todo};
use super::shared::Shared;
use super::threads::Vital;
use super::{sentinel, spare};
use crate::detect::ring::Look;
use crate::failpoint::fail_point;
use crate::slot::Slot;
use crate::sys::stat::ThreadStat;
use crate::sys::thread::cpu_time_of;

/// The pause between two looks while there is something to find. The kernel adds as much again.
const TICK: Duration = Duration::from_micros(20);

/// The same where the sentinel finds blocked regions, and only the rest is the monitor's.
const TICK_BESIDE_PERF: Duration = Duration::from_micros(100);

/// Looks without a find before the pause begins to grow.
const PATIENCE: u32 = 64;

/// Where a seat has just woken, nothing speaks for a block yet: the first pauses are eight times
/// the shortest. Sixty-four of the shortest, at every burst of work, would cost each burst of a
/// millisecond a quarter of its speed; the first block after a quiet time is found in about a
/// millisecond all the same.
const QUIET_AT_FIRST: u32 = PATIENCE + 3;

/// The pause before the first look, and before the first spares are made.
const FIRST_LOOK: Duration = Duration::from_micros(500);

/// The longest pause while a core is awake.
const TICK_MAX: Duration = Duration::from_millis(10);

/// The longest pause while a thread is under suspicion: it is to be caught at `hog_after` and not
/// long behind.
const TICK_SUSPECT: Duration = Duration::from_micros(250);

/// The longest pause while a core is awake and tasks are queued. A look takes a CPU from a worker:
/// one every millisecond costs tasks that fight for a lock a twentieth of their speed, because now
/// and then it stops the one that holds it.
const TICK_BUSY: Duration = Duration::from_millis(4);

/// A pause so long that reading a thread's state at the first look costs nothing beside it.
const LONG: Duration = Duration::from_micros(400);

/// A poll that did not say so may compute for so long.
const UNMARKED_HOG: Duration = Duration::from_millis(10);

/// No permit released for so long while calls wait: worth a report.
const SATURATED: Duration = Duration::from_secs(1);

/// What the monitor's own code and a hook need of a stack, whatever the workers may do with.
const STACK_MIN: usize = 256 * 1024;

/// Starts the monitor of `shared`.
///
/// # Errors
///
/// What the operating system says of the thread.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let mine = shared.clone();
    shared.threads.starting(false);
    let mut builder =
        std::thread::Builder::new().name(format!("{}-monitor", shared.config.thread_name));
    // A size that cannot be had is an error of `build`, though the first spare may come much later.
    if let Some(size) = shared.config.stack_size {
        builder = builder.stack_size(size.max(STACK_MIN));
    }
    let spawned = builder.spawn(move || {
        let _vital = Vital;
        crate::sys::thread::set_timer_slack(1);
        let looks = mine.seats.iter().map(|_| LookedAt::default()).collect();
        let (stats, quiet) = (HashMap::new(), QUIET_AT_FIRST);
        let (spawn_retry, behind, paused) = (None, None, Duration::ZERO);
        Monitor { shared: &mine, looks, stats, quiet, paused, spawn_retry, behind }.run();
        super::shutdown::helper_ends(&mine);
    });
    match spawned {
        Ok(handle) => shared.threads.started(handle),
        Err(error) => {
            shared.threads.ended(false);
            return Err(error);
        }
    }
    Ok(())
}

/// What the last look at a seat saw.
#[derive(Default)]
struct LookedAt {
    word: Option<Word>,
    in_region: bool,
    since: Option<Instant>,
    /// The thread's CPU time when it came under suspicion.
    cpu: Option<Duration>,
    /// Claimed already and now on the stalled list: nothing more to be done here.
    claimed: bool,
}

/// What one look led to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Suspect,
    Blocked,
}

struct Monitor<'a> {
    shared: &'a Arc<Shared>,
    looks: Vec<LookedAt>,
    stats: HashMap<SlotId, (i32, ThreadStat)>,
    /// Looks in a row that led to nothing.
    quiet: u32,
    /// The last pause.
    paused: Duration,
    spawn_retry: Option<Instant>,
    /// Since when calls have waited, with how many hand-offs then.
    behind: Option<(Instant, u64)>,
}

impl Monitor<'_> {
    fn run(&mut self) {
        // A runtime may live for less than it takes to make its spares. A block that finds none rings.
        self.shared.vigil.sleep(FIRST_LOOK);
        while !self.shared.is_shutdown() {
            self.make_spares();
            self.make_sentinel();
            let found =
                if self.shared.detection.monitor { self.look_at_all() } else { Found::Nothing };
            self.serve_stalled();
            self.watch_driver();
            self.pause(found);
        }
    }

    fn look_at_all(&mut self) -> Found {
        let now = Instant::now();
        let mut found = Found::Nothing;
        for seat in 0..self.looks.len() {
            match self.look(seat, now) {
                Found::Blocked => found = Found::Blocked,
                Found::Suspect if found == Found::Nothing => found = Found::Suspect,
                _ => {}
            }
        }
        found
    }

    fn look(&mut self, seat: usize, now: Instant) -> Found {
        let word = self.shared.pool.word(seat).load();
        let looked = &mut self.looks[seat];
        if word.state() != State::Lent {
            looked.word = None;
            return Found::Nothing;
        }
        let slot = self.shared.slots.get(word.slot());
        let in_region = slot.site.get().is_some();
        if looked.word != Some(word) || looked.in_region != in_region {
            let fresh = LookedAt::default();
            *looked = LookedAt { word: Some(word), in_region, since: Some(now), ..fresh };
            if !in_region || self.paused < LONG {
                return Found::Nothing;
            }
        }
        let looked = &self.looks[seat];
        if looked.claimed {
            return Found::Nothing;
        }
        let since = now.saturating_duration_since(looked.since.unwrap_or(now));
        let first = since.is_zero();
        let Some(cause) = self.verdict(seat, slot, in_region, since) else {
            return if first { Found::Nothing } else { Found::Suspect };
        };
        let hog = cause == Cause::Hog;
        if hog {
            // Now, not when it returns: others of its kind may start meanwhile.
            slot.site.get().inspect(|site| site.learn_hog());
            slot.mark_slow();
        }
        fail_point!("observed");
        let claim = Claim { seat, seen: word, observed: word.slot(), cause };
        let retake = self.shared.retake(claim);
        if hog && retake == Retake::Done && self.shared.unfiltered {
            slot.slow_down();
        } else if hog {
            slot.unmark_slow();
        }
        match retake {
            Retake::Stale => Found::Nothing,
            Retake::Done => Found::Blocked,
            Retake::NoPermit | Retake::NoSpare => {
                self.looks[seat].claimed = true;
                Found::Blocked
            }
        }
    }

    /// Why the core of `seat`, lent with the same word for `since`, should be taken, if it should.
    fn verdict(
        &mut self,
        seat: usize,
        slot: &Slot,
        in_region: bool,
        since: Duration,
    ) -> Option<Cause> {
        let config = &self.shared.config;
        if !in_region && (!config.rescue || since < config.rescue_after) {
            return None;
        }
        let (asleep, computes, patience) = match in_region {
            true => (Cause::Blocked, Cause::Hog, config.hog_after),
            false => (Cause::Rescued, Cause::Rescued, UNMARKED_HOG),
        };
        let id = self.looks[seat].word?.slot();
        if self.is_asleep(id, slot) {
            return Some(asleep);
        }
        (self.computes(seat, slot, patience) && since >= patience).then_some(computes)
    }

    /// Whether the suspect has used its CPU for the better part of `patience`. A thread that others
    /// keep from its CPU is no hog: what it waits for, a spare would have to wait for as well.
    fn computes(&mut self, seat: usize, slot: &Slot, patience: Duration) -> bool {
        let Some(now) = cpu_time_of(slot.tid.load(Ordering::Relaxed)) else { return true };
        let start = *self.looks[seat].cpu.get_or_insert(now);
        now.saturating_sub(start) >= patience / 2
    }

    fn is_asleep(&mut self, id: SlotId, slot: &Slot) -> bool {
        if slot.armed.load(Ordering::Relaxed) {
            let ring = slot.ring.lock().clone();
            match ring.map(|ring| ring.look()) {
                Some(Look::Blocked) => return true,
                Some(Look::Running | Look::Preempted) => return false,
                Some(Look::Silent) | None => {}
            }
        }
        let tid = slot.tid.load(Ordering::Relaxed);
        let known = self.stats.get(&id).is_some_and(|(of, _)| *of == tid);
        if !known {
            match ThreadStat::open(tid) {
                Ok(stat) => drop(self.stats.insert(id, (tid, stat))),
                // Without `/proc` a block looks like a computation: it is a hog a little later.
                Err(_) => return false,
            }
        }
        let state = self.stats[&id].1.state();
        if state.is_err() {
            self.stats.remove(&id);
        }
        state.is_ok_and(|letter| letter != b'R')
    }

    /// Spares ahead of need; after a failure, again in a moment.
    fn make_spares(&mut self) {
        let now = Instant::now();
        if self.spawn_retry.is_some_and(|at| now < at) {
            return;
        }
        self.spawn_retry = None;
        let wanted = self.shared.pool.spares_wanted();
        let starting = self.shared.counters.spares_coming.load(Ordering::Relaxed);
        for _ in starting..wanted {
            if !spare::start_spare(self.shared) {
                self.spawn_retry = Some(now + Duration::from_millis(10));
                return;
            }
        }
    }

    /// The sentinel, once a thread wants to open a ring: many a runtime never comes to that.
    fn make_sentinel(&self) {
        let shared = self.shared;
        let wanted = shared.counters.rings_wanted.load(Ordering::Relaxed) > 0;
        if !wanted || shared.sentinel.get().is_some() || shared.sentinel_failure.get().is_some() {
            return;
        }
        if let Err(error) = sentinel::start(shared) {
            // Refused later than at the probe: the monitor does it all.
            let _ = shared.sentinel_failure.set(format!("the sentinel cannot be started: {error}"));
        }
    }

    fn serve_stalled(&mut self) {
        if !self.shared.pool.anyone_behind() {
            self.behind = None;
            return;
        }
        let mut todo = Todo::default();
        self.shared.pool.look_again(&mut todo);
        self.shared.carry_out(todo);
        let counts = self.shared.pool.counts();
        let progress = counts.releases;
        match self.behind {
            Some((since, then)) if then == progress => {
                if since.elapsed() >= SATURATED {
                    self.behind = Some((Instant::now(), progress));
                    self.shared.report_saturation(&counts);
                }
            }
            _ => self.behind = Some((Instant::now(), progress)),
        }
    }

    /// While cores are busy and a seat sleeps, the one that sleeps belongs into the driver.
    fn watch_driver(&self) {
        if self.shared.idle.all_awake() || self.shared.idle.all_asleep() {
            return;
        }
        if let DriverWatch::Send(sleeper) = self.shared.idle.driver_watch() {
            self.shared.wake_sleeper(sleeper);
        }
    }

    fn pause(&mut self, found: Found) {
        self.quiet = if found == Found::Blocked { 0 } else { self.quiet.saturating_add(1) };
        let tick = if self.shared.detection.perf { TICK_BESIDE_PERF } else { TICK };
        let growth = self.quiet.saturating_sub(PATIENCE).min(10);
        let mut pause = (tick * (1 << growth)).min(TICK_MAX);
        let waiting = self.shared.pool.anyone_behind() || self.spawn_retry.is_some();
        if found == Found::Suspect || waiting {
            pause = pause.min(TICK_SUSPECT);
        } else if pause > TICK_BUSY && self.shared.any_work() {
            pause = TICK_BUSY;
        }
        self.paused = pause;
        if !waiting && self.shared.nobody_awake() && pause == TICK_MAX {
            self.sleep_until_a_seat_wakes();
        } else {
            self.shared.vigil.sleep(pause);
        }
    }

    fn sleep_until_a_seat_wakes(&mut self) {
        let shared = self.shared;
        shared.vigil.sleep_while(|| shared.nobody_awake() && !shared.is_shutdown());
        self.quiet = QUIET_AT_FIRST;
    }
}
