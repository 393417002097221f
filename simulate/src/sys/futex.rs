//! Waiting for a word to change, and waking one who waits.

use std::kernel;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

#[track_caller]
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    kernel::futex_wait(word, expected, timeout.map(super::nanos))
}

pub(crate) fn wake_one(word: &AtomicU32) -> bool {
    kernel::futex_wake(word)
}
