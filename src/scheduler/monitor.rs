//! The monitor: finds blocked threads by looking, and does what needs doing once in a while.
//!
//! A thread is blocked if its core's word is the same on two looks and then, for that suspect only,
//! its state says that it sleeps: from its ring if that is armed, else from
//! `/proc/self/task/TID/stat`. (The word alone would take a long computation for a block; the
//! thread's CPU clock would take a wait for a CPU for one.) The word is loaded before the state is
//! read, and the retake compares with that same word: a thread that has moved on is never robbed.
//! So the second look is for economy, not for safety; after a long pause, when a state costs little
//! beside the wait for another look, the first one is enough for a region, and for a poll it is enough
//! to look again soon.
//!
//! A computation need not leave the word alone: each task that it wakes or spawns changes it, and
//! each call that ends. There the same call, or the same poll, on two looks is what counts.
//!
//! | what it sees | for at least | then |
//! |---|---|---|
//! | a region, asleep, the word the same | a second look | handed over: blocked |
//! | a poll outside any region, asleep, the word the same | `rescue_after` | handed over: rescued |
//! | a call, running, the call the same | `hog_after` | handed over: hog |
//! | a poll, running, the poll the same | 10 ms | handed over: rescued |
//!
//! It looks often while it finds something and ever more seldom while it does not, up to 10 ms;
//! when every seat sleeps it sleeps too, and the next seat to wake wakes it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::core::{SlotId, State, Suspect, Word};
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

/// How often the core of such a poll is tried to be taken while its word keeps changing.
const LONG_TRIES: u32 = 4;

/// How often seats that are all busy are asked to look at timers and I/O, at most.
const DRIVE_AFTER: Duration = Duration::from_millis(1);

/// No permit released for so long while calls wait: worth a report.
const SATURATED: Duration = Duration::from_secs(1);

/// How many states are kept open for the next look.
const STATS_KEPT: usize = 64;

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
        let _vital = Vital::begin();
        crate::sys::thread::set_timer_slack(1);
        let looks = mine.seats.iter().map(|_| LookedAt::default()).collect();
        let (stats, quiet) = (HashMap::new(), QUIET_AT_FIRST);
        let (spawn_retry, behind, paused) = (None, None, Duration::ZERO);
        let driven = Instant::now();
        Monitor { shared: &mine, looks, stats, quiet, paused, spawn_retry, behind, driven }.run();
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
    /// Claimed already and now on the stalled list: nothing more to be done here.
    claimed: bool,
    /// The poll, and the call in it. A poll that spawns, or makes many calls, changes the word all
    /// the time, and may be a long one all the same.
    poll: Span<(SlotId, u32)>,
    call: Span<Call>,
    /// The poll whose core was taken because it computes for long.
    long: Option<(SlotId, u32)>,
    /// Not before this is such a poll claimed again: there was no permit, or no spare.
    long_again: Option<Instant>,
}

/// A call that is under way: the thread, the site, and how many calls of it the thread had made.
type Call = (SlotId, u32, u64);

fn call_of(id: SlotId, slot: &Slot) -> Option<Call> {
    slot.site.get().map(|site| (id, site.id(), slot.counts.get(site.id())))
}

/// Something that goes on from look to look.
struct Span<K> {
    key: Option<K>,
    since: Instant,
    /// The CPU time of its thread when it came under suspicion.
    cpu: Option<Duration>,
}

impl<K> Default for Span<K> {
    fn default() -> Self {
        Span { key: None, since: Instant::now(), cpu: None }
    }
}

impl<K: PartialEq> Span<K> {
    /// Seen at `now`; whether it was there at the last look.
    fn see(&mut self, key: Option<K>, now: Instant) -> bool {
        let again = key.is_some() && self.key == key;
        if !again {
            *self = Span { key, since: now, cpu: None };
        }
        again
    }

    /// Whether it has lasted for `patience`, and its thread has used its CPU for the better part of
    /// that. A thread that others keep from its CPU is no hog: what it waits for, a spare would have to
    /// wait for as well.
    fn computes(&mut self, slot: &Slot, now: Instant, patience: Duration) -> bool {
        let Some(cpu) = cpu_time_of(slot.tid.load(Ordering::Relaxed)) else {
            return now.saturating_duration_since(self.since) >= patience;
        };
        let used = cpu.saturating_sub(*self.cpu.get_or_insert(cpu));
        now.saturating_duration_since(self.since) >= patience && used >= patience / 2
    }
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
    /// Since when calls have waited, with how many permits returned then, and whether that has been
    /// reported.
    behind: Option<(Instant, u64, bool)>,
    /// When all seats were last asked to look at the driver.
    driven: Instant,
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
        let known = looked.word == Some(word);
        if word.state() != State::Lent {
            looked.word = Some(word);
            if known && word.state() == State::Taken {
                // Whoever retook the core has not woken the spare yet. The sentinel may have lost its
                // CPU to others in between, for as long as they like.
                self.shared.unpark(self.shared.slots.get(word.slot()));
            }
            return Found::Nothing;
        }
        let slot = self.shared.slots.get(word.slot());
        let call = call_of(word.slot(), slot);
        let in_region = call.is_some();
        let tick = self.shared.seats[seat].tick.load(Ordering::Relaxed);
        let poll_known = looked.poll.see(Some((word.slot(), tick)), now);
        let call_known = looked.call.see(call, now);
        if poll_known || call_known {
            if let Some(cause) = self.long(seat, slot, now) {
                return self.take_long(seat, word, cause);
            }
        }
        let looked = &mut self.looks[seat];
        let known = known && looked.in_region == in_region && (call_known || !in_region);
        if !known {
            looked.word = Some(word);
            looked.in_region = in_region;
            looked.since = Some(now);
            looked.claimed = false;
            if self.paused < LONG {
                return if poll_known { Found::Suspect } else { Found::Nothing };
            }
            if !in_region {
                // To be seen asleep once more, and soon: at the next look after such a pause it would be
                // another poll.
                let suspect = self.shared.config.rescue && self.is_asleep(word.slot(), slot);
                return if suspect || poll_known { Found::Suspect } else { Found::Nothing };
            }
        }
        if looked.claimed {
            return Found::Nothing;
        }
        let since = now.saturating_duration_since(looked.since.unwrap_or(now));
        slot.suspicion.raise(Suspect::Monitor);
        let found = self.take_blocked(seat, word, call, since);
        slot.suspicion.settle(Suspect::Monitor);
        match found {
            Some(found) => found,
            None if known => Found::Suspect,
            None => Found::Nothing,
        }
    }

    /// The core is taken if its thread, under suspicion from here on, sleeps. `None`: it does not.
    fn take_blocked(
        &mut self,
        seat: usize,
        word: Word,
        call: Option<Call>,
        since: Duration,
    ) -> Option<Found> {
        let slot = self.shared.slots.get(word.slot());
        // Seen before anybody knew of a suspicion: once more.
        let moved =
            self.shared.pool.word(seat).load() != word || call_of(word.slot(), slot) != call;
        if moved {
            return None;
        }
        let cause = self.blocked(slot, word.slot(), call.is_some(), since)?;
        Some(self.claim(seat, Claim { seat, seen: word, observed: word.slot(), cause }))
    }

    /// Why the core, lent with the same word for `since` by the thread in `id`, should be taken, if
    /// that thread sleeps.
    fn blocked(
        &mut self,
        slot: &Slot,
        id: SlotId,
        in_region: bool,
        since: Duration,
    ) -> Option<Cause> {
        let config = &self.shared.config;
        if !in_region && (!config.rescue || since < config.rescue_after) {
            return None;
        }
        let cause = if in_region { Cause::Blocked } else { Cause::Rescued };
        self.is_asleep(id, slot).then_some(cause)
    }

    /// Why the core should be taken, if the call has computed for `hog_after`, or the poll for the
    /// time that it may without saying so.
    fn long(&mut self, seat: usize, slot: &Slot, now: Instant) -> Option<Cause> {
        let config = &self.shared.config;
        let looked = &mut self.looks[seat];
        let taken = looked.long.is_some() && looked.long == looked.poll.key;
        if taken || looked.long_again.is_some_and(|at| now < at) {
            return None;
        }
        if looked.call.key.is_some() && looked.call.computes(slot, now, config.hog_after) {
            return Some(Cause::Hog);
        }
        let long = config.rescue && looked.poll.computes(slot, now, UNMARKED_HOG);
        long.then_some(Cause::Rescued)
    }

    /// A poll that computes for long, with or without saying so: its word may have changed since it
    /// was loaded, and that is no reason to let it go.
    fn take_long(&mut self, seat: usize, mut word: Word, cause: Cause) -> Found {
        let shared = self.shared;
        let LookedAt { poll, call, .. } = &self.looks[seat];
        let (poll, call) = (poll.key, call.key);
        let slot = shared.slots.get(word.slot());
        let hog = cause == Cause::Hog;
        let mut found = Found::Suspect;
        slot.suspicion.raise(Suspect::Monitor);
        for attempt in 0..LONG_TRIES {
            if hog && call_of(word.slot(), slot) != call {
                // It has left that call, before it could know of the suspicion.
                break;
            }
            if hog && attempt == 0 {
                // Now, not when it returns: others of its kind may start meanwhile.
                slot.site.get().inspect(|site| site.learn_hog());
                slot.mark_slow();
            }
            let claim = Claim { seat, seen: word, observed: word.slot(), cause };
            found = self.claim(seat, claim);
            word = shared.pool.word(seat).load();
            let tick = shared.seats[seat].tick.load(Ordering::Relaxed);
            if found != Found::Suspect
                || word.state() != State::Lent
                || Some((word.slot(), tick)) != poll
            {
                break;
            }
        }
        slot.suspicion.settle(Suspect::Monitor);
        let taken = found == Found::Blocked && !self.looks[seat].claimed;
        if taken {
            self.looks[seat].long = poll;
        } else if found == Found::Blocked {
            // The claim stands until the poll changes its word. Then there is to be another.
            self.looks[seat].long_again = Some(Instant::now() + TICK_BUSY);
        }
        if hog && taken && shared.unfiltered {
            slot.slow_down();
        } else if hog {
            slot.unmark_slow();
        }
        found
    }

    /// `Suspect`: the thread has moved on since.
    fn claim(&mut self, seat: usize, claim: Claim) -> Found {
        fail_point!("observed");
        let retake = self.shared.retake(claim);
        let looked = &mut self.looks[seat];
        looked.claimed = matches!(retake, Retake::NoPermit | Retake::NoSpare);
        if retake == Retake::Stale { Found::Suspect } else { Found::Blocked }
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
            if self.stats.len() >= STATS_KEPT {
                // Each is an open file. Those that are needed again are opened again.
                self.stats.clear();
            }
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
            Some((since, then, reported)) if then == progress => {
                if since.elapsed() >= SATURATED && !reported {
                    self.behind = Some((since, progress, true));
                    self.shared.report_saturation(&counts);
                }
            }
            _ => self.behind = Some((Instant::now(), progress, false)),
        }
    }

    /// While cores are busy and a seat sleeps, the one that sleeps belongs into the driver. While all
    /// are busy, with long polls perhaps, each looks at the driver behind the one it is in.
    fn watch_driver(&mut self) {
        if self.shared.idle.all_awake() {
            let now = Instant::now();
            if now.saturating_duration_since(self.driven) >= DRIVE_AFTER {
                self.driven = now;
                self.shared.seats.iter().for_each(|s| s.overdue.store(true, Ordering::Relaxed));
            }
            return;
        }
        if self.shared.idle.all_asleep() {
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
