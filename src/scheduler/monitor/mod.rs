//! The monitor: finds blocked threads by looking, and does what needs doing once in a while.
//!
//! | module | what it knows |
//! |---|---|
//! | `state` | whether a thread sleeps |
//! | `seen` | what the last look at a seat saw |
//! | `look` | when a core is to be taken, by what is seen of its thread |
//! | this one | how often to look, and what else is to be done |
//!
//! It looks often while it finds something and ever more seldom while it does not, up to 10 ms; a
//! call that may well block, on a thread without a ring, ends a long pause. When every seat sleeps it
//! sleeps too, and the next seat to wake wakes it.

mod look;
mod seen;
mod state;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::look::{Found, Watch};
use super::{sentinel, spare};
use crate::detect::probe;
use crate::protocol::idle::DriverWatch;
use crate::shared::Shared;
use crate::shared::leftover::{Accepted, drop_tasks};
use crate::shared::threads::Role;

/// The pause between two looks while there is something to find. The kernel adds as much again.
const TICK: Duration = Duration::from_micros(20);

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

/// The longest pause while a core is awake and tasks are queued, or a poll computes that has not said
/// so (which is rescued after 10 ms). A look takes a CPU from a worker: one every millisecond costs
/// tasks that fight for a lock a twentieth of their speed, because now and then it stops the one that
/// holds it.
const TICK_BUSY: Duration = Duration::from_millis(4);

/// The longest pause while rescues are frequent and no ring tells of them. Without a bound each would
/// cost its core some milliseconds, more than 2,000 looks a second take from both.
const TICK_RESCUES: Duration = Duration::from_micros(500);

/// How often seats that are all busy are asked to look at timers and I/O, at most.
const DRIVE_AFTER: Duration = Duration::from_millis(1);

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
    // A size that cannot be had is an error of `build`, though the first spare may come much later.
    let stack_size = shared.config.stack_size.map(|size| size.max(STACK_MIN));
    shared.start_thread(Role::Helper, "-monitor", stack_size, |shared| {
        crate::sys::thread::set_timer_slack(1);
        Monitor {
            shared,
            watch: Watch::new(shared),
            quiet: QUIET_AT_FIRST,
            paused: Duration::ZERO,
            spawn_retry: None,
            behind: None,
            driven: Instant::now(),
        }
        .run();
    })
}

struct Monitor<'a> {
    shared: &'a Arc<Shared>,
    watch: Watch<'a>,
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
        // A runtime may live for less than it takes to make its spares. A block that finds none
        // rings.
        let _ = self.shared.monitor_sleep.sleep(FIRST_LOOK);
        while !self.shared.is_shutdown() {
            self.make_spares();
            self.begin_watch();
            let looks = self.shared.detection.monitor;
            let found = if looks { self.watch.look_at_all(self.paused) } else { Found::Nothing };
            self.shared.rescues.review(Instant::now());
            self.serve_stalled();
            self.shared.watched.rouse();
            self.watch_driver();
            self.pause(found);
        }
        self.drop_what_is_queued();
    }

    /// The runtime ends, and the monitor is nobody's any more. A thread may be in a call that waits
    /// for a task which is queued behind it; without a spare nobody else would drop that task.
    fn drop_what_is_queued(&self) {
        drop_tasks(self.shared, Accepted::Run);
    }

    /// Spares ahead of need; after a failure, again in a moment.
    fn make_spares(&mut self) {
        let now = Instant::now();
        if self.spawn_retry.is_some_and(|at| now < at) {
            return;
        }
        self.spawn_retry = None;
        // Who waits for the rings is none of those that wait to be chosen.
        let unwatched = self.shared.wants_sentinel() && !self.shared.call_sentinel();
        let wanted = self.shared.pool.spares_wanted() + usize::from(unwatched);
        let starting = self.shared.counters.spares_coming.load(Ordering::Relaxed);
        for _ in starting..wanted {
            if !spare::start_spare(self.shared) {
                self.spawn_retry = Some(now + Duration::from_millis(10));
                return;
            }
        }
    }

    /// What the sentinel waits on, once a thread wants to open a ring: many a runtime never comes to
    /// that.
    fn begin_watch(&self) {
        let shared = self.shared;
        let wanted = shared.counters.rings_wanted.load(Ordering::Relaxed) > 0;
        if !wanted || shared.edges.get().is_some() || shared.sentinel_failure.get().is_some() {
            return;
        }
        let started = if probe::has_more_filters() {
            Err(io::Error::other("a seccomp filter was put on later"))
        } else {
            sentinel::start(shared)
        };
        match started {
            // Without a spare the next round makes one.
            Ok(()) => _ = shared.call_sentinel(),
            // Refused later than at the probe: the monitor does it all.
            Err(error) => {
                let text = format!("the sentinel cannot be started: {error}");
                let _ = shared.sentinel_failure.set(text);
            }
        }
    }

    fn serve_stalled(&mut self) {
        if !self.shared.pool.anyone_behind() {
            self.behind = None;
            return;
        }
        self.shared.ask_pool(|pool, todo| {
            pool.look_again(todo);
            // The next round makes it, as soon as there is a thread to be had. To be rung for it would
            // be to have no pause until then.
            todo.want_spare = false;
        });
        let counts = self.shared.pool.counts();
        let progress = counts.releases;
        match self.behind {
            Some((since, then, reported)) if then == progress => {
                if since.elapsed() >= SATURATED && !reported {
                    self.behind = Some((since, progress, true));
                    self.shared.tell_of_saturation(&counts);
                }
            }
            _ => self.behind = Some((Instant::now(), progress, false)),
        }
    }

    /// While cores are busy and a seat sleeps, the one that sleeps belongs into the driver. While
    /// all are busy, with long polls perhaps, each looks at the driver behind the one it is in.
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
        let growth = self.quiet.saturating_sub(PATIENCE).min(10);
        let mut pause = (TICK * (1 << growth)).min(TICK_MAX);
        let waiting = self.shared.pool.anyone_behind() || self.spawn_retry.is_some();
        if found == Found::Suspect || waiting {
            pause = pause.min(TICK_SUSPECT);
        } else if pause > TICK_BUSY && (found == Found::Computes || self.shared.any_work()) {
            pause = TICK_BUSY;
        }
        let unheard = self.shared.rescues.are_frequent() && !self.shared.detection.perf;
        if unheard && !self.shared.nobody_awake() {
            pause = pause.min(TICK_RESCUES);
        }
        self.paused = pause;
        if !waiting && self.shared.nobody_awake() && pause == TICK_MAX {
            self.sleep_until_a_seat_wakes();
        } else {
            let ended = self.shared.monitor_sleep.sleep(pause);
            if ended {
                self.quiet = QUIET_AT_FIRST;
            }
        }
    }

    fn sleep_until_a_seat_wakes(&mut self) {
        let shared = self.shared;
        self.watch.forget();
        shared.monitor_sleep.sleep_while(|| shared.nobody_awake() && !shared.is_shutdown());
        self.quiet = QUIET_AT_FIRST;
    }
}
