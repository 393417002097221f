//! The sentinel: learns from the kernel, at the moment it happens, that a thread went to sleep.
//!
//! It is a spare, the only one that does not wait to be chosen: it waits on the rings of all other
//! threads, and takes the core of one that blocks for itself. So a hand-off that it makes needs no
//! second thread to wake up: the CPU that falls free is the sentinel's, and it goes on there with
//! the core's tasks. Another spare is the sentinel then.
//!
//! A *watch* is the time that one thread is the sentinel; there is one at most (`protocol::watch`).
//! While there is none, edges wait in the epoll, and the monitor stands behind as always. A watch
//! that nobody keeps is found by every thread that waits as a spare, before it sleeps; who leaves it
//! wakes one of them, behind the first poll with the core that it has taken, or in that poll before a
//! call that may block (`context::ring`); and the monitor looks after both.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use crate::context::Thread;
use crate::detect::edges::{Asleep, Edges};
use crate::detect::probe;
use crate::detect::ring::Look;
use crate::protocol::Cause;
use crate::protocol::core::{SlotId, State, Suspect};
use crate::protocol::pool::{Claim, Retake};
use crate::shared::Shared;
use crate::shared::slot::Slot;
use crate::sys::thread::set_timer_slack;

/// From here on threads of `shared` open rings, and a spare watches them.
///
/// # Errors
///
/// What the operating system says. The runtime then does without.
pub(super) fn start(shared: &Shared) -> io::Result<()> {
    let edges = Arc::new(Edges::new()?);
    let _ = shared.edges.set(edges.clone());
    // Partner: the fence in `begin_shutdown`. Either whoever shuts down finds the rings, or the
    // watch is ended here.
    fence(Ordering::SeqCst);
    if shared.is_shutdown() {
        edges.stop();
    }
    Ok(())
}

/// By a thread that has no core, and is not on the list of spares: it is the sentinel until it has
/// taken a core for itself, or the runtime ends. `false`: another thread is.
pub(super) fn keep_watch(thread: &Thread<'_>) -> bool {
    let shared = thread.shared;
    let Some(edges) = shared.edges.get() else { return false };
    if !shared.watch.begin(thread.id) {
        return false;
    }
    thread.release_permit();
    let mut has_core = false;
    let mut bounded = false;
    while !has_core && !shared.is_shutdown() {
        let now = Instant::now();
        if let Some(poll) = edges.due(now) {
            has_core = look_again(shared, poll, thread.id);
            continue;
        }
        // A bounded wait is another system call than one without a bound, and behind a filter that came
        // later it may be death. Then the monitor looks once more.
        let bound = edges.until_due(now).filter(|_| !probe::is_filtered_since());
        if bound.is_some() && !std::mem::replace(&mut bounded, true) {
            set_timer_slack(1);
        }
        match edges.wait(bound) {
            Ok(None) => {}
            Ok(Some((slot, generation))) => {
                shared.counters.sentinel_wakeups.fetch_add(1, Ordering::Relaxed);
                has_core = look(shared, edges, (slot, generation), thread.id);
            }
            Err(error) => {
                let text = format!("the sentinel can wait no longer: {error}");
                let _ = shared.sentinel_failure.set(text);
                break;
            }
        }
    }
    if bounded {
        set_timer_slack(shared.timer_slack);
    }
    shared.watch.end();
    if has_core {
        // First the core's next task: to wake another thread takes longer than all that was done here.
        thread.ring.leave_watch();
    }
    true
}

/// An edge came from the thread in `id`: if it is blocked in a region, its core is retaken for the
/// sentinel, `me`. Whether it was. A poll without a region keeps its core for `rescue_after`, unless
/// all of them have slept for longer of late.
fn look(shared: &Shared, edges: &Edges, (id, generation): (SlotId, u64), me: SlotId) -> bool {
    let slot = shared.slots.get(id);
    if slot.generation.load(Ordering::Relaxed) != generation {
        return false;
    }
    let Some(seat) = slot.seat() else { return false };
    slot.suspicion.raise(Suspect::Sentinel);
    // The thief's order: the word, then the thread, then the swap of that same word.
    let seen = shared.pool.word(seat).load();
    let mut done = false;
    if seen.state() == State::Lent && seen.slot() == id && is_blocked(slot) {
        let claim = |cause| Claim { seat, seen, observed: id, cause };
        if slot.site.get().is_some() {
            done = shared.retake(claim(Cause::Blocked), Some(me)) == Retake::Done;
        } else if shared.config.rescue {
            let now = Instant::now();
            if shared.rescues.will_sleep_on() {
                shared.rescues.note(now);
                done = shared.retake(claim(Cause::Rescued), Some(me)) == Retake::Done;
            } else {
                let due = now + shared.config.rescue_after;
                edges.remember(Asleep { seat, seen, slot: id, generation, due });
            }
        }
    }
    slot.suspicion.settle(Suspect::Sentinel);
    done
}

/// An unmarked poll went to sleep a while ago. If it sleeps still, its core is retaken for the
/// sentinel, `me`. Whether it was.
fn look_again(shared: &Shared, poll: Asleep, me: SlotId) -> bool {
    let slot = shared.slots.get(poll.slot);
    if slot.generation.load(Ordering::Relaxed) != poll.generation {
        return false;
    }
    slot.suspicion.raise(Suspect::Sentinel);
    // The thief's order, as above. A word that has changed is another poll's, or of a call.
    let stands = shared.pool.word(poll.seat).load() == poll.seen;
    let mut done = false;
    let sleeps = stands && slot.site.get().is_none() && is_blocked(slot);
    shared.rescues.learn(sleeps);
    if sleeps {
        shared.rescues.note(Instant::now());
        let Asleep { seat, seen, slot: observed, .. } = poll;
        let claim = Claim { seat, seen, observed, cause: Cause::Rescued };
        done = shared.retake(claim, Some(me)) == Retake::Done;
    }
    slot.suspicion.settle(Suspect::Sentinel);
    if done {
        slot.note_sleep();
    }
    done
}

fn is_blocked(slot: &Slot) -> bool {
    let ring = slot.ring.lock().clone();
    ring.is_some_and(|ring| ring.look() == Look::Blocked)
}
