//! Knowing that a thread has blocked.
#![doc = include_str!("../../docs/internals/detectors.md")]
//!
//! `ring` is the kernel's edge: one thread's record of leaving the CPU and coming back. `probe`
//! says, once per process, whether this machine lets us have it. `edges` waits for
//! all of them at once. What to do about a blocked thread
//! is the scheduler's business.

pub(crate) mod edges;
pub(crate) mod probe;
pub(crate) mod ring;
