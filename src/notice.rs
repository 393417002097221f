//! What the feature `tracing` has to say.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::context;
use crate::site::Site;

/// Whether a site has been spoken of.
#[derive(Debug)]
pub(crate) struct Told(AtomicBool);

impl Told {
    pub(crate) const fn new() -> Self {
        Told(AtomicBool::new(false))
    }
}

/// A call was a plain one, on a thread that is none of a runtime's: says so, once for the site, if
/// it could be a mistake. The root future of a runtime is not guarded, and neither is a child of
/// `fork`: nobody expects it.
#[cold]
pub(crate) fn plain_call(site: &Site, told: &Told) {
    if told.0.load(Ordering::Relaxed)
        || context::forks() > 0
        || context::with_shared(|shared| shared.is_some())
        || told.0.swap(true, Ordering::Relaxed)
    {
        return;
    }
    tracing::warn!(
        target: "threadlet",
        file = site.file(),
        line = site.line(),
        call = site.text(),
        "not in a threadlet runtime: the call is a plain one, and if it blocks, so does this thread"
    );
}
