//! What a thread without a core does: wait for one, as a spare or as the sentinel, and retire when
//! none comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{sentinel, worker};
use crate::context::Thread;
use crate::primitive::failpoint::fail_point;
use crate::primitive::quietly;
use crate::protocol::core::{NO_SLOT, SlotId};
use crate::shared::Shared;
use crate::shared::leftover::{Accepted, drop_tasks};
use crate::shared::threads::Role;
use crate::sys;

/// Starts a thread that adopts the core retaken for it, and waits as a spare otherwise.
///
/// # Errors
///
/// What the operating system says; nothing has changed then, and `slot` is free again.
pub(crate) fn start(shared: &Arc<Shared>, slot: SlotId, coming: bool) -> io::Result<()> {
    let expected = &shared.counters.spares_coming;
    expected.fetch_add(usize::from(coming), Ordering::Relaxed);
    let stack_size = shared.config.stack_size;
    let body = move |shared: &Arc<Shared>| main(shared, slot, coming);
    shared.start_thread(Role::Runner, "", stack_size, body).inspect_err(|_| {
        expected.fetch_sub(usize::from(coming), Ordering::Relaxed);
        // A core that was meant for this thread is nobody's again, before the slot is another's.
        if let Some(seat) = shared.pool.taken_for(slot) {
            let word = shared.pool.word(seat);
            word.park(word.adopt(slot), NO_SLOT);
        }
        shared.slots.release(slot);
    })
}

/// One more spare. Failures are counted; the caller tries again later.
pub(crate) fn start_spare(shared: &Arc<Shared>) -> bool {
    let started = allocate(shared).and_then(|slot| start(shared, slot, true));
    is_started(shared, started)
}

fn allocate(shared: &Shared) -> io::Result<SlotId> {
    let slot = shared.slots.allocate();
    slot.ok_or_else(|| io::Error::other("the runtime's table of threads is full"))
}

/// Counts it if a thread could not be started, and keeps the reason.
fn is_started(shared: &Shared, started: io::Result<()>) -> bool {
    if let Err(error) = &started {
        shared.counters.spawn_failures.fetch_add(1, Ordering::Relaxed);
        *shared.spawn_failure.lock() = Some(error.to_string());
    }
    started.is_ok()
}

/// In a current-thread runtime whose core waits for a thread: a thread of its own takes it, for
/// good.
pub(crate) fn start_at_home(shared: &Arc<Shared>) {
    if !shared.config.current_thread || shared.is_shutdown() {
        return;
    }
    // Ordering: AcqRel. Partner: the Release in `go_home`, and the swap in `block_on`: one of all who
    // swap has the core.
    if !shared.at_home.swap(false, Ordering::AcqRel) {
        return;
    }
    let started = allocate(shared).and_then(|slot| {
        shared.pool.word(0).assign(slot);
        start(shared, slot, false)
    });
    if !is_started(shared, started) {
        shared.go_home();
    }
}

fn main(shared: &Arc<Shared>, id: SlotId, mut coming: bool) {
    let thread = Thread::new(shared, id);
    thread.slot.tid.store(sys::thread::tid(), Ordering::Relaxed);
    if let Some(trace) = &shared.trace {
        trace.thread(sys::thread::tid(), &shared.config.thread_name);
    }
    thread.install(|| {
        if let Some(hook) = &shared.config.on_thread_start {
            quietly(|| hook());
        }
        live(&thread, &mut coming);
        if shared.is_shutdown() {
            drop_tasks(shared, Accepted::Run);
        }
        if let Some(hook) = &shared.config.on_thread_stop {
            quietly(|| hook());
        }
    });
    thread.ring.close();
    // What the thread leaves in its slot is nothing the next one could take for its own.
    let _ = thread.slot.parker.park(Some(std::time::Duration::ZERO));
    shared.slots.release(id);
    arrived(shared, &mut coming);
}

/// A spare that was waited for is here (or gone again).
fn arrived(shared: &Shared, coming: &mut bool) {
    if std::mem::take(coming) {
        shared.counters.spares_coming.fetch_sub(1, Ordering::Relaxed);
    }
}

fn live(thread: &Thread<'_>, coming: &mut bool) {
    let mut listed = false;
    let keep_alive = Some(thread.shared.config.keep_alive);
    let mut patience = keep_alive;
    loop {
        if let Some(seat) = thread.shared.pool.taken_for(thread.id) {
            listed = false;
            let core = thread.adopt(seat);
            worker::run(thread, core, None);
            if thread.is_forgotten() {
                child_has_returned();
            }
        }
        let pool = &thread.shared.pool;
        let ends = thread.shared.is_shutdown();
        if ends && (!listed || pool.remove_spare(thread.id)) {
            thread.release_permit();
            return;
        }
        if thread.shared.wants_sentinel() && (!listed || withdraw(thread)) {
            listed = false;
            arrived(thread.shared, coming);
            if sentinel::keep_watch(thread) {
                continue;
            }
        }
        if !listed {
            fail_point!("add spare");
            listed = true;
            patience = keep_alive;
            thread.become_spare();
            arrived(thread.shared, coming);
            continue;
        }
        let woken = thread.slot.parker.park(patience);
        if !woken {
            if sys::thread::has_children() {
                // A child may have asked to die with the thread that started it.
                continue;
            }
            if pool.retire_spare(thread.id) {
                return;
            }
            // One of the few that stay, or a core is on its way: no need to ask again. Those that
            // come later have a patience of their own and go before it.
            patience = None;
        }
    }
}

/// Takes the thread off the list of spares, where another has its place then. `false`: a core is
/// already on its way to it.
fn withdraw(thread: &Thread<'_>) -> bool {
    thread.shared.ask_pool(|pool, todo| pool.withdraw_spare(thread.id, todo))
}

/// This is the only thread of a child of `fork`, and the poll in which it was made is over. There is
/// nothing more for it to do, and no lock that it could count on.
#[cold]
fn child_has_returned() -> ! {
    sys::stderr::write(
        b"threadlet: a child of `fork` has returned from the poll of the task that made it, and there is \
          no runtime here to go on: it ends (call `exec` or `_exit` in that poll)\n",
    );
    sys::exit::end_now(CHILD_HAS_RETURNED)
}

/// The status of such a child, as that of a panic.
const CHILD_HAS_RETURNED: i32 = 101;
