//! Foreign code whose panic is nobody's business here.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f`, and drops what it may have panicked with.
pub(crate) fn quietly(f: impl FnOnce()) {
    let mut caught = catch_unwind(AssertUnwindSafe(f)).err();
    // The payload of a panic may panic in its own `Drop`, and so on. Somebody who builds that
    // on purpose gets a leak.
    for _ in 0..2 {
        let Some(payload) = caught else { return };
        caught = catch_unwind(AssertUnwindSafe(|| drop(payload))).err();
    }
    std::mem::forget(caught);
}
