//! What is remembered of descriptors, by their number: whether asking is worth a system call.
//!
//! A number may mean another file the next moment, and nobody tells us. So nothing here is needed
//! for a right answer; a wrong hint costs time, once or for a few calls:
//!
//! * *Is read from memory*: asked at once. If the file has become one with `O_DIRECT` the ask waits
//!   for the device; an ask that takes long makes us look at the flags again.
//! * *Is not asked*: for the next 64 requests.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::sys;

const COUNT: usize = 4096;

/// Nothing is known.
const UNKNOWN: u8 = 0;
/// Asking is all right. What is above counts down to [`UNKNOWN`].
const ASK: u8 = 1;
/// Not asked for the next 64 requests.
const REFUSED: u8 = ASK + 64;

/// An ask from memory takes a tenth of it, in the ticks of [`sys::ticks`].
const LONG: u64 = 200_000;

/// One per number; those that are too high share.
///
/// Ordering: Relaxed everywhere, without a partner: these are hints. Two threads that count down at
/// once lose a count.
#[derive(Debug)]
pub(crate) struct Hints([AtomicU8; COUNT]);

/// Of those with `O_DIRECT`: whether the kernel's own queue takes their requests.
pub(crate) static DIRECT_READS: Hints = Hints([const { AtomicU8::new(UNKNOWN) }; COUNT]);
pub(crate) static DIRECT_WRITES: Hints = Hints([const { AtomicU8::new(UNKNOWN) }; COUNT]);
pub(crate) static READS: Hints = Hints([const { AtomicU8::new(UNKNOWN) }; COUNT]);
pub(crate) static WRITES: Hints = Hints([const { AtomicU8::new(UNKNOWN) }; COUNT]);

impl Hints {
    fn at(&self, fd: c_int) -> &AtomicU8 {
        &self.0[fd as usize % COUNT]
    }

    /// Whether to ask; `look` finds out where nothing is known.
    pub(crate) fn may_ask(&self, fd: c_int, look: impl FnOnce() -> bool) -> bool {
        let hint = self.at(fd);
        match hint.load(Ordering::Relaxed) {
            ASK => true,
            UNKNOWN => {
                let may = look();
                hint.store(if may { ASK } else { REFUSED }, Ordering::Relaxed);
                may
            }
            counting => {
                let next = if counting == ASK + 1 { UNKNOWN } else { counting - 1 };
                hint.store(next, Ordering::Relaxed);
                false
            }
        }
    }

    /// The system does not ask there.
    pub(crate) fn refused(&self, fd: c_int) {
        self.at(fd).store(REFUSED, Ordering::Relaxed);
    }

    /// An ask began at that tick and is over.
    pub(crate) fn took_since(&self, fd: c_int, began: u64) {
        if sys::ticks().wrapping_sub(began) > LONG {
            self.at(fd).store(UNKNOWN, Ordering::Relaxed);
        }
    }
}
