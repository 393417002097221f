//! Loom models of the C functions' table: over the very modules that production runs.
//!
//! `request` (its stages), `queue` (who takes out what the kernel's queue has finished), `table`, `run` (who runs a request, and what follows it) and `withdraw`
//! (cancelling, closing) of `posix-aio` are compiled a second time, with loom's locks and atomics.
//! Beside them stand twins of what they name: a kernel that notes what it was told, a pump that gives
//! each job a thread of its own, and a process per model. See `models/src/lib.rs`.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "a model uses a part of what it is built from"
)]

#[path = "../../../posix-aio/src/generation.rs"]
mod generation;
#[path = "../../../posix-aio/src/primitive/mod.rs"]
mod primitive;
#[path = "../../../posix-aio/src/queue.rs"]
mod queue;
#[path = "../../../posix-aio/src/request.rs"]
mod request;
#[path = "../../../posix-aio/src/run.rs"]
mod run;
#[path = "../../../posix-aio/src/table/mod.rs"]
mod table;
#[path = "../../../posix-aio/src/withdraw.rs"]
mod withdraw;

mod sys;
mod twins;

use twins::{duplicates, engine, hints, list, notify, process, suspend};

mod models;
