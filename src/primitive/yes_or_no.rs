//! The answer to a question that is asked once.

use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// An answer, once it has been found. Several may look for it at the same time; the first answer
/// counts. Nobody waits for another: in a child of `fork` that one may not be there.
#[derive(Debug)]
pub(crate) struct YesOrNo(AtomicU8);

impl YesOrNo {
    pub(crate) const fn new() -> Self {
        YesOrNo(AtomicU8::new(UNKNOWN))
    }

    /// The answer; if there is none yet, that of `find`.
    #[inline]
    pub(crate) fn get_or_find(&self, find: impl FnOnce() -> bool) -> bool {
        // Ordering: Relaxed, throughout: nothing comes with the answer.
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => self.keep(find()),
            answer => answer == YES,
        }
    }

    #[cold]
    fn keep(&self, found: bool) -> bool {
        let answer = if found { YES } else { NO };
        let kept = self.0.compare_exchange(UNKNOWN, answer, Ordering::Relaxed, Ordering::Relaxed);
        kept.map_or_else(|first| first == YES, |_| found)
    }
}
