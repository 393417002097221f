//! Who waits in `aio_suspend`.
//!
//! A waiter takes a *slot*, says there which requests it is interested in (a set of bits, so that
//! others may be meant by it too), looks at its control blocks, and sleeps. Whoever finishes a
//! request writes the result into the control block and looks at the slots.
//!
//! 1. The waiter: sets the word to 0 and the bits; fence; looks whether one is finished; sleeps while
//!    the word is 0.
//! 2. The finisher: writes the result; fence; if the bit is set, sets the word to 1, and wakes if it
//!    was 0.
//!
//! Either fence comes first: if the waiter's, the finisher sees the bits; if the finisher's, the
//! waiter sees the result. No lock is taken, so the three functions that POSIX allows in signal
//! handlers (`aio_error`, `aio_return`, `aio_suspend`) may be called there.
//!
//! A waiter sleeps at once. To let others have the CPU first would save some wakes; but who has slept is
//! soon before those who have just run, and who has yielded is behind them all, while the device waits
//! for what this thread brings next.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use crate::user::{self, Waited};

const COUNT: usize = 256;

/// How often one looks who found no slot.
const POLL_NS: i64 = 1_000_000;

#[derive(Debug)]
struct Slot {
    taken: AtomicBool,
    word: AtomicU32,
    bits: AtomicU64,
}

static SLOTS: [Slot; COUNT] = [const {
    Slot { taken: AtomicBool::new(false), word: AtomicU32::new(0), bits: AtomicU64::new(0) }
}; COUNT];

/// How many slots are taken. Zero is what a request that nobody waits for has to look at.
static WAITERS: AtomicU32 = AtomicU32::new(0);

/// No slot from here on was ever taken.
static USED: AtomicUsize = AtomicUsize::new(0);

/// The bit of a control block.
pub(crate) fn bit(address: usize) -> u64 {
    // They are 168 bytes each, and stand in arrays.
    1 << ((address >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

/// A request whose control block is there is finished.
pub(crate) fn finished(address: usize) {
    fence(Ordering::SeqCst);
    if WAITERS.load(Ordering::Relaxed) == 0 {
        return;
    }
    let bit = bit(address);
    for slot in &SLOTS[..USED.load(Ordering::Relaxed)] {
        // Ordering: Relaxed behind the fence. A slot that somebody else has by now is woken for
        // nothing, which it must bear anyway.
        if slot.bits.load(Ordering::Relaxed) & bit != 0 && slot.word.swap(1, Ordering::AcqRel) == 0
        {
            user::wake(&slot.word);
        }
    }
}

/// A slot of one's own.
#[derive(Debug)]
struct Taken(&'static Slot);

impl Taken {
    fn take() -> Option<Taken> {
        let free = |slot: &&Slot| {
            !slot.taken.load(Ordering::Relaxed) && !slot.taken.swap(true, Ordering::Acquire)
        };
        let (index, slot) = SLOTS.iter().enumerate().find(|(_, slot)| free(slot))?;
        WAITERS.fetch_add(1, Ordering::Relaxed);
        USED.fetch_max(index + 1, Ordering::Relaxed);
        Some(Taken(slot))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.bits.store(0, Ordering::Relaxed);
        WAITERS.fetch_sub(1, Ordering::Relaxed);
        self.0.taken.store(false, Ordering::Release);
    }
}

/// Waits until `done` says so; it is asked again when a request with one of the bits was finished.
pub(crate) fn wait(bits: u64, until: Option<&libc::timespec>, done: impl Fn() -> bool) -> Waited {
    if done() {
        return Waited::Woken;
    }
    let taken = Taken::take();
    loop {
        let waited = match &taken {
            Some(Taken(slot)) => {
                slot.word.store(0, Ordering::Relaxed);
                slot.bits.store(bits, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                if done() {
                    return Waited::Woken;
                }
                user::wait(&slot.word, 0, until)
            }
            None => poll(until),
        };
        if done() {
            return Waited::Woken;
        }
        if waited != Waited::Woken {
            return waited;
        }
    }
}

/// A short sleep of one for whom there is no slot.
fn poll(until: Option<&libc::timespec>) -> Waited {
    let word = AtomicU32::new(0);
    let soon = later(user::now(), libc::timespec { tv_sec: 0, tv_nsec: POLL_NS });
    match until.filter(|until| is_before(until, &soon)) {
        Some(until) => user::wait(&word, 0, Some(until)),
        None => match user::wait(&word, 0, Some(&soon)) {
            Waited::Late => Waited::Woken,
            waited => waited,
        },
    }
}

fn is_before(a: &libc::timespec, b: &libc::timespec) -> bool {
    (a.tv_sec, a.tv_nsec) < (b.tv_sec, b.tv_nsec)
}

/// The sum of two times.
pub(crate) fn later(a: libc::timespec, b: libc::timespec) -> libc::timespec {
    let ns = a.tv_nsec + b.tv_nsec;
    let carry = i64::from(ns >= 1_000_000_000);
    let tv_sec = a.tv_sec.saturating_add(b.tv_sec).saturating_add(carry);
    libc::timespec { tv_sec, tv_nsec: ns - carry * 1_000_000_000 }
}

/// In the child of a fork: the others are not there.
pub(crate) fn forget() {
    for slot in &SLOTS {
        slot.bits.store(0, Ordering::Relaxed);
        slot.taken.store(false, Ordering::Relaxed);
    }
    WAITERS.store(0, Ordering::Relaxed);
}
