//! What a thread may ask of the scheduler about itself.

use std::kernel;
use std::time::Duration;

pub(crate) fn tid() -> i32 {
    kernel::tid()
}

pub(crate) fn set_timer_slack(_ns: u64) {}

pub(crate) fn timer_slack() -> u64 {
    0
}

pub(crate) fn sleeps() -> u64 {
    kernel::sleeps()
}

pub(crate) fn cpu_time_of(tid: i32) -> Option<Duration> {
    kernel::cpu_time_of(tid).map(Duration::from_nanos)
}

pub(crate) fn nanos() -> u64 {
    kernel::nanos()
}

pub(crate) fn nanos_at_tick() -> u64 {
    kernel::nanos()
}

pub(crate) fn nanosleep(duration: Duration) {
    kernel::block(super::nanos(duration));
}

pub(crate) fn has_children() -> bool {
    false
}

pub(crate) fn set_slice(_tid: i32, _slice: Option<Duration>) {}
