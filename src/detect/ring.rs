//! One thread's ring of context switches.
//!
//! # What is written
//!
//! While the ring is armed, the kernel writes an OUT record when its owner leaves a CPU and an IN
//! record when it is back: OUT, IN, OUT, IN... Each is a bare header of eight bytes. An OUT is
//! marked if the owner was *preempted*; without the mark it *blocked*. The ring is in overwrite
//! mode, so there is nothing to drain; the newest record is the one below the head.
//!
//! # The watermark, and why the first OUT wakes nobody
//!
//! Writing a record, the kernel tests `head - woken_at > watermark`; if so it adds the watermark to
//! `woken_at` and wakes who polls. With a watermark of two records (16 bytes):
//!
//! | record | head after it | `woken_at` before | wakes |
//! |---|---|---|---|
//! | 1st OUT | 8 | 0 | no: 8 is not more than 16 |
//! | 1st IN | 16 | 0 | no: 16 is not more than 16 |
//! | 2nd OUT | 24 | 0 | yes |
//! | 2nd IN | 32 | 16 | no |
//! | 3rd OUT | 40 | 16 | yes, and so on |
//!
//! So from the second pair on every OUT wakes, and no IN does. A wake-up on every record feeds
//! itself on one CPU: the watcher, woken by the IN, pushes the owner off the CPU, that switch wakes
//! the watcher, and so on. The test `a_wake_up_on_every_record_is_what_the_watermark_avoids` shows
//! it; with 200 blocks it has counted over 4,000 wake-ups. Where the scheduler puts both on one CPU
//! by itself, it happens without pinning.
//!
//! Edges that come before the watcher gets a CPU melt into one. On an otherwise idle machine 2,000
//! blocks made 1,989 to 2,001 wake-ups; beside other tests, fewer by up to a tenth. So an edge is a
//! hint that something happened, not a count, and the monitor stands behind it.
//!
//! # Priming
//!
//! The first pair is spent in [`Ring::open`], which blocks for a moment on purpose. That is also
//! the only proof that records are delivered: where the open succeeds and nothing is ever written,
//! a detector would wait for ever.
//!
//! # The phase
//!
//! The wake-up falls on OUT as long as `head` is a multiple of two records while the owner runs.
//! Disabling and enabling the event keeps that, if the owner does it while it runs: between the two
//! nothing is written, and nothing is counted as lost. *Pausing* the output does not: the kernel
//! then writes a `LOST` record as long as three of ours. So there is no pause here. The owner
//! asserts [`Ring::in_phase`] and reopens the ring if it ever fails.
//!
//! # Who may do what
//!
//! The owner opens, arms and disarms. Anybody may [`look`](Ring::look) and drop. A forked child may
//! not look: that is a `SIGSEGV` there. (Dropping is harmless in the child, it unmaps nothing.)
//! An observer that runs on the owner's own CPU has taken it from the owner, so it sees a
//! spinning owner as preempted, never as running.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use crate::sys::perf::{
    MISC_SWITCH_OUT, MISC_SWITCH_OUT_PREEMPT, RECORD_LENGTH, RECORD_SWITCH, RecordHeader, Step,
    StepError, SwitchEvent,
};
use crate::sys::thread;

/// An OUT and an IN.
const PAIR: u64 = 2 * RECORD_LENGTH;

/// See "The watermark" above.
pub(crate) const WATERMARK: u32 = PAIR as u32;

/// How often [`Ring::open`] blocks before it gives up; each time twice as long as before, so the
/// last takes a good millisecond. A sleep that is over before it begins does not switch.
const PRIMING_ROUNDS: u32 = 12;

/// How often [`Ring::look`] reads again because a record came in between.
const LOOKS_MAX: usize = 8;

/// The record of one thread's switches. See the module's page.
///
/// `Send` and `Sync` by its parts: the descriptor is a number, the pages are only ever read (see
/// `sys::perf::Mapping`), and the system calls on both may come from any thread. That arming is the
/// owner's alone is a rule of the phase, not of memory safety.
#[derive(Debug)]
pub(crate) struct Ring {
    event: SwitchEvent,
    owner: i32,
}

/// What another thread sees of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// On a CPU, or the ring is not armed.
    Running,
    /// Went to sleep in the kernel. It may have been woken since and only wait for a CPU.
    Blocked,
    /// Was taken off its CPU, and would run on if it could.
    Preempted,
    /// There is no switch record to judge by.
    Silent,
}

/// Why there is no ring.
#[derive(Debug)]
pub(crate) enum RingError {
    /// A system call was refused.
    Refused(StepError),
    /// Every call succeeded, and no proper pair of records arrived. Holds the head.
    Silent(u64),
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::Refused(refused) => refused.fmt(f),
            RingError::Silent(head) => write!(
                f,
                "the perf ring is silent: the thread blocked {PRIMING_ROUNDS} times, and no pair \
                 of switch records arrived (the head is {head})"
            ),
        }
    }
}

impl Ring {
    /// Opens a ring on the calling thread, which becomes its owner, and arms it.
    ///
    /// Blocks for some microseconds, see "Priming". Added to an epoll afterwards, the ring may
    /// report one old edge at once.
    pub(crate) fn open() -> Result<Ring, RingError> {
        Ring::open_with(WATERMARK)
    }

    fn open_with(watermark: u32) -> Result<Ring, RingError> {
        let event = SwitchEvent::open(watermark).map_err(RingError::Refused)?;
        let ring = Ring { event, owner: thread::tid() };
        ring.arm().map_err(|error| RingError::Refused(StepError { step: Step::Control, error }))?;
        for round in 0..PRIMING_ROUNDS {
            thread::nanosleep(Duration::from_micros(1 << round));
            if ring.is_primed() {
                return Ok(ring);
            }
        }
        Err(RingError::Silent(ring.head()))
    }

    /// Whether pairs have arrived, the last of them with a block. A preemption that came after the
    /// block hides it; then the next round sees its own.
    fn is_primed(&self) -> bool {
        let head = self.head();
        head != 0
            && self.in_phase()
            && judge(self.event.header_before(head)) == Look::Running
            && judge(self.event.header_before(head - RECORD_LENGTH)) == Look::Blocked
    }

    /// Records from here on. By the owner, while it runs. Arming an armed ring changes nothing.
    pub(crate) fn arm(&self) -> io::Result<()> {
        debug_assert_eq!(thread::tid(), self.owner, "only the owner keeps the phase");
        self.event.enable()
    }

    /// Records no more. By the owner, while it runs. A disarmed ring looks as if its owner ran.
    pub(crate) fn disarm(&self) -> io::Result<()> {
        debug_assert_eq!(thread::tid(), self.owner, "only the owner keeps the phase");
        self.event.disable()
    }

    /// Whether the next OUT will wake. A question for the owner, while it runs.
    pub(crate) fn in_phase(&self) -> bool {
        self.head().is_multiple_of(PAIR)
    }

    /// What the owner is doing. For any thread; a load or two, no system call.
    ///
    /// The answer was true at some moment during the call and may be stale when it returns: the
    /// region's word decides what may be done with it.
    pub(crate) fn look(&self) -> Look {
        for _ in 0..LOOKS_MAX {
            let head = self.head();
            if head == 0 {
                return Look::Silent;
            }
            let header = self.event.header_before(head);
            // Ordering: the fence keeps the volatile read above before the second load of the
            // head. The kernel writes a record before it moves the head, so an unmoved head means
            // that this record is the newest, and whole: its place is written again a page later.
            fence(Ordering::Acquire);
            if self.head() == head {
                return judge(header);
            }
        }
        // Records kept coming: a thread that switches that fast runs in between.
        Look::Running
    }

    /// How many bytes of records were written.
    pub(crate) fn head(&self) -> u64 {
        self.event.head()
    }

    /// For an epoll, edge-triggered. A hang-up means that the owner's thread has ended.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Reads one record. Eight bytes that are not a switch record (the tail of a `LOST` one, say) are
/// no ground for a judgement.
fn judge(header: RecordHeader) -> Look {
    if header.kind != RECORD_SWITCH || u64::from(header.size) != RECORD_LENGTH {
        Look::Silent
    } else if header.misc & MISC_SWITCH_OUT == 0 {
        Look::Running
    } else if header.misc & MISC_SWITCH_OUT_PREEMPT == 0 {
        Look::Blocked
    } else {
        Look::Preempted
    }
}

#[cfg(test)]
mod tests;
