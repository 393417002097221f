//! A thread of a runtime: what it has, what it polls, and what it may go on with.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::budget::Budget;
use super::core::{CoreCell, HeldCore};
use super::log::Log;
use super::ring::ThreadRing;
use crate::coop;
use crate::observe::event;
use crate::observe::recorder::How;
use crate::observe::site::{Site, UNMARKED};
use crate::primitive::failpoint::fail_point;
use crate::protocol::Cause;
use crate::protocol::core::SlotId;
use crate::protocol::pool::{Claim, Holding};
use crate::shared::Shared;
use crate::shared::slot::Slot;
use crate::spawned::Runnable;

/// After so many budgets without a core a thread gives up its ring.
const RENEWALS_WITH_RING: u32 = 8;

thread_local! {
    static THREAD: Cell<*const Thread<'static>> = const { Cell::new(ptr::null()) };
}

/// A thread of a runtime. Everything in it is the thread's own: nobody else reads or writes it.
#[derive(Debug)]
pub(crate) struct Thread<'a> {
    /// The runtime. Never changes.
    pub(crate) shared: &'a Arc<Shared>,
    /// The thread's place in the runtime's table, by its number. Never changes.
    pub(crate) id: SlotId,
    /// That place, where others look. Never changes.
    pub(crate) slot: &'a Slot,
    /// The core it has, held or lent. Changed by the edges of its word (`context::core`).
    pub(super) core: CoreCell<'a>,
    /// What it holds instead: set when it finds its core gone, taken when it gives the permit back.
    permit: Cell<Option<Holding>>,
    /// What it is polling. Changed by the worker's poll and by a region's entry and exit.
    pub(crate) poll: Polling,
    /// How long the task may go on without a core. Renewed here.
    pub(crate) budget: Budget,
    /// The task it polls again at once. Put there when the task yields, taken by the worker.
    again: RefCell<Option<Runnable>>,
    /// Whether a root future waits for this thread. Set by the worker, and by tasks at the gate.
    home: Cell<Home>,
    /// Its ring. Opened and armed by what `context::ring` tells.
    pub(crate) ring: ThreadRing<'a>,
    /// There is a timeline: no call is so common that it goes unseen. Never changes.
    pub(crate) traced: bool,
    /// What it notes for those who want to know.
    pub(crate) log: Log<'a>,
    /// Each poll and each wake of a task is to be seen. Never changes.
    pub(crate) watches: bool,
    /// What a fork has to undo. Changed when the thread is installed, and in the child.
    family: Family,
}

/// What a thread is polling.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// A poll is under way.
    pub(crate) active: Cell<bool>,
    /// It is that of a task of the runtime, which is dropped when the runtime ends.
    pub(crate) of_task: Cell<bool>,
    /// In it, a call is under way.
    pub(crate) in_region: Cell<bool>,
    /// How often this poll has lost a core.
    pub(crate) losses: Cell<u32>,
    /// It has yielded, and the worker has not asked yet.
    pub(super) yielded: Cell<bool>,
    /// This poll has made a call without the core.
    pub(crate) called_coreless: Cell<bool>,
}

/// Whether a root future waits for a thread, beside its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Home {
    /// Nobody but tasks.
    #[default]
    No,
    /// A root, which is polled between them.
    Yes,
    /// The same, and a task is about to make a call: the core is to go elsewhere before.
    Leaving,
}

/// What a child of `fork` has to know.
#[derive(Debug)]
struct Family {
    /// This is the copy in a child: regions it was made in are still to be left.
    forgotten: Cell<bool>,
    /// What the thread was before it became this, in a `block_on` inside a task.
    outer: Cell<*const Thread<'static>>,
}

impl<'a> Thread<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, id: SlotId) -> Self {
        Thread {
            shared,
            id,
            slot: shared.slots.get(id),
            core: CoreCell::new(),
            permit: Cell::new(None),
            poll: Polling::default(),
            budget: Budget::default(),
            again: RefCell::new(None),
            home: Cell::new(Home::No),
            ring: ThreadRing::new(shared, id),
            traced: shared.trace.is_some(),
            log: Log::new(shared, shared.slots.get(id)),
            watches: shared.config.poll_times || shared.queued.is_some() || shared.watched.is_on(),
            family: Family { forgotten: Cell::new(false), outer: Cell::new(ptr::null()) },
        }
    }

    /// Makes this the calling thread's identity while `f` runs.
    pub(crate) fn install<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Restore<'t>(*const Thread<'static>, &'t Cell<bool>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                // In a child of `fork` the one outside is no more than this one.
                if !self.1.get() {
                    THREAD.set(self.0);
                }
            }
        }
        // The lifetime is erased here and bounded again in `with`, whose closure cannot let the
        // reference out; the guard puts the old value back before `self` can go.
        let outer = THREAD.replace(ptr::from_ref(self).cast());
        let _restore = Restore(outer, &self.family.forgotten);
        self.family.outer.set(outer);
        f()
    }

    /// What it holds instead of a core.
    pub(crate) fn holding(&self) -> Option<Holding> {
        self.permit.get()
    }

    /// Whether this is the copy in a child of `fork`.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.family.forgotten.get()
    }

    /// By the worker: whether a root future waits for this thread, too.
    pub(crate) fn set_home(&self, is_home: bool) {
        self.home.set(if is_home { Home::Yes } else { Home::No });
    }

    /// Whether what is polled is a task with the core of a thread that a root future waits for: no
    /// call is made here.
    #[inline]
    pub(crate) fn is_task_at_home(&self) -> bool {
        self.home.get() != Home::No && self.poll.of_task.get() && !self.is_coreless()
    }

    /// By a task that is about to make a call at home: it is not made here.
    pub(crate) fn ask_to_leave_home(&self) {
        self.home.set(Home::Leaving);
    }

    /// By the worker: whether a task has asked.
    pub(crate) fn is_asked_to_leave(&self) -> bool {
        let asked = self.home.get() == Home::Leaving;
        if asked {
            self.home.set(Home::Yes);
        }
        asked
    }

    /// Gives the core to a spare, and goes on without. The core comes back if there is no spare
    /// yet, or the runtime ends.
    pub(crate) fn give_away(&self, core: HeldCore<'a>) -> Option<HeldCore<'a>> {
        self.lend(core);
        let (seat, seen) = self.lent()?;
        let claim = Claim { seat, seen, observed: self.id, cause: Cause::Predicted };
        let done = self.shared.ask_pool(|pool, todo| {
            let done = pool.give_away(claim, todo);
            if done {
                self.lose();
            }
            done
        });
        if done {
            self.release_permit();
            return None;
        }
        self.reclaim()
    }

    /// A task yields on this thread, which has lost the core, after a call: the thread holds on to
    /// it, and polls it again as soon as this poll has returned, for as long as its budget lasts.
    /// The others have a core and a thread to run on, so they lose nothing; by way of the queue,
    /// this task would cost its next core a hand-off at its next call. Otherwise the task comes
    /// back.
    ///
    /// A task that was woken in its own poll is handed over as the last step of that, so between this
    /// and [`Thread::take_again`] no foreign code runs.
    pub(super) fn go_on_here(&self, task: Runnable) -> Option<Runnable> {
        let may_go_on = self.is_coreless()
            && self.poll.called_coreless.get()
            && self.home.get() == Home::No
            && !coop::is_spent()
            && !self.shared.pool.anyone_behind();
        if !may_go_on {
            return Some(task);
        }
        *self.again.borrow_mut() = Some(task);
        None
    }

    /// The task that goes on here.
    pub(crate) fn take_again(&self) -> Option<Runnable> {
        self.again.borrow_mut().take()
    }

    /// The budget is spent, at the gate: a task whose calls still block, and leave their CPU by
    /// that, may go on without a core.
    pub(crate) fn renew_budget(&self) -> bool {
        if !self.is_coreless() || self.shared.pool.anyone_behind() || self.home.get() != Home::No {
            return false;
        }
        let Some(renewals) = self.budget.renew() else { return false };
        if renewals == RENEWALS_WITH_RING {
            // An event costs each switch of its thread a little even while it is disabled.
            self.ring.close();
        }
        true
    }

    /// In a child of `fork`: the core, the permit and the ring are the parent's, and a lock may be
    /// held by a thread that was not copied. Only stores.
    fn forget(&self) {
        self.family.forgotten.set(true);
        self.core.forget();
        self.permit.set(None);
        self.ring.forget();
    }

    /// Notes that a thief was faster. The permit it took is this thread's from now on.
    #[cold]
    pub(crate) fn lose(&self) {
        fail_point!("lost");
        let seat = self.drop_core();
        self.poll.losses.set(self.poll.losses.get() + 1);
        self.budget.on_loss();
        let holding = self.shared.pool.holding(self.id);
        self.permit.set(Some(holding));
        if let Some(seat) = seat {
            self.trace_core(seat, Some((holding.cause, holding.since)));
        }
        if holding.cause == Cause::Rescued {
            self.note_rescue(holding.since);
        }
        self.ring.disarm();
    }

    /// A poll that had not said so blocked (or computed): that is put down to the place where its
    /// task was spawned.
    fn note_rescue(&self, since: Instant) {
        let Some(place) = self.slot.spawned_at.get() else { return };
        let (lasted, site) = (since.elapsed(), Site::at(place, UNMARKED));
        self.log.called(site, How::Lost(Cause::Rescued), since, lasted);
        // Ordering: Relaxed. Whoever took the core has said so before.
        let computed = self.slot.computes.load(Ordering::Relaxed);
        self.slot.computes.store(false, Ordering::Relaxed);
        self.shared.with_events(site.id(), |events| match computed {
            true => events.computed(lasted),
            false => events.handed_over(Cause::Rescued, lasted),
        });
        let task = self.slot.task.load(Ordering::Relaxed);
        event::handed_over(site, Cause::Rescued, lasted, task);
    }

    /// This poll is better off without a core, though none of its calls may be seen to block: it
    /// takes none when it comes back from the next.
    pub(crate) fn stay_coreless(&self) {
        self.poll.losses.set(self.poll.losses.get().max(2));
    }

    /// Gives the permit back; the thread has a core again, or ends.
    pub(crate) fn release_permit(&self) {
        if self.permit.take().is_some() {
            self.slot.speed_up();
            self.shared.ask_pool(|pool, todo| pool.release(self.id, todo));
            self.shared.driver_handle.somebody_rests();
        }
    }

    /// From here on the thread waits for a core, and gives back the permit it may hold.
    pub(crate) fn become_spare(&self) {
        if self.permit.take().is_some() {
            self.slot.speed_up();
        }
        self.shared.ask_pool(|pool, todo| pool.add_spare(self.id, todo));
        self.shared.driver_handle.somebody_rests();
    }
}

/// Runs `f` with the calling thread's identity, if it is a thread of a runtime.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Thread<'_>>) -> R) -> R {
    // Readable in a thread-local destructor too: the cell is constant and needs no drop.
    let thread = THREAD.get();
    // SAFETY: not null only inside `Thread::install`, on this thread; the value lives there, and
    // the closure cannot keep the reference.
    f(unsafe { thread.as_ref() })
}

/// In a child of `fork`: the calling thread, and whatever it was before it became that, is none of
/// ours any more.
pub(super) fn forget_all() {
    coop::forget();
    let mut thread = THREAD.replace(ptr::null());
    // SAFETY: as in `with`: not null only while the value lives, on this thread; and each was
    // installed while the one outside it lived.
    while let Some(inner) = unsafe { thread.as_ref() } {
        inner.forget();
        thread = inner.family.outer.get();
    }
}
