//! Who waits in `aio_suspend`.
//!
//! A waiter takes one of a fixed number of *bells*, says there which requests it is for (a set of
//! bits, so that others may be meant by it too), looks at its control blocks, and sleeps. Whoever
//! finishes a request writes the result into the control block, and rings the bells that are for
//! it.
//!
//! 1. The waiter: takes all posts away; sets the word to 0 and the bits; fence W; looks whether one is
//!    finished; sleeps until there is a post.
//! 2. The finisher: writes the result; fence F; if the bit is set, sets the word to 1, and posts if it
//!    was 0.
//!
//! Either fence comes first: if W, the finisher sees the bits; if F, the waiter sees the result. A
//! finisher that finds the word at 1 posts nothing: whoever has set it since it was 0 does, after the
//! waiter has taken the posts away, or that waiter is on its way to set it to 0 and to look. No lock
//! is taken, so the three functions that POSIX allows in signal handlers (`aio_error`, `aio_return`,
//! `aio_suspend`) may be called there.
//!
//! The waiter's thread may be cancelled while it sleeps. So it sleeps in the C library, and gives its
//! bell back by the C library's means.
//!
//! A waiter sleeps at once. To let others have the CPU first would save some wakes; but who has
//! slept is soon before those who have just run, and who has yielded is behind them all, while the
//! device waits for what this thread brings next.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use crate::sys::{self, Semaphore, Waited};

const COUNT: usize = 256;

/// How often one looks who found no bell.
const POLL_NS: i64 = 1_000_000;

/// By which one waiter is woken.
#[derive(Debug)]
struct Bell {
    /// Whether somebody has it.
    taken: AtomicBool,
    /// 1: whoever set it posts, or has posted.
    word: AtomicU32,
    /// What the waiter sleeps on.
    posts: Semaphore,
    /// Which requests it is for.
    bits: AtomicU64,
    /// Whether the waiter would lead (see `queue.rs`).
    would_lead: AtomicBool,
    /// Whether it is among [`HURRIED`].
    hurries: AtomicBool,
}

/// What there is to know of a waiter for the kernel's queue, which stands above here.
pub(crate) trait Leader {
    /// Whether who leads finishes what this one waits for.
    fn can_lead(&self) -> bool;
    /// Leads, until `done` or until it is to look again; `None`: somebody else does.
    fn lead(&self, until: Option<&libc::timespec>, done: &dyn Fn() -> bool) -> Option<Waited>;
    /// It has registered, and is about to sleep. `false`: it could lead by now.
    fn follows(&self, could_lead: bool) -> bool;
    /// It could have led, has followed, and waits no more.
    fn leaves(&self);
}

static BELLS: [Bell; COUNT] = [const { Bell::new() }; COUNT];

/// How many bells are taken. Zero is what a request that nobody waits for has to look at.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// How many wait who cannot lead.
static HURRIED: AtomicUsize = AtomicUsize::new(0);

/// No bell from here on was ever taken.
static EVER_TAKEN: AtomicUsize = AtomicUsize::new(0);

/// The bit of a control block.
pub(crate) fn bit(address: usize) -> u64 {
    // They are 168 bytes each, and stand in arrays.
    1 << ((address >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

/// A request whose control block is there is finished.
pub(crate) fn finished(address: usize) {
    // Fence F. Partner: fence W, in `wait`.
    fence(Ordering::SeqCst);
    // Ordering: Relaxed, behind fence F; a waiter counts itself before fence W.
    if TAKEN.load(Ordering::Relaxed) == 0 {
        return;
    }
    let bit = bit(address);
    // Ordering: Relaxed, as above.
    for bell in &BELLS[..EVER_TAKEN.load(Ordering::Relaxed)] {
        // Ordering: Relaxed, behind fence F; the bits are set before fence W. A bell that somebody
        // else has by now is woken for nothing, which it must bear anyway.
        let is_meant = bell.bits.load(Ordering::Relaxed) & bit != 0;
        // Ordering: AcqRel, where Relaxed would do: behind fence F as well, and the result comes by
        // the error number.
        if is_meant && bell.word.swap(1, Ordering::AcqRel) == 0 {
            bell.posts.post();
        }
    }
}

/// Whether somebody waits who cannot lead.
pub(crate) fn anyone_hurries() -> bool {
    // Ordering: Relaxed; the fences of whoever asks decide.
    HURRIED.load(Ordering::Relaxed) > 0
}

/// Nobody leads any more. Wakes one who would; `false`: there is none. Behind a fence whose partner
/// is fence W.
pub(crate) fn pass_on() -> bool {
    // Ordering: Relaxed everywhere, behind that fence, as in `finished`.
    if TAKEN.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let bells = &BELLS[..EVER_TAKEN.load(Ordering::Relaxed)];
    let Some(bell) = bells.iter().find(|bell| bell.would_lead.load(Ordering::Relaxed)) else {
        return false;
    };
    // Ordering: AcqRel, as in `finished`.
    if bell.word.swap(1, Ordering::AcqRel) == 0 {
        bell.posts.post();
    }
    true
}

impl Bell {
    const fn new() -> Bell {
        Bell {
            taken: AtomicBool::new(false),
            word: AtomicU32::new(0),
            posts: Semaphore::new(),
            bits: AtomicU64::new(0),
            would_lead: AtomicBool::new(false),
            hurries: AtomicBool::new(false),
        }
    }

    /// One that is free, for whoever calls [`release`](Self::release) later. `None`: all are taken.
    fn take() -> Option<&'static Bell> {
        let is_free = |bell: &&Bell| {
            // Ordering: Relaxed, a hint. Then Acquire. Partner: `release`; the bits of whoever had
            // it are gone.
            !bell.taken.load(Ordering::Relaxed) && !bell.taken.swap(true, Ordering::Acquire)
        };
        let (index, bell) = BELLS.iter().enumerate().find(|(_, bell)| is_free(bell))?;
        // Ordering: Relaxed, both; fence W follows. Partner: the loads in `finished`.
        TAKEN.fetch_add(1, Ordering::Relaxed);
        EVER_TAKEN.fetch_max(index + 1, Ordering::Relaxed);
        Some(bell)
    }

    fn release(&'static self) {
        // Ordering: Relaxed, both; who sees the old values looks or wakes for nothing.
        self.bits.store(0, Ordering::Relaxed);
        self.would_lead.store(false, Ordering::Relaxed);
        if self.hurries.swap(false, Ordering::Relaxed) {
            HURRIED.fetch_sub(1, Ordering::Relaxed);
        }
        TAKEN.fetch_sub(1, Ordering::Relaxed);
        // Ordering: Release. Partner: `take`, of the next who has it.
        self.taken.store(false, Ordering::Release);
    }

    /// For whoever has it: until it rings, or one is finished already.
    fn wait(
        &'static self,
        bits: u64,
        until: Option<&libc::timespec>,
        done: impl Fn() -> bool,
        leader: &impl Leader,
        can_lead: bool,
    ) -> Waited {
        self.posts.drain();
        // Ordering: Relaxed, all of them; fence W follows. Partner: the accesses in `finished` and
        // in `pass_on`, and the keeper's look at `HURRIED`.
        self.word.store(0, Ordering::Relaxed);
        self.would_lead.store(can_lead, Ordering::Relaxed);
        if !can_lead && !self.hurries.swap(true, Ordering::Relaxed) {
            HURRIED.fetch_add(1, Ordering::Relaxed);
        }
        self.bits.store(bits, Ordering::Relaxed);
        // Fence W. Partner: fence F, in `finished`, and the one in front of `pass_on`.
        fence(Ordering::SeqCst);
        if done() || !leader.follows(can_lead) { Waited::Woken } else { self.posts.wait(until) }
    }
}

/// Waits until `done` says so; it is asked again when a request with one of the bits was finished.
/// The thread may be cancelled here.
pub(crate) fn wait(
    bits: u64,
    until: Option<&libc::timespec>,
    done: impl Fn() -> bool,
    leader: &impl Leader,
) -> Waited {
    let (mut waited, mut followed) = (Waited::Woken, false);
    let is_done = loop {
        if done() {
            break true;
        }
        if waited != Waited::Woken {
            break false;
        }
        waited = wait_once(bits, until, &done, leader, &mut followed);
    };
    if followed {
        leader.leaves();
    }
    if is_done { Waited::Woken } else { waited }
}

/// `followed` is set if another led meanwhile and this one could have.
fn wait_once(
    bits: u64,
    until: Option<&libc::timespec>,
    done: &dyn Fn() -> bool,
    leader: &impl Leader,
    followed: &mut bool,
) -> Waited {
    let can_lead = leader.can_lead();
    if can_lead {
        sys::may_be_cancelled();
        if let Some(waited) = leader.lead(until, done) {
            return waited;
        }
    }
    match Bell::take() {
        Some(bell) => {
            *followed |= can_lead;
            sys::with_cleanup(bell, Bell::release, || {
                bell.wait(bits, until, done, leader, can_lead)
            })
        }
        None => {
            sys::may_be_cancelled();
            poll(until)
        }
    }
}

/// A short sleep of one for whom there is no bell.
fn poll(until: Option<&libc::timespec>) -> Waited {
    let word = AtomicU32::new(0);
    let soon = sys::later(sys::now(), libc::timespec { tv_sec: 0, tv_nsec: POLL_NS });
    match until.filter(|until| is_before(until, &soon)) {
        Some(until) => sys::wait(&word, 0, Some(until)),
        None => match sys::wait(&word, 0, Some(&soon)) {
            Waited::Late => Waited::Woken,
            waited => waited,
        },
    }
}

fn is_before(a: &libc::timespec, b: &libc::timespec) -> bool {
    (a.tv_sec, a.tv_nsec) < (b.tv_sec, b.tv_nsec)
}

/// In the child of a fork: the others are not there.
pub(crate) fn forget() {
    // Ordering: Relaxed everywhere, without a partner; there is one thread.
    for bell in &BELLS {
        bell.bits.store(0, Ordering::Relaxed);
        bell.would_lead.store(false, Ordering::Relaxed);
        bell.hurries.store(false, Ordering::Relaxed);
        bell.taken.store(false, Ordering::Relaxed);
    }
    TAKEN.store(0, Ordering::Relaxed);
    HURRIED.store(0, Ordering::Relaxed);
}
