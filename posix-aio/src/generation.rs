//! Which process this is, of those that forks have made of the first one.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the first one. (A child that was forked before there
/// was anything to forget is of its parent's.)
///
/// Ordering: Relaxed everywhere, without a partner; it changes in the child, where there is one
/// thread.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Tells requests of this process from those of its parents.
pub(crate) fn current() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// In the child of a fork.
pub(crate) fn begin_next() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
