//! A runtime that a test replays: one thread at a time, in an order that its seed decides.
//! (`replayed_off` stands here without the feature `test-util`.)
//!
//! It has no core to hand over, no monitor and no detector. It has the *turn* (`shared::turns`): the
//! thread that has it runs, and all others sleep. A task is polled by a thread of the runtime's own, the
//! root future by the one in `block_on`. When a poll has ended, or comes to a call that the seed has
//! block, the thread chooses who is next, gives the turn to the thread that is to do it, and sleeps.
//! The thread in a call keeps its stack, as it does when a core is handed over; so whatever borrows may
//! block, and any of the blocked calls may be the next to go on.
//!
//! Time is the clock's, which stands: it jumps, when nobody is ready, to the first timer or the end of
//! the first call. If there is neither, somebody from outside has to come (a thread of the program's
//! own, a socket); if nobody does for [`OUTSIDE`], all wait for each other, and that is said.
//!
//! A thread that really waits in its turn, on a lock or a channel that another task is to release or to
//! fill, would wait for ever. One of the others finds it after [`PATIENCE`], by what the kernel says of
//! it, and takes its turn. It is *astray* then, until it comes to a place where it waits for a turn of its
//! own. Before somebody else is chosen all that are astray have to sleep or to be back: so one that was
//! let go on by a poll runs beside the rest of that poll, and beside nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::worker::run_task;
use crate::context::Thread;
use crate::primitive::quietly;
use crate::protocol::core::SlotId;
use crate::replay::{Place, What, enter};
use crate::shared::Shared;
use crate::shared::leftover::{Accepted, drop_tasks, wake_some};
use crate::shared::threads::Role;
use crate::shared::turns::{Call, Step, Turns};
use crate::sys;
use crate::sys::stat::futex_of;

/// For how long somebody from outside is waited for, where nothing else is left to happen.
const OUTSIDE: Duration = Duration::from_secs(1);

/// The same, while a thread is astray: what it waits for may be slow.
const OUTSIDE_ASTRAY: Duration = Duration::from_secs(10);

/// How long a thread waits for a lock or a channel before it is taken to wait for another task.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long one look at the sockets takes, while that goes on.
const LOOK: Duration = Duration::from_millis(1);

/// And how many there are at least: a process may be stopped for as long as it waits.
const LOOKS: u32 = 200;

/// After so many polls the time goes on by [`WORK`], though somebody was always ready: who asks for it
/// again and again is to see it pass.
const BUSY: u32 = 1000;

/// What so many polls take, by the clock.
const WORK: Duration = Duration::from_millis(1);

/// What a runtime that replays has.
fn turns(shared: &Shared) -> &Turns {
    shared.turns.get().expect("asked of a runtime that replays")
}

/// Starts what such a runtime needs: one thread, for tasks.
///
/// # Errors
///
/// What the operating system says of the thread.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let slot = shared.slots.allocate();
    let slot = slot.ok_or_else(|| io::Error::other("the runtime's table of threads is full"))?;
    // Before it is there: the turn waits for it.
    turns(shared).is_idle(slot);
    shared
        .start_thread(Role::Runner, "", shared.config.stack_size, move |shared| main(shared, slot))
        .inspect_err(|_| {
            turns(shared).is_gone(slot);
            shared.slots.release(slot);
        })
}

fn main(shared: &Arc<Shared>, slot: SlotId) {
    let thread = Thread::new(shared, slot);
    thread.slot.tid.store(sys::thread::tid(), Ordering::Relaxed);
    thread.install(|| {
        if let Some(hook) = &shared.config.on_thread_start {
            quietly(|| hook());
        }
        let entered = enter(turns(shared).decisions.clone());
        let mut step = wait(&thread);
        while let Step::Poll(task) = step {
            run_task(&thread, None, task);
            come_back(&thread);
            turns(shared).is_idle(slot);
            step = next(&thread);
        }
        drop(entered);
        if shared.is_shutdown() {
            drop_tasks(shared, Accepted::Run);
        }
        if let Some(hook) = &shared.config.on_thread_stop {
            quietly(|| hook());
        }
    });
    // What the thread leaves in its slot is nothing the next one could take for its own.
    let _ = thread.slot.parker.park(Some(Duration::ZERO));
    shared.slots.release(slot);
}

/// By the thread with the turn, which is on a list: chooses who is next, and sleeps until it is this
/// one.
pub(crate) fn next(thread: &Thread<'_>) -> Step {
    let (to, step) = choose(thread);
    if to == thread.id {
        return step;
    }
    turns(thread.shared).give(to, step);
    thread.shared.unpark(thread.shared.slots.get(to));
    wait(thread)
}

/// Until the turn is this thread's.
fn wait(thread: &Thread<'_>) -> Step {
    loop {
        let turns = turns(thread.shared);
        if let Some(step) = turns.take(thread.id) {
            return step;
        }
        if thread.slot.parker.park(Some(PATIENCE)) {
            continue;
        }
        let lingers = turns.lingers(thread.id, PATIENCE);
        let lingers = lingers.filter(|(holder, _)| really_waits(thread.shared, *holder));
        // The tasks need a thread beside that one.
        let can = lingers.is_some() && (turns.anyone_idle() || start(thread.shared).is_ok());
        if can && lingers.is_some_and(|lingers| turns.take_from(lingers, thread.id)) {
            return next(thread);
        }
    }
}

/// By a thread that goes on with its poll, or has ended it: one that is astray waits for its turn.
pub(crate) fn come_back(thread: &Thread<'_>) {
    if turns(thread.shared).comes_back(thread.id) {
        // It is on the list of those that go on, so it is given nothing else.
        let _back = wait(thread);
    }
}

/// Whether a thread waits for a lock or a channel, and is not just between two steps.
fn really_waits(shared: &Shared, slot: SlotId) -> bool {
    let tid = shared.slots.get(slot).tid.load(Ordering::Relaxed);
    let Some(first) = futex_of(tid) else { return false };
    std::thread::yield_now();
    futex_of(tid) == Some(first)
}

/// Those that are astray sleep, or are back.
fn settle(shared: &Shared) {
    while turns(shared).astray().iter().any(|slot| !really_waits(shared, *slot)) {
        std::thread::yield_now();
    }
}

fn choose(thread: &Thread<'_>) -> (SlotId, Step) {
    let (shared, turns) = (thread.shared, turns(thread.shared));
    let (mut nobody_since, mut looks) = (None, 0);
    turns.is_choosing(thread.id);
    loop {
        if turns.is_over() {
            return (thread.id, Step::Over);
        }
        settle(shared);
        collect(thread, Duration::ZERO);
        let driver = &shared.driver_handle;
        let mut ready = Vec::new();
        let polls = shared.seats[0].tick.fetch_add(1, Ordering::Relaxed);
        if polls >= BUSY && driver.move_clock(WORK, &mut ready).is_ok() {
            jumped(shared, std::mem::take(&mut ready));
        }
        if let Some(turn) = turns.choose(thread.id, driver.now()) {
            return turn;
        }
        if driver.jump_ahead(turns.first_back(), &mut ready) {
            jumped(shared, std::mem::take(&mut ready));
            continue;
        }
        let ends = shared.is_shutdown();
        let since: &mut Instant = nobody_since.get_or_insert_with(Instant::now);
        // A socket may be one of another program.
        let patience = if turns.astray().is_empty() { OUTSIDE } else { OUTSIDE_ASTRAY };
        let in_vain = since.elapsed() >= patience && looks >= LOOKS;
        if ends || (in_vain && !driver.has_poller()) {
            if let Some(turn) = turns.nobody() {
                if turns.astray().contains(&turn.0) {
                    // It will not hear of it.
                    eprintln!("threadlet: {}, and the test itself waits for a lock", stuck(shared));
                }
                return turn;
            }
        }
        collect(thread, LOOK);
        looks += 1;
    }
}

/// The clock has jumped, and so many are ready by that.
fn jumped(shared: &Shared, ready: Vec<Waker>) {
    shared.seats[0].tick.store(0, Ordering::Relaxed);
    let now = turns(shared).age(shared.driver_handle.now());
    turns(shared).decisions.note(What::Jump, now.as_nanos() as u64, 0, None);
    wake(ready);
}

/// Those that were woken since; sockets that are ready, for which it waits so long; wakers that are due.
fn collect(thread: &Thread<'_>, patience: Duration) {
    let shared = thread.shared;
    if shared.driver_handle.has_poller() || !patience.is_zero() {
        let mut ready = Vec::new();
        if let Some(mut driver) = shared.driver.try_lock() {
            // An error of the poller is one that the next look meets, too.
            let _ = driver.turn(Some(patience), &mut ready);
        }
        wake(ready);
    }
    while let Some(waker) = shared.due.pop() {
        quietly(|| waker.wake());
    }
    let mut woken = Vec::new();
    let first = shared.injector.pop_batch(usize::MAX, |task| woken.push(task));
    turns(shared).add_ready(first.into_iter().chain(woken));
}

/// How many calls may block at once, from here on.
pub(crate) fn set_cap(shared: &Shared, cap: usize) {
    if let Some(turns) = shared.turns.get() {
        wake(turns.set_cap(cap));
    }
}

/// By the thread with the turn. What they wake is collected later.
pub(crate) fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(|waker| quietly(|| waker.wake()));
}

/// In a poll: the others go on, until `pause` is over or `woken` is set. `false`: nobody will set it, for
/// all wait; or the runtime has been left to itself.
pub(crate) fn sleep_in_call(
    thread: &Thread<'_>,
    pause: Option<Duration>,
    woken: Option<&Arc<AtomicBool>>,
    place: Place,
) -> bool {
    let (shared, turns) = (thread.shared, turns(thread.shared));
    come_back(thread);
    // The tasks need a thread. Where none is to be had the call does not block.
    if !turns.anyone_idle() && start(shared).is_err() && pause.is_some() {
        return true;
    }
    let now = shared.driver_handle.now();
    let until = pause.and_then(|pause| now.checked_add(pause));
    turns.add_call(Call { slot: thread.id, until, woken: woken.cloned(), place });
    match next(thread) {
        Step::Back => true,
        Step::Stuck | Step::Over => pause.is_some(),
        Step::Poll(_) | Step::Root => unreachable!("a thread in a call is given no poll"),
    }
}

/// What is said when everybody waits for ever.
pub(crate) fn stuck(shared: &Shared) -> String {
    let alive = shared.owned.alive();
    let places = turns(shared).places().into_iter().flatten();
    let places: Vec<_> = places.map(|(file, line)| format!("{file}:{line}")).collect();
    let calls = if places.is_empty() {
        String::new()
    } else {
        format!("; calls that wait for ever: {}", places.join(", "))
    };
    let tasks = match alive {
        0 => "the test waits, its runtime has no task".to_owned(),
        1 => "the test waits, so does the one task of its runtime".to_owned(),
        _ => format!("the test waits, so do all {alive} tasks of its runtime"),
    };
    format!(
        "deadlock: {tasks}, and there is no timer, no call and no socket that could wake one of \
         them{calls}"
    )
}

/// By the thread that ends the runtime, when the end has begun: the calls that have started come to
/// their ends, tasks are dropped and accepted calls made, by turns.
pub(crate) fn finish(shared: &Arc<Shared>) {
    while wake_some(shared) {}
    if let Some(slot) = shared.slots.allocate() {
        let thread = Thread::new(shared, slot);
        thread.install(|| {
            let _entered = enter(turns(shared).decisions.clone());
            turns(shared).end_waits(slot);
            let step = next(&thread);
            debug_assert!(matches!(step, Step::Over), "it waits for nothing else");
        });
        shared.slots.release(slot);
    }
    abandon(shared);
}

/// Whoever sleeps goes on, without turns.
pub(crate) fn abandon(shared: &Shared) {
    turns(shared).end();
    for (_, slot) in shared.slots.iter() {
        shared.unpark(slot);
    }
}
