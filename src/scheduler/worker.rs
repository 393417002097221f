//! What a thread with a core does: find a task, poll it, sleep when there is none.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::context::{HeldCore, Thread};
use crate::coop;
use crate::observe::polls::Polls;
use crate::primitive::failpoint::fail_point;
use crate::primitive::quietly;
use crate::protocol::core::NO_SLOT;
use crate::protocol::idle::Roused;
use crate::scheduler::held_up::HeldUp;
use crate::shared::Hook;
use crate::spawned::Runnable;

/// Every so many polls a worker looks at the injector, the timers and the I/O driver even though
/// its own queue is not empty. A prime, so that no regular pattern of tasks falls into step.
const INTERVAL: u32 = 61;

/// And every so often when polls are long.
const DRIVE_AFTER: Duration = Duration::from_micros(200);

/// How often the clock is asked for that, in polls.
const CLOCK: u32 = 8;

/// As how many polls a change of the thread counts towards the next such look.
const TURN: u32 = 10;

/// How long a thread that is to leave its core to a spare waits for that spare at a time.
const NO_SPARE_YET: Duration = Duration::from_micros(50);

/// How many tasks may have their turn between two polls of a root that was woken.
const ROOT_EVERY: usize = INTERVAL as usize;

/// How many tasks in a row may come from the LIFO slot, before the queue has its turn.
const LIFO_STREAK: u32 = 3;

/// In a seat's count of those: a timer, or a socket, has woken a task in this row, and there may be one
/// more.
const DRIVEN: u32 = 1 << 8;

/// The future of `block_on` in a current-thread runtime, polled between tasks.
pub(crate) trait Root {
    /// Whether it was woken and waits to be polled.
    fn is_woken(&self) -> bool;

    /// The same; it is to be polled then, and counts as woken no longer.
    fn take_wake(&self) -> bool;

    /// Polls it. `Break`: it has finished.
    fn poll(&mut self) -> ControlFlow<()>;
}

/// Runs tasks until the thread has no core any more, `root` has finished, or the runtime shuts
/// down. Afterwards the thread has no core.
pub(crate) fn run<'a>(thread: &Thread<'a>, core: HeldCore<'a>, mut root: Option<&mut dyn Root>) {
    thread.shared.wake_monitor();
    thread.set_home(root.is_some());
    let (mut worker, core) = Worker::begin(thread, core);
    let mut held = core;
    if thread.ring.has_left_watch() && !thread.shared.is_shutdown() {
        held = held.and_then(|core| worker.run_next(core, None));
        thread.ring.fill_watch();
    }
    while let Some(core) = held.take() {
        if thread.shared.is_shutdown() {
            held = Some(core);
            break;
        }
        let turn = root.as_deref_mut().filter(|root| worker.before_root == 0 && root.take_wake());
        let core = match turn {
            None => Some(core),
            Some(root) => {
                let (core, polled) = worker.poll_root(core, root);
                if polled.is_break() {
                    held = core;
                    break;
                }
                core
            }
        };
        held = core.and_then(|core| worker.run_next(core, root.as_deref()));
        if root.is_some() && thread.is_asked_to_leave() {
            held = held.and_then(|core| worker.leave_home(core));
        }
    }
    worker.end_search();
    thread.set_home(false);
    if let Some(core) = held {
        // The core goes back to nobody; what is queued stays with its seat.
        thread.ring.disarm();
        thread.park(core, NO_SLOT);
    }
}

/// What a thread has that does not sleep after all: its core, unless it was lost.
type Awake<'a> = Option<HeldCore<'a>>;

/// What a thread remembers from task to task while it has its core.
struct Worker<'t, 'a> {
    thread: &'t Thread<'a>,
    /// It counts as searching: a push that sees it wakes nobody.
    searching: bool,
    /// How many tasks were in line when the root was last polled, and have not had their turn.
    before_root: usize,
    /// When to look at timers and I/O.
    drive_at: Instant,
    /// It is time for what waits elsewhere.
    looks: bool,
    /// What it does for others' tasks while it has its own.
    held_up: HeldUp,
    /// Of the generator that picks whom to steal from.
    seed: u32,
}

impl<'t, 'a> Worker<'t, 'a> {
    /// A core that changes hands often would never get to its regular look at timers and I/O: a
    /// change counts as several polls, and timers that are due have their turn at once.
    fn begin(thread: &'t Thread<'a>, core: HeldCore<'a>) -> (Self, Option<HeldCore<'a>>) {
        let seat = core.seat();
        let tick = seat.tick.load(Ordering::Relaxed);
        let turn = (INTERVAL - 1 - tick % INTERVAL).min(TURN);
        seat.tick.store(tick.wrapping_add(turn), Ordering::Relaxed);
        let now = recently(thread);
        let seed = (thread.id ^ tick << 16).wrapping_mul(0x9E37_79B9) | 1;
        let held_up = HeldUp::new(core.index(), now);
        let (searching, before_root, looks) = (false, 0, false);
        let mut worker =
            Worker { thread, searching, before_root, drive_at: now, looks, held_up, seed };
        let mut ready = Vec::new();
        thread.shared.driver_handle.expire(now, &mut ready);
        let core = worker.wake_all(Some(core), ready);
        (worker, core)
    }

    /// Polls the root. Without a core, afterwards, it was lost.
    ///
    /// One that is woken again at once has its next turn behind the tasks that are in line now: it
    /// gives way to all of them when it yields, and not to the first alone.
    fn poll_root(
        &mut self,
        core: HeldCore<'a>,
        root: &mut dyn Root,
    ) -> (Option<HeldCore<'a>>, ControlFlow<()>) {
        // Should it block, nobody is to count on this seat's search.
        self.end_search();
        let (core, polled) = in_root_poll(self.thread, Some(core), root);
        if let Some(core) = &core {
            let waiting = core.seat().queue.len() + self.thread.shared.injector.len();
            self.before_root = waiting.min(ROOT_EVERY);
        }
        (core, polled)
    }

    /// A task is about to make a call, and a root waits for this thread: the core and its tasks go
    /// to a spare, and the root stays. It comes back if there is no spare yet.
    fn leave_home(&mut self, core: HeldCore<'a>) -> Option<HeldCore<'a>> {
        self.end_search();
        let core = self.thread.give_away(core)?;
        // The monitor makes one, or finds out that it cannot.
        self.thread.slot.parker.park(Some(NO_SPARE_YET));
        self.thread.log.lapse();
        Some(core)
    }

    /// The next task, or sleep if there is none.
    fn run_next(&mut self, core: HeldCore<'a>, root: Option<&dyn Root>) -> Option<HeldCore<'a>> {
        let seat = core.seat();
        let tick = seat.tick.load(Ordering::Relaxed).wrapping_add(1);
        seat.tick.store(tick, Ordering::Relaxed);
        let regular = tick.is_multiple_of(INTERVAL);
        let yields = self.thread.has_yielded() && self.is_alone(&core);
        let looks = regular || yields || self.is_drive_due(&core, tick);
        self.looks |= looks;
        let core = if looks { self.drive(core, Instant::now())? } else { core };
        match self.next_task(&core) {
            Some(task) => {
                self.end_search();
                self.before_root = self.before_root.saturating_sub(1);
                self.thread.ring.before_poll();
                run_task(self.thread, Some(core), task)
            }
            None if self.thread.shared.due.len() > 0 => self.wake_all(Some(core), Vec::new()),
            None => {
                self.before_root = 0;
                self.sleep(core, root)
            }
        }
    }

    /// What the user wants called before a sleep. It may have spawned something, or have lost the
    /// core.
    #[cold]
    fn before_sleep(&mut self, core: HeldCore<'a>, hook: &Hook) -> Result<HeldCore<'a>, Awake<'a>> {
        // Should it block, nobody is to count on this seat's search.
        self.end_search();
        let (core, ()) = in_poll(self.thread, Some(core), || quietly(|| hook()));
        match core {
            Some(core) if core.seat().lifo.is_empty() => Ok(core),
            core => Err(core),
        }
    }

    /// The task that was woken last, but for a streak of those; then, if it is time for that, what
    /// waits elsewhere, at a seat that is held up or in the injector. A share of it, and not one task:
    /// others may have put many there since the last look, and wait for each.
    fn next_task(&mut self, core: &HeldCore<'_>) -> Option<Runnable> {
        if let Some(task) = last_woken(core) {
            return Some(task);
        }
        let seat = core.seat();
        let first = if std::mem::take(&mut self.looks) { self.others_first(core) } else { None };
        first
            .or_else(|| seat.queue.pop())
            .or_else(|| seat.lifo.take())
            .or_else(|| injected(self.thread, core))
            .or_else(|| self.steal(core))
    }

    fn others_first(&mut self, core: &HeldCore<'_>) -> Option<Runnable> {
        let seats = &self.thread.shared.seats;
        // The clock was asked for the look that has just been.
        let now = self.drive_at - DRIVE_AFTER;
        let Some(task) = self.held_up.take(core, seats, now) else {
            return injected(self.thread, core);
        };
        count_steal(core);
        Some(task)
    }

    /// Whether what has yielded has nobody to give way to but a socket. With others in line it comes
    /// to the regular look soon enough, and the time is theirs.
    fn is_alone(&self, core: &HeldCore<'_>) -> bool {
        let seat = core.seat();
        seat.queue.len() <= 1
            && seat.lifo.is_empty()
            && self.thread.shared.driver_handle.has_poller()
    }

    /// Whether timers and I/O may have waited for long: the monitor says so, or the clock does,
    /// which is asked behind a poll that has spent much of its budget, and every few polls.
    fn is_drive_due(&self, core: &HeldCore<'_>, tick: u32) -> bool {
        let overdue = &core.seat().overdue;
        // Ordering: a hint, here and where it is set.
        if overdue.load(Ordering::Relaxed) {
            overdue.store(false, Ordering::Relaxed);
            return true;
        }
        let asks = tick.is_multiple_of(CLOCK) || self.thread.budget.was_busy();
        asks && recently(self.thread) >= self.drive_at
    }

    fn steal(&mut self, core: &HeldCore<'_>) -> Option<Runnable> {
        let shared = self.thread.shared;
        let seats = shared.seats.len();
        if seats == 1 {
            return None;
        }
        if !self.searching {
            if !shared.idle.start_search() {
                return None;
            }
            self.searching = true;
        }
        self.thread.log.lapse();
        let start = self.random() as usize % seats;
        let others = (0..seats).map(|nth| (start + nth) % seats).filter(|nth| *nth != core.index());
        for victim in others {
            let task = core.steal_from(&shared.seats[victim].queue);
            if task.is_some() {
                count_steal(core);
                return task;
            }
        }
        injected(self.thread, core)
    }

    /// A number that tells seats apart and moves on; quality does not matter.
    fn random(&mut self) -> u32 {
        // Marsaglia's xorshift, "Xorshift RNGs", 2003.
        let mut x = self.seed;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.seed = x;
        x
    }

    /// The search is over. The last to search wakes another in its place: a push that saw it
    /// searching has woken nobody.
    fn end_search(&mut self) {
        let shared = self.thread.shared;
        if std::mem::take(&mut self.searching) && shared.idle.end_search() && shared.any_work() {
            shared.notify();
        }
    }

    /// In passing: timers that are due, and I/O that is ready, if nobody else is at it.
    fn drive(&mut self, core: HeldCore<'a>, now: Instant) -> Option<HeldCore<'a>> {
        self.drive_at = now + DRIVE_AFTER;
        self.thread.log.looked(now);
        let mut ready = Vec::new();
        self.thread.shared.driver_handle.expire(now, &mut ready);
        if let Some(mut driver) = self.thread.shared.driver.try_lock() {
            // An error of the poller is one that the next sleep meets too, and waits out.
            let _ = driver.turn(Some(Duration::ZERO), &mut ready);
        }
        let core = self.wake_all(Some(core), ready);
        self.thread.log.lapse();
        core
    }

    /// Calls wakers: these, and those that are due, until there are none or the core is gone. They
    /// are foreign code: they run in a poll, with the core lent, if there is one.
    fn wake_all(&mut self, core: Option<HeldCore<'a>>, ready: Vec<Waker>) -> Option<HeldCore<'a>> {
        let (thread, shared) = (self.thread, self.thread.shared);
        if thread.watches && !ready.is_empty() {
            shared.driver_handle.take_late().inspect(|late| thread.log.was_late(*late));
        }
        let mut ready = ready.into_iter();
        // Several wait where everybody finds them: one may block.
        let alone = if ready.len() == 1 { ready.next() } else { None };
        shared.wake_soon(ready);
        if alone.is_none() && shared.due.len() == 0 {
            return core;
        }
        // Should one of them block, nobody is to count on this seat's search.
        self.end_search();
        if let Some(core) = &core {
            may_be_next(core);
        }
        let wake = |waker: Waker| quietly(|| waker.wake());
        let call = || {
            alone.into_iter().for_each(wake);
            while !thread.is_coreless() {
                let Some(waker) = shared.due.pop() else { break };
                wake(waker);
            }
        };
        in_poll(thread, core, call).0
    }

    /// Sleeps with the core until something happens; in the driver, if nobody else is there.
    fn sleep(&mut self, core: HeldCore<'a>, root: Option<&dyn Root>) -> Option<HeldCore<'a>> {
        let (thread, index) = (self.thread, core.index());
        let core = match &thread.shared.config.on_thread_park {
            None => core,
            Some(hook) => match self.before_sleep(core, hook) {
                Ok(core) => core,
                Err(awake) => return awake,
            },
        };
        let (shared, slot) = (thread.shared, thread.slot);
        let mut ready = Vec::new();
        thread.ring.on_sleep();
        let driver = shared.driver.try_lock();
        let searching = std::mem::take(&mut self.searching);
        thread.park(core, thread.id);
        fail_point!("announce");
        shared.idle.announce(index, thread.id, driver.is_some(), searching);
        // The second look of the idle protocol, behind its fence B.
        fail_point!("second look");
        let work = shared.any_work();
        let awake = work || shared.is_shutdown() || root.is_some_and(Root::is_woken);
        match driver.filter(|_| !awake) {
            Some(mut driver) => {
                let failed = slot.parker.enter_driver() && {
                    let is_quiet = || !shared.pool.is_anyone_coreless();
                    let result = driver.turn_or_jump(None, &mut ready, is_quiet);
                    slot.parker.leave_driver();
                    result.is_err()
                };
                if failed {
                    // Nothing the poller can refuse is for ever; do not spin on it.
                    slot.parker.park(Some(Duration::from_millis(1)));
                }
            }
            None if awake => {}
            None => {
                slot.parker.park(None);
            }
        }
        fail_point!("rouse");
        let core = self.rouse(index, work);
        if core.is_some() {
            shared.wake_monitor();
        }
        match &shared.config.on_thread_unpark {
            Some(hook) if core.is_some() => {
                self.end_search();
                // Where everybody finds them: the hook may block.
                shared.wake_soon(ready.into_iter());
                let core = in_poll(thread, core, || quietly(|| hook())).0;
                self.wake_all(core, Vec::new())
            }
            _ => self.wake_all(core, ready),
        }
    }

    /// Awake again: with the core of seat `index`, unless somebody has claimed it meanwhile.
    fn rouse(&mut self, index: usize, work: bool) -> Option<HeldCore<'a>> {
        let (thread, shared) = (self.thread, self.thread.shared);
        match shared.idle.rouse(thread.id) {
            Roused::Itself => {
                let core = thread.claim(index);
                if work {
                    // Not `start_search`: refused, it would come back here at once.
                    shared.idle.begin_search();
                    self.searching = true;
                }
                Some(core)
            }
            Roused::Notified => {
                self.searching = true;
                Some(thread.claim(index))
            }
            // What the second look has found is left to another: the one that claimed the core is
            // in the middle of a poll.
            Roused::Claimed => {
                shared.notify();
                None
            }
        }
    }
}

/// What time it is, or was just now: where polls are noted, the clock was asked then.
fn recently(thread: &Thread<'_>) -> Instant {
    if thread.watches { thread.log.last_look() } else { Instant::now() }
}

fn count_steal(core: &HeldCore<'_>) {
    let steals = &core.seat().steals;
    steals.store(steals.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// A timer or a socket is about to wake a task into the LIFO slot: it is the next, once in a row even if
/// the slot has had its share. The task that came first would wake another, and this one, at the end of
/// the queue, wait for all that are busy, and for each that blocks among them.
fn may_be_next(core: &HeldCore<'_>) {
    let streak = &core.seat().lifo_streak;
    // Ordering: Relaxed, here and below; only the holder of the core touches it.
    streak.store(streak.load(Ordering::Relaxed) | DRIVEN, Ordering::Relaxed);
}

/// From the LIFO slot, but not more often than a few times in a row while others wait.
fn last_woken(core: &HeldCore<'_>) -> Option<Runnable> {
    let seat = core.seat();
    let streak = seat.lifo_streak.load(Ordering::Relaxed);
    if streak % DRIVEN < LIFO_STREAK + streak / DRIVEN {
        if let Some(task) = seat.lifo.take() {
            seat.lifo_streak.store(streak + 1, Ordering::Relaxed);
            return Some(task);
        }
    }
    if streak > 0 {
        seat.lifo_streak.store(0, Ordering::Relaxed);
    }
    None
}

/// A fair share of the injector: one task to run, the rest into the seat's own queue.
fn injected(thread: &Thread<'_>, core: &HeldCore<'_>) -> Option<Runnable> {
    let injector = &thread.shared.injector;
    let share = (injector.len() / thread.shared.seats.len()).min(64);
    let mut refused = Vec::new();
    let task = injector.pop_batch(share, |task| {
        if let Err(task) = core.push(task) {
            refused.push(task);
        }
    });
    if !refused.is_empty() {
        injector.push_batch(refused.into_iter());
    }
    task
}

/// Polls a task, with the core if the thread has one.
pub(crate) fn run_task<'a>(
    thread: &Thread<'a>,
    core: Option<HeldCore<'a>>,
    task: Runnable,
) -> Option<HeldCore<'a>> {
    let header = task.header();
    thread.slot.task.store(header.id.number(), Ordering::Relaxed);
    thread.slot.spawned_at.set(Some(header.spawned_at));
    thread.poll.of_task.set(true);
    thread.poll.losses.set(0);
    thread.budget.begin();
    let (mut core, ()) = poll(thread, core, || run_one(thread, task));
    while let Some(task) = thread.take_again() {
        coop::spend(coop::CALL);
        (core, ()) = poll(thread, core, || run_one(thread, task));
    }
    thread.budget.end();
    thread.poll.of_task.set(false);
    thread.slot.spawned_at.set(None);
    thread.slot.task.store(0, Ordering::Relaxed);
    core
}

/// One poll of a task, by whichever thread, with a core or without.
#[inline]
fn run_one(thread: &Thread<'_>, task: Runnable) {
    if thread.watches { run_watched(thread, task) } else { run_quietly(task) }
}

/// The same where somebody wants to know of each: the one place for what is to be seen of polls.
#[cold]
fn run_watched(thread: &Thread<'_>, task: Runnable) {
    let (shared, log) = (thread.shared, &thread.log);
    let polls = || thread.slot.polls.get_or_init(Polls::new);
    let queued = shared.queued.as_ref();
    if let Some(waited) = queued.and_then(|queued| queued.leaves(task.header().id.number())) {
        polls().waits.note(waited);
    }
    let timed = shared.config.poll_times || log.is_on();
    let begun = timed.then(|| log.begin());
    run_quietly(task);
    // In a child of `fork`, a lock may be held by a thread that is not there.
    let Some(begun) = begun.filter(|_| !thread.is_forgotten()) else { return };
    let lasted = log.end(begun, thread.poll.losses.get());
    if shared.config.poll_times {
        polls().times.note(Duration::from_nanos(lasted));
    }
}

/// Nothing in a task's poll unwinds but foreign code at its edges, the drop of its metadata. It is
/// the task's loss, not the worker's.
fn run_quietly(task: Runnable) {
    quietly(|| task.run());
}

/// Polls a root, with the core lent if the thread has one. Returns the core if it has one then.
pub(crate) fn in_root_poll<'a>(
    thread: &Thread<'a>,
    core: Option<HeldCore<'a>>,
    root: &mut dyn Root,
) -> (Option<HeldCore<'a>>, ControlFlow<()>) {
    in_poll(thread, core, || {
        if !thread.log.is_on() {
            return root.poll();
        }
        // Where this is a call inside of a task's poll, that began long ago.
        thread.log.lapse();
        let begun = thread.log.begin();
        let polled = root.poll();
        // As in `run_watched`.
        if !thread.is_forgotten() {
            thread.log.end(begun, thread.poll.losses.get());
        }
        polled
    })
}

/// Runs user code with the core lent, if the thread has one. Returns the core if it has one then.
#[inline]
pub(crate) fn in_poll<'a, R>(
    thread: &Thread<'a>,
    core: Option<HeldCore<'a>>,
    f: impl FnOnce() -> R,
) -> (Option<HeldCore<'a>>, R) {
    thread.poll.losses.set(0);
    thread.budget.begin();
    let result = poll(thread, core, f);
    thread.budget.end();
    thread.log.lapse();
    result
}

#[inline]
fn poll<'a, R>(
    thread: &Thread<'a>,
    core: Option<HeldCore<'a>>,
    f: impl FnOnce() -> R,
) -> (Option<HeldCore<'a>>, R) {
    thread.poll.called_coreless.set(false);
    if let Some(core) = core {
        thread.lend(core);
    }
    fail_point!("lent");
    thread.poll.active.set(true);
    let result = coop::around(f);
    thread.poll.active.set(false);
    fail_point!("reclaim");
    (thread.reclaim(), result)
}
