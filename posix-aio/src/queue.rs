//! Requests that the kernel's own queue has, and who takes out what it has finished.
//!
//! It is for reads and writes of files with `O_DIRECT`: those neither fit into memory nor need a
//! thread, which is two switches a request. Whoever *leads* waits in the kernel and takes out: a
//! thread in `aio_suspend` whose requests are all in the queue, without any other thread; or the
//! *keeper* (`keep.rs`), on behalf of those who cannot. And `aio_error` takes out what is there.
//!
//! # Taking out
//!
//! is done in signal handlers too, so it neither locks nor allocates: it writes the result, rings
//! the bells, and puts the request on a stack. From there it leaves the table before the next
//! request is made, or when the keeper looks; whoever wants to be told is told then. What the
//! queue has not done whole (it would have had to wait, or the file ends there) is for a thread.
//!
//! # Nobody sleeps on what is finished
//!
//! * *A leader* waits for requests that only a leader can finish, and there is one at a time. It
//!   looks at them whenever it has taken something out.
//! * *A follower* has its bell rung as ever, by whoever finishes its request. That the leader goes
//!   meanwhile, it cannot miss: it registers, and then looks whether somebody leads; the leader
//!   gives up the lead, and then looks who has registered, and has one of them lead; if none can,
//!   it calls the keeper if there is a hurry. Between the two steps of either stands a fence. One that
//!   was to lead may have its own result by then: who leaves looks whether somebody leads, too.
//! * *Nobody waits* (they look again and again, or not at all): the keeper takes out what stands
//!   there, a millisecond late at most. In a hurry (somebody wants to be told, closes, or waits for
//!   something that is not in the queue as well) it leads.
//! * *A leader is held up*, in a signal handler that does not return, or leaves it by a jump: what
//!   stands there for ten looks of the keeper's, the keeper takes out. No leader has an event in its
//!   hands that it has not finished, as signals are blocked meanwhile. One that comes back later
//!   sleeps for ten milliseconds at most before it looks.

use std::sync::OnceLock;

use crate::generation;
use crate::hints::{DIRECT_READS, DIRECT_WRITES};
use crate::primitive::{Arc, AtomicBool, AtomicU32, AtomicUsize, Ordering, full_fence, weakened};
use crate::request::{Request, Submission};
use crate::suspend;
use crate::sys::{self, KernelQueue, Quiet, Stack, Transfer, Waited};

/// How many requests it holds.
const SIZE: u32 = 256;

/// So many events are always worth to be taken out.
const MANY: u32 = 8;
/// And fewer at each so-manieth look of those who look often.
const LOOKS_FOR_ONE: u32 = 64;

/// There is no keeper.
const NONE: u32 = 0;
/// It looks each millisecond.
const LOOKS: u32 = 1;
/// It sleeps, as nothing is in the queue.
const SLEEPS: u32 = 2;
/// It was called, and looks at once.
const CALLED: u32 = 3;
/// Somebody is starting it, and may fail.
const STARTS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Queue {
    kernel: OnceLock<Option<KernelQueue<Request>>>,
    /// How many requests the kernel has.
    in_flight: AtomicUsize,
    /// Whether somebody leads.
    led: AtomicBool,
    /// Those that were taken out, and are in the table yet.
    taken: Stack<Request>,
    /// How many there are who cannot take out what they wait for.
    hurried: AtomicUsize,
    /// What the keeper does.
    keeper: AtomicU32,
    /// How often somebody has looked who looks often.
    looks: AtomicU32,
    /// Which process it is of. A child that was forked in a signal handler comes back to what the
    /// handler has interrupted, and shares the kernel's ring with its parent.
    generation: u32,
}

/// What [`Queue::submit`] did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// The kernel has it.
    Taken,
    Refused,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue {
            kernel: OnceLock::new(),
            in_flight: AtomicUsize::new(0),
            led: AtomicBool::new(false),
            taken: Stack::new(),
            hurried: AtomicUsize::new(0),
            keeper: AtomicU32::new(NONE),
            looks: AtomicU32::new(0),
            generation: generation::current(),
        }
    }

    /// It is made by the first request for it.
    fn make(&self) -> Option<&KernelQueue<Request>> {
        let make = || if sys::wants_threads() { None } else { KernelQueue::new(SIZE) };
        self.kernel.get_or_init(make).as_ref()
    }

    fn kernel(&self) -> Option<&KernelQueue<Request>> {
        self.kernel.get()?.as_ref()
    }

    /// Gives the kernel a request that was begun. `start` starts a keeper, and says whether it
    /// could.
    pub(crate) fn submit(&self, request: &Arc<Request>, start: impl FnOnce() -> bool) -> Submitted {
        let Submission { cb, buffer, done, at: Some(at), .. } = request.submission else {
            return Submitted::Refused;
        };
        let Some(kernel) = self.make() else { return Submitted::Refused };
        // Ordering: Relaxed, in front of the fence. Partner: the fence in `keeper_changes`.
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        full_fence!("q-count-fence");
        let transfer = Transfer { fd: request.fd, writes: request.is_write(), buffer, done, at };
        cb.set_queued(true);
        let submitted = self.is_kept(start) && self.try_submit(kernel, transfer, request);
        if submitted {
            return Submitted::Taken;
        }
        // Until now only we know of it.
        cb.set_queued(false);
        self.one_less();
        Submitted::Refused
    }

    fn try_submit(
        &self,
        kernel: &KernelQueue<Request>,
        transfer: Transfer,
        request: &Arc<Request>,
    ) -> bool {
        match kernel.submit(transfer, request.clone()) {
            Ok(()) => true,
            // It is full, and will not stay so.
            Err(libc::EAGAIN) => false,
            Err(_) => {
                refused(request);
                false
            }
        }
    }

    fn one_less(&self) {
        // Ordering: Release. Partner: the load in `is_at_rest`; what was taken is on the stack.
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    /// Whether the kernel has requests.
    pub(crate) fn any_in_flight(&self) -> bool {
        // Ordering: Relaxed, a hint; behind a fence where it matters.
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Those that were taken out since the last call.
    pub(crate) fn taken(&self) -> Vec<Arc<Request>> {
        self.taken.take()
    }

    /// Becomes the leader, if there is none.
    pub(crate) fn lead(&self) -> Option<Lead<'_>> {
        let kernel = self.kernel()?;
        // Ordering: Acquire. Partner: the store in `drop`, so that one leads after the other. If it
        // fails, Relaxed: somebody else leads, and nothing is read on the strength of that.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        self.led.compare_exchange(false, true, acquire, relaxed).ok()?;
        // Made only now: dropping it gives the lead up.
        Some(Lead { queue: self, kernel, is_keepers: false })
    }

    /// The same for the keeper, which leads again and again: it is to [pass on](Self::pass_on) the
    /// lead when it does not any more.
    pub(crate) fn lead_as_keeper(&self) -> Option<Lead<'_>> {
        let mut lead = self.lead()?;
        lead.is_keepers = true;
        Some(lead)
    }

    /// For a follower, behind the fence at which it has registered.
    pub(crate) fn is_led(&self) -> bool {
        // Ordering: Relaxed, behind that fence. Partner: the store in front of the fence in `drop`.
        self.led.load(Ordering::Relaxed)
    }

    /// Takes out what is there, if nobody leads.
    pub(crate) fn look(&self) {
        if self.kernel().is_some_and(KernelQueue::any) {
            if let Some(lead) = self.lead() {
                lead.take_out();
            }
        }
    }

    /// The same for one that looks often: to block the signals for each single event would be dear.
    pub(crate) fn look_often(&self) {
        let count = self.kernel().map_or(0, KernelQueue::count);
        // Ordering: Relaxed, without a partner: a count of looks, of which some may be lost.
        let looks = self.looks.load(Ordering::Relaxed);
        if count >= MANY || (count > 0 && looks.is_multiple_of(LOOKS_FOR_ONE)) {
            self.look();
        }
        if count > 0 {
            self.looks.store(looks.wrapping_add(1), Ordering::Relaxed);
        }
    }

    fn take_out(&self, kernel: &KernelQueue<Request>) {
        if kernel.any() && self.generation == generation::current() {
            self.take_out_quietly(kernel, &Quiet::new());
        }
    }

    fn take_out_quietly(&self, kernel: &KernelQueue<Request>, quiet: &Quiet) {
        let mut calls = false;
        kernel.take(quiet, |request, result| calls |= self.is_left(request, result));
        if calls || self.is_hurried() {
            self.call_keeper();
        }
    }

    /// What the kernel has made of a request. Whether something is left to be done. (It is called
    /// with signals blocked, and in signal handlers.)
    fn is_left(&self, request: Arc<Request>, result: i64) -> bool {
        let Submission { cb, buffer, done, .. } = request.submission;
        let brought = usize::try_from(result).ok().filter(|brought| *brought <= buffer.len - done);
        let whole = brought.is_some_and(|brought| done + brought == buffer.len);
        if whole {
            // First: whoever sees the result may make another request of the control block.
            request.stage.end();
            cb.finish(Ok(buffer.len));
        } else {
            request.more.store(brought.unwrap_or(0), Ordering::Relaxed);
            cb.set_queued(false);
            if brought.is_none() {
                refused(&request);
            }
        }
        let address = request.address();
        self.taken.push(request);
        self.one_less();
        if whole {
            suspend::finished(address);
        }
        !whole
    }

    /// Nobody leads any more: one who follows is to, or the keeper if there is a hurry.
    pub(crate) fn pass_on(&self) {
        // Partner: fence W, in `suspend.rs`: either the follower sees that nobody leads, or it is
        // seen to follow.
        full_fence!("q-pass-fence");
        if !suspend::pass_on() && self.is_hurried() && self.any_in_flight() {
            self.call_keeper();
        }
    }

    /// One that could lead waits no more, and its bell is another's: it may have been rung to lead, and
    /// for its own request as well.
    pub(crate) fn follower_leaves(&self) {
        // Partner: the fence in `pass_on`: either whoever gives the lead up sees that this one does not
        // wait, or it is seen here that nobody leads.
        full_fence!("q-leave-fence");
        if !self.is_led() && self.any_in_flight() {
            self.pass_on();
        }
    }

    /// From now on the keeper leads while something is in the queue, until [`calm`](Self::calm).
    /// It has to be [called](Self::call_keeper) when something is.
    pub(crate) fn hurry(&self) {
        // Ordering: Relaxed, in front of the fence in `call_keeper`. Partner: `is_hurried`.
        self.hurried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn calm(&self) {
        // Ordering: Relaxed, without a partner; the keeper leads once too often.
        self.hurried.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there is somebody who cannot lead.
    pub(crate) fn is_hurried(&self) -> bool {
        // Ordering: Relaxed, behind the fence in `keeper_looks`; elsewhere a hint.
        self.hurried.load(Ordering::Relaxed) > 0 || suspend::anyone_hurries()
    }

    /// Has the keeper look at once, if something is in the queue, or was a moment ago.
    pub(crate) fn call_keeper(&self) {
        // Partner: the fence in `keeper_looks`: either the keeper sees what it is called for, or it
        // is seen here not to have looked yet.
        full_fence!("q-call-fence");
        // Ordering: Relaxed everywhere, as the fence has it.
        let mut before = self.keeper.load(Ordering::Relaxed);
        while before == LOOKS || before == SLEEPS {
            let (relaxed, after) = (Ordering::Relaxed, CALLED);
            match self.keeper.compare_exchange_weak(before, after, relaxed, relaxed) {
                Ok(_) => return sys::wake(&self.keeper),
                Err(other) => before = other,
            }
        }
    }

    /// Whether a keeper looks, for whoever has just counted a request.
    fn is_kept(&self, start: impl FnOnce() -> bool) -> bool {
        let relaxed = Ordering::Relaxed;
        // Ordering: Relaxed everywhere, behind the fence in `submit`.
        match self.keeper.load(relaxed) {
            // Until it is there nobody else counts on it: it may be refused.
            NONE => match self.keeper.compare_exchange(NONE, STARTS, relaxed, relaxed) {
                Ok(_) if start() => {
                    // If it looks already, it need not be called.
                    let _looks = self.keeper.compare_exchange(STARTS, CALLED, relaxed, relaxed);
                    true
                }
                Ok(_) => {
                    self.keeper.store(NONE, relaxed);
                    false
                }
                Err(before) => before != STARTS,
            },
            STARTS => false,
            SLEEPS => {
                self.call_keeper();
                true
            }
            _ => true,
        }
    }

    /// The keeper is about to look: it hears of what comes from now on.
    pub(crate) fn keeper_looks(&self) {
        // Ordering: Relaxed, in front of the fence. Partner: the fence in `call_keeper`. (A swap, as
        // all that change it are, so that there is one order of them in the model, too.)
        self.keeper.swap(LOOKS, Ordering::Relaxed);
        full_fence!("q-look-fence");
    }

    /// Whether it was called since. By the keeper, with the lead: whoever led before it has called it
    /// first, if it has left something.
    pub(crate) fn keeper_is_called(&self) -> bool {
        // Ordering: Relaxed, behind the exchange in `lead`.
        self.keeper.load(Ordering::Relaxed) == CALLED
    }

    /// The keeper waits until it is called or the time has come.
    pub(crate) fn keeper_waits(&self, until: &libc::timespec) {
        let _waited = sys::wait(&self.keeper, LOOKS, Some(until));
    }

    /// The keeper has nothing to do, and waits longer. Returns whether it is to go on.
    pub(crate) fn keeper_sleeps(&self, until: &libc::timespec) -> bool {
        if !self.keeper_changes(LOOKS, SLEEPS) || !self.is_at_rest() {
            return true;
        }
        if sys::wait(&self.keeper, SLEEPS, Some(until)) != Waited::Late {
            return true;
        }
        // One that has come meanwhile and has found nobody to be called may have started another.
        !self.keeper_changes(SLEEPS, NONE)
            || (!self.is_at_rest() && self.keeper_changes(NONE, CALLED))
    }

    fn keeper_changes(&self, before: u32, after: u32) -> bool {
        let relaxed = Ordering::Relaxed;
        // Ordering: Relaxed, in front of the fence. Partner: the fence in `submit`: either the
        // request is seen by `is_at_rest`, or the keeper is seen there to sleep.
        let changed = self.keeper.compare_exchange(before, after, relaxed, relaxed).is_ok();
        full_fence!("q-sleep-fence");
        changed
    }

    fn is_at_rest(&self) -> bool {
        // Ordering: Acquire. Partner: the subtraction in `one_less`: what was taken out before it is
        // on the stack, and is still to leave the table.
        let in_flight = self.in_flight.load(weakened!("q-rest-relaxed", Ordering::Acquire));
        in_flight == 0 && self.taken.is_empty()
    }

    /// What stands there and nobody takes out: the first of it, by its place.
    pub(crate) fn standing(&self) -> Option<u32> {
        self.kernel().filter(|kernel| kernel.any()).map(KernelQueue::first)
    }

    /// Takes out what is there although somebody leads, who is held up.
    pub(crate) fn take_out_for_another(&self) {
        if let Some(kernel) = self.kernel() {
            self.take_out(kernel);
        }
    }
}

/// The queue does not take what there is of its kind.
fn refused(request: &Request) {
    let hints = if request.is_write() { &DIRECT_WRITES } else { &DIRECT_READS };
    hints.refused(request.submission.number);
}

/// The lead, of one at a time.
#[derive(Debug)]
pub(crate) struct Lead<'a> {
    queue: &'a Queue,
    kernel: &'a KernelQueue<Request>,
    is_keepers: bool,
}

impl Lead<'_> {
    /// Takes out what is there.
    pub(crate) fn take_out(&self) {
        self.queue.take_out(self.kernel);
    }

    /// Waits until something is there, and takes it out.
    pub(crate) fn wait(&self, timeout: libc::timespec) -> Waited {
        let waited = self.kernel.wait(timeout);
        self.take_out();
        waited
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // Ordering: Release. Partner: the swap in `lead`.
        self.queue.led.store(false, Ordering::Release);
        if !self.is_keepers {
            self.queue.pass_on();
        }
    }
}
