//! The watcher: looks at polls that last long, for people. It changes nothing.
//!
//! It is there only if somebody wants to know: for a flight recorder, a bound on stalls, or a signal.
//! Threads note when their polls begin; the watcher looks at those that have not ended, asks the
//! kernel where their threads are, writes that into the recorder, and tells of those that last too
//! long. It sleeps in an `eventfd`, so that a signal handler can wake it; without an end while nobody
//! is awake and no poll runs, until the monitor, which is woken with the first seat, rouses it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::detect::probe;
use crate::observe::backtrace::Backtrace;
use crate::observe::recorder::{Pen, Seen};
use crate::observe::site::{Site, UNMARKED};
use crate::observe::stall::{Limit, Stall};
use crate::protocol::core::SlotId;
use crate::shared::slot::Slot;
use crate::shared::threads::Role;
use crate::shared::{Alarm, Shared};
use crate::sys::thread::tid;
use crate::sys::whereabouts::{self, Doing, Whereabouts};

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// A poll that has lasted for so long is looked at, and again when it has lasted for so many times as
/// long.
const LONG: Duration = Duration::from_millis(2);
const AGAIN: u32 = 4;

/// For a stall the recorder is written not more often.
const DUMP_PAUSE: Duration = Duration::from_secs(10);

/// The text of a call for which lasting long is no news.
const LASTS_BY_NATURE: &str = "spawn_blocking";

/// Starts the watcher of `shared`, which has what a watcher needs.
///
/// # Errors
///
/// What the operating system says of the thread.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    shared.start_thread(Role::Helper, "-watcher", None, |shared| {
        if let Some(alarm) = &shared.watched.alarm {
            Watcher::new(shared).run(alarm);
        }
    })
}

/// A poll that was looked at.
struct Long {
    /// When it began, by the slot's word for it.
    begun: u64,
    /// When it is looked at again, by how long it has lasted.
    next: Duration,
    told: bool,
}

struct Watcher<'a> {
    shared: &'a Shared,
    pen: Option<Pen<'a>>,
    long: HashMap<SlotId, Long>,
    limit: Limit,
    dumped: Option<Instant>,
    still: Still,
}

/// Whether anything is polled while tasks wait.
struct Still {
    ticks: u32,
    since: Instant,
    told: bool,
}

impl<'a> Watcher<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = Instant::now();
        Watcher {
            shared,
            pen: shared.watched.recorder.as_ref().map(|recorder| recorder.pen(tid())),
            long: HashMap::new(),
            limit: Limit::new(now),
            dumped: None,
            still: Still { ticks: 0, since: now, told: false },
        }
    }

    fn run(&mut self, alarm: &Alarm) {
        // Behind a filter that came later, a wait with a bound may be death: then nobody looks any more.
        while !self.shared.is_shutdown() && !probe::is_filtered_since() {
            if alarm.take_signal() {
                self.on_signal();
            }
            let runs = self.look_at_all();
            self.look_for_standstill();
            self.tell_rest();
            let busy = || !self.shared.nobody_awake() || self.shared.is_shutdown();
            let looks_again = runs || busy() || self.limit.untold() > 0;
            alarm.sleep(looks_again.then(|| self.pause()), busy);
        }
        self.tell_of(self.limit.untold());
    }

    /// Often enough for the bound that was set.
    fn pause(&self) -> Duration {
        let bound = self.shared.config.watch.stall_after.unwrap_or(LOOK * 4);
        (bound / 4).clamp(Duration::from_millis(1), LOOK)
    }

    /// Whether any poll runs.
    fn look_at_all(&mut self) -> bool {
        let shared = self.shared;
        let (mut runs, now) = (false, Instant::now());
        for (id, slot) in shared.slots.iter() {
            let begun = slot.begun.load(Ordering::Relaxed);
            let Some(since) = shared.began(slot).filter(|_| begun != 0) else { continue };
            runs = true;
            self.look(id, slot, begun, now.saturating_duration_since(since));
        }
        if !runs {
            self.long.clear();
        }
        runs
    }

    fn look(&mut self, id: SlotId, slot: &Slot, begun: u64, lasts: Duration) {
        let bound = self.shared.config.watch.stall_after;
        let first = bound.map_or(LONG, |bound| bound.min(LONG));
        if lasts < first {
            return;
        }
        let long = self.long.entry(id).or_insert(Long { begun, next: first, told: false });
        if long.begun != begun {
            *long = Long { begun, next: first, told: false };
        }
        if lasts < long.next {
            return;
        }
        let (site, spawned) = (slot.site.get(), slot.spawned_at.get());
        let (task, tid) = (slot.task.load(Ordering::Relaxed), slot.tid.load(Ordering::Relaxed));
        let found = whereabouts::of(tid);
        if slot.begun.load(Ordering::Relaxed) != begun {
            // What was found is of another poll.
            return;
        }
        long.next = lasts * AGAIN;
        // Where nobody says what it does, it is told all the same that it lasts.
        let Whereabouts { doing, channel } = found.unwrap_or_default();
        let by_nature = site.is_some_and(|site| site.text() == LASTS_BY_NATURE);
        let stalls = !long.told && !by_nature && bound.is_some_and(|bound| lasts >= bound);
        long.told |= stalls;
        if let Some(bound) = bound.filter(|_| !long.told && !by_nature) {
            long.next = long.next.min(bound);
        }
        let untold = if stalls { self.limit.say(Instant::now()) } else { None };
        let waits = doing != Doing::Running;
        let mut backtrace =
            untold.filter(|_| waits).map_or_else(Backtrace::default, |_| Backtrace::of(tid));
        if slot.begun.load(Ordering::Relaxed) != begun {
            backtrace = Backtrace::default();
        }
        if let Some(pen) = &self.pen {
            let place = site.or_else(|| spawned.map(|place| Site::at(place, UNMARKED)));
            let (channel, backtrace) = (channel.as_str(), &backtrace);
            pen.saw(Seen { tid, task, site: place, lasts, doing, channel, stalls, backtrace });
        }
        if stalls {
            let book = self.shared.watched.book.as_ref();
            if let Some(untold) = untold {
                let name =
                    book.and_then(|book| book.get(task)).map_or(String::new(), |k| k.name.into());
                let stack =
                    waits.then(|| whereabouts::kernel_stack(tid)).flatten().unwrap_or_default();
                self.shared.tell_of_stall(Stall {
                    site,
                    spawned,
                    task,
                    name,
                    lasts,
                    tid,
                    doing,
                    channel,
                    stack,
                    backtrace,
                    untold,
                });
            }
            self.dump_by_itself();
        }
    }

    /// Tasks wait, and nothing is polled.
    fn look_for_standstill(&mut self) {
        let Some(bound) = self.shared.config.watch.stall_after else { return };
        let ticks = |ticks: u32, seat: &crate::shared::Seat| {
            ticks.wrapping_add(seat.tick.load(Ordering::Relaxed))
        };
        let ticks = self.shared.seats.iter().fold(0, |sum, seat| ticks(sum, seat));
        let now = Instant::now();
        if ticks != self.still.ticks || !self.shared.any_work() {
            self.still = Still { ticks, since: now, told: false };
            return;
        }
        let lasts = now.saturating_duration_since(self.still.since);
        if lasts >= bound && !self.still.told {
            self.still.told = true;
            if self.limit.say(now).is_some() {
                self.shared.tell_of_standstill(lasts);
            }
            self.dump_by_itself();
        }
    }

    fn tell_rest(&mut self) {
        if let Some(untold) = self.limit.rest(Instant::now()) {
            self.tell_of(untold);
        }
    }

    fn tell_of(&self, untold: u64) {
        if untold > 0 {
            self.shared.tell(&format!("{untold} more polls or calls have lasted too long"));
        }
    }

    fn on_signal(&mut self) {
        let mut text = self.shared.tasks_in_words();
        if self.shared.watched.recorder.is_some() {
            text += &match self.dump() {
                Ok(path) => format!("  the flight recorder is in {}\n", path.display()),
                Err(error) => format!("  {error}\n"),
            };
        }
        self.shared.tell_lines(text);
    }

    /// Something lasts too long: the recorder says what came before, if that is wanted.
    fn dump_by_itself(&mut self) {
        let config = &self.shared.config.watch;
        if self.shared.watched.recorder.is_none() || config.directory.is_none() {
            return;
        }
        if self.dumped.is_some_and(|when| when.elapsed() < DUMP_PAUSE) {
            return;
        }
        let said = match self.dump() {
            Ok(path) => format!("the flight recorder is in {}", path.display()),
            Err(error) => error.to_string(),
        };
        self.dumped = Some(Instant::now());
        self.shared.tell(&said);
    }

    fn dump(&self) -> io::Result<PathBuf> {
        self.shared.dump_recorder_by_itself()
    }
}
