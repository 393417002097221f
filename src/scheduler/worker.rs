//! What a thread with a core does: find a task, poll it, sleep when there is none.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::context::arming;
use crate::context::{BUDGET_WITH_CORE, Core, Thread};
use crate::primitive::failpoint::fail_point;
use crate::primitive::quietly;
use crate::protocol::core::NO_SLOT;
use crate::protocol::idle::Roused;
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

/// How many tasks in a row may come from the LIFO slot, before the queue has its turn.
const LIFO_STREAK: u32 = 3;

/// The future of `block_on` in a current-thread runtime, polled between tasks.
pub(crate) trait Root {
    /// Polls it if it was woken. `Break`: it has finished.
    fn poll_if_woken(&mut self, thread: &Thread<'_>) -> ControlFlow<()>;

    /// Whether it was woken and waits to be polled.
    fn is_woken(&self) -> bool;
}

/// Runs tasks until the thread has no core any more, `root` has finished, or the runtime shuts
/// down. Afterwards the thread has no core.
pub(crate) fn run(thread: &Thread<'_>, root: &mut Option<&mut dyn Root>) {
    thread.shared.wake_monitor();
    thread.keeps.set(root.is_none());
    begin_turn(thread);
    while !thread.is_coreless() {
        if thread.shared.is_shutdown() {
            break;
        }
        if let Some(root) = root {
            if root.poll_if_woken(thread).is_break() {
                break;
            }
            if thread.is_coreless() {
                break;
            }
        }
        match next_task(thread) {
            Some(task) => {
                end_search(thread);
                if thread.wants_ring.get() {
                    arming::open(thread);
                }
                run_task(thread, task);
            }
            None => sleep(thread, root.as_deref()),
        }
    }
    end_search(thread);
    if thread.core().is_some() {
        // The core goes back to nobody; what is queued stays with its seat.
        thread.disarm();
        thread.park_core(NO_SLOT);
    }
}

/// A core that changes hands often would never get to its regular look at timers and I/O: a change
/// counts as several polls, and timers that are due have their turn at once.
fn begin_turn(thread: &Thread<'_>) {
    let Some(core) = thread.core() else { return };
    let tick = core.seat.tick.load(Ordering::Relaxed);
    let turn = (INTERVAL - 1 - tick % INTERVAL).min(TURN);
    core.seat.tick.store(tick.wrapping_add(turn), Ordering::Relaxed);
    thread.budget.set(BUDGET_WITH_CORE);
    let mut ready = Vec::new();
    thread.shared.driver_handle.expire(Instant::now(), &mut ready);
    wake_all(thread, ready);
}

fn next_task(thread: &Thread<'_>) -> Option<Runnable> {
    let core = thread.core()?;
    let tick = core.seat.tick.load(Ordering::Relaxed).wrapping_add(1);
    core.seat.tick.store(tick, Ordering::Relaxed);
    let regular = tick % INTERVAL == 0;
    if regular || is_drive_due(thread, core, tick) {
        drive(thread, Instant::now());
        if thread.is_coreless() {
            return None;
        }
    }
    if regular {
        if let Some(task) = thread.shared.injector.pop() {
            return Some(task);
        }
    }
    // Asked again: in `drive` the thread may have lost one core and claimed another.
    let core = thread.core()?;
    own_task(thread, core).or_else(|| injected(thread, core)).or_else(|| steal(thread, core))
}

/// Whether timers and I/O may have waited for long: the monitor says so, or the clock does, which is
/// asked behind a poll that has made many calls, and every few polls.
fn is_drive_due(thread: &Thread<'_>, core: Core<'_>, tick: u32) -> bool {
    // Ordering: a hint, here and where it is set.
    if core.seat.overdue.load(Ordering::Relaxed) {
        core.seat.overdue.store(false, Ordering::Relaxed);
        return true;
    }
    let asks = tick.is_multiple_of(CLOCK) || thread.budget.get() <= BUDGET_WITH_CORE / 2;
    asks && Instant::now() >= thread.drive_at.get()
}

fn own_task(thread: &Thread<'_>, core: Core<'_>) -> Option<Runnable> {
    let streak = thread.lifo_streak.get();
    if streak < LIFO_STREAK {
        if let Some(task) = core.seat.lifo.take() {
            thread.lifo_streak.set(streak + 1);
            return Some(task);
        }
    }
    thread.lifo_streak.set(0);
    core.seat.queue.pop().or_else(|| core.seat.lifo.take())
}

/// A fair share of the injector: one task to run, the rest into the seat's own queue.
fn injected(thread: &Thread<'_>, core: Core<'_>) -> Option<Runnable> {
    let injector = &thread.shared.injector;
    let share = (injector.len() / thread.shared.seats.len()).min(64);
    let mut refused = Vec::new();
    let task = injector.pop_batch(share, |task| {
        // SAFETY: the thread holds the core: it is between polls.
        if let Err(task) = unsafe { core.seat.queue.push(task) } {
            refused.push(task);
        }
    });
    if !refused.is_empty() {
        injector.push_batch(refused.into_iter());
    }
    task
}

fn steal(thread: &Thread<'_>, core: Core<'_>) -> Option<Runnable> {
    let shared = thread.shared;
    if shared.seats.len() == 1 {
        return None;
    }
    if !thread.searching.get() {
        if !shared.idle.start_search() {
            return None;
        }
        thread.searching.set(true);
    }
    let seats = shared.seats.len();
    let start = random(thread) as usize % seats;
    for victim in (0..seats).map(|nth| (start + nth) % seats).filter(|nth| *nth != core.index) {
        // SAFETY: the thread holds its own core: it is between polls.
        let task = unsafe { shared.seats[victim].queue.steal_into(&core.seat.queue) };
        if task.is_some() {
            let steals = &core.seat.steals;
            steals.store(steals.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            return task;
        }
    }
    injected(thread, core)
}

/// A number that tells seats apart and moves on; quality does not matter.
fn random(thread: &Thread<'_>) -> u32 {
    // Marsaglia's xorshift, "Xorshift RNGs", 2003.
    let mut x = thread.seed.get();
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    thread.seed.set(x);
    x
}

/// The search is over. The last to search wakes another in its place: a push that saw it searching
/// has woken nobody.
pub(crate) fn end_search(thread: &Thread<'_>) {
    if thread.searching.replace(false)
        && thread.shared.idle.end_search()
        && thread.shared.any_work()
    {
        thread.shared.notify();
    }
}

fn run_task(thread: &Thread<'_>, task: Runnable) {
    let header = task.metadata();
    thread.slot.task.store(header.id.number(), Ordering::Relaxed);
    thread.slot.spawned_at.set(Some(header.spawned_at));
    thread.in_task.set(true);
    in_poll(thread, || run_quietly(task));
    while let Some(task) = thread.take_kept() {
        thread.budget.set(thread.budget.get().saturating_sub(1));
        poll(thread, || run_quietly(task));
    }
    thread.in_task.set(false);
    thread.slot.spawned_at.set(None);
    thread.slot.task.store(0, Ordering::Relaxed);
}

/// Nothing in a task's poll unwinds but foreign code at its edges, the drop of its metadata. It is the
/// task's loss, not the worker's.
fn run_quietly(task: Runnable) {
    quietly(|| {
        task.run();
    });
}

/// Runs user code with the core lent. Afterwards the thread holds its core, or has none.
pub(crate) fn in_poll<R>(thread: &Thread<'_>, f: impl FnOnce() -> R) -> R {
    thread.losses.set(0);
    thread.budget.set(BUDGET_WITH_CORE);
    poll(thread, f)
}

fn poll<R>(thread: &Thread<'_>, f: impl FnOnce() -> R) -> R {
    thread.glued.set(false);
    thread.lend();
    fail_point!("lent");
    thread.in_poll.set(true);
    let result = f();
    thread.in_poll.set(false);
    fail_point!("reclaim");
    thread.reclaim();
    result
}

/// In passing: timers that are due, and I/O that is ready, if nobody else is at it.
fn drive(thread: &Thread<'_>, now: Instant) {
    thread.drive_at.set(now + DRIVE_AFTER);
    let mut ready = Vec::new();
    thread.shared.driver_handle.expire(now, &mut ready);
    if let Some(mut driver) = thread.shared.driver.try_lock() {
        // An error of the poller is one that the next sleep meets too, and waits out.
        let _ = driver.turn(Some(Duration::ZERO), &mut ready);
    }
    wake_all(thread, ready);
}

/// Wakers are foreign code: they run with the core lent.
fn wake_all(thread: &Thread<'_>, ready: Vec<Waker>) {
    if !ready.is_empty() {
        // Should one of them block, nobody is to count on this seat's search.
        end_search(thread);
        in_poll(thread, || ready.into_iter().for_each(|waker| quietly(|| waker.wake())));
    }
}

/// Sleeps with the core until something happens; in the driver, if nobody else is there.
fn sleep(thread: &Thread<'_>, root: Option<&(dyn Root + '_)>) {
    let Some(core) = thread.core() else { return };
    let (shared, slot) = (thread.shared, thread.slot);
    let mut ready = Vec::new();
    arming::on_sleep(thread);
    let driver = shared.driver.try_lock();
    let searching = thread.searching.replace(false);
    thread.park_core(thread.id);
    fail_point!("announce");
    shared.idle.announce(core.index, thread.id, driver.is_some(), searching);
    // The second look of the idle protocol, behind its fence B.
    fail_point!("second look");
    let work = shared.any_work() && !cfg!(threadlet_break = "second-look");
    let awake = work || shared.is_shutdown() || root.is_some_and(Root::is_woken);
    match driver.filter(|_| !awake) {
        Some(mut driver) => {
            let failed = slot.parker.enter_driver() && {
                let result = driver.turn(None, &mut ready);
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
    match shared.idle.rouse(thread.id) {
        Roused::Itself => {
            thread.claim(core.index);
            if work {
                // Not `start_search`: refused, it would come back here at once.
                shared.idle.begin_search();
                thread.searching.set(true);
            }
        }
        Roused::Notified => {
            thread.searching.set(true);
            thread.claim(core.index);
        }
        // What the second look has found is left to another: the one that claimed the core is in
        // the middle of a poll.
        Roused::Claimed => shared.notify(),
    }
    if !thread.is_coreless() {
        shared.wake_monitor();
    }
    wake_all(thread, ready);
}
