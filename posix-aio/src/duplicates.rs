//! Descriptors of our own: duplicates of what requests are made on, where that is no file.
//!
//! A request on a stream may wait for ever, and a program may close the stream meanwhile and have
//! something else behind its number. So what runs, runs on a duplicate. Files have none: a program
//! that closes *any* descriptor of a file loses its locks on it (`fcntl`), and so it would by our
//! closing the duplicate; but a request on a file takes a device's time only, and `close` waits for
//! it.
//!
//! The numbers are high, so that the program's come out as it expects them, and they are noted in a
//! set: whoever closes all numbers that there may be does not close ours.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// Ours are from here on, if the process may have so many.
const FIRST: c_int = 512;

/// And below this.
const END: usize = 1 << 16;

/// A bit for each number that is ours.
///
/// Ordering: Relaxed everywhere, without a partner; nothing is read on the strength of a bit but
/// the bit.
static OURS: [AtomicU64; END / 64] = [const { AtomicU64::new(0) }; END / 64];

/// A duplicate, closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Duplicate(c_int);

fn bit(fd: c_int) -> Option<(&'static AtomicU64, u64)> {
    let fd = usize::try_from(fd).ok()?;
    Some((OURS.get(fd / 64)?, 1 << (fd % 64)))
}

/// Whether a number is one of ours.
pub(crate) fn is_ours(fd: c_int) -> bool {
    bit(fd).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
}

/// Our numbers from the first to the last, in order.
pub(crate) fn within(first: u32, last: u32) -> impl Iterator<Item = u32> {
    let last = last.min(END as u32 - 1);
    (first..=last).filter(|fd| is_ours(*fd as c_int))
}

impl Duplicate {
    /// `None`: there is no number to be had.
    pub(crate) fn of(fd: c_int) -> Option<Duplicate> {
        if sys::behind_filter() {
            return None;
        }
        let number = sys::duplicate_from(fd, FIRST.min(sys::most_descriptors() / 2))?;
        let Some((word, bit)) = bit(number) else {
            let _closed = sys::close_directly(number);
            return None;
        };
        word.fetch_or(bit, Ordering::Relaxed);
        Some(Duplicate(number))
    }

    pub(crate) fn number(&self) -> c_int {
        self.0
    }
}

impl Drop for Duplicate {
    fn drop(&mut self) {
        // First: once it is closed the number may be the program's, to be closed by it.
        if let Some((word, bit)) = bit(self.0) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
        let _closed = sys::close_directly(self.0);
    }
}

/// In the child of a fork: they belong to requests of the parent's. Open here, they would keep the
/// other end of a pipe from seeing its end.
pub(crate) fn forget() {
    for (index, word) in OURS.iter().enumerate() {
        let mut bits = word.swap(0, Ordering::Relaxed);
        while bits != 0 {
            let fd = (index * 64) as c_int + bits.trailing_zeros() as c_int;
            let _closed = sys::close_directly(fd);
            bits &= bits - 1;
        }
    }
}
