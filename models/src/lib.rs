//! Loom models: every order of every access, over the very modules that production runs.
//!
//! This package compiles the rooms `primitive` and `protocol` of threadlet, most of `aio`, and the
//! answers of `syslet` a second time, with loom in place of the standard library's atomics and
//! locks (`cfg(threadlet_loom)`, which the build script sets). Whatever they name beside each other
//! stands here as a twin: so it is also the proof that these rooms stand on nothing else.
//!
//! (The C functions' modules name each other differently: `tests/posix_aio` is a crate for theirs.)
//!
//! Each model opens with the story of the bug it hunts, and `.ci/sabotage` names the broken line
//! that makes it fail. Bounded by the number of preemptions, which is where races hide.
//!
//! ```sh
//! cargo test -p threadlet-models
//! ```
#![cfg(test)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "a model uses a part of what it is built from"
)]

#[path = "../../src/primitive/mod.rs"]
mod primitive;
#[path = "../../src/protocol/mod.rs"]
mod protocol;

mod aio;
mod syslet;

mod idle;
mod monitor_sleep;
mod park;
mod parking;
mod pool;
mod queue;
mod record;
mod task;
mod watch;
mod word;

use loom::cell::UnsafeCell;

/// Explores `model` with up to `preemptions` forced switches in each run.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Something that only one thread at a time may touch, and only after what was done to it before:
/// loom reports any two touches that nothing orders.
#[derive(Debug)]
pub(crate) struct Private(UnsafeCell<()>);

// SAFETY: loom checks what this promises; that is the purpose of the type.
unsafe impl Sync for Private {}

impl Private {
    pub(crate) fn new() -> Self {
        Private(UnsafeCell::new(()))
    }

    pub(crate) fn touch(&self) {
        self.0.with_mut(|_| ());
    }
}
