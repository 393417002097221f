//! What the feature `tracing` has to say of a call outside any runtime.

use std::sync::atomic::Ordering;

use crate::context;
use crate::observe::site::Site;

/// A call was a plain one, on a thread that is none of a runtime's: says so, once for the site, if
/// it could be a mistake. The root future of a runtime is not guarded, and neither is a child of
/// `fork`: nobody expects it.
#[cold]
pub(crate) fn plain_call(site: &Site) {
    // Ordering: Relaxed; whoever comes second has nothing to do with what the first does.
    if site.spoken_of.load(Ordering::Relaxed)
        || context::forks() > 0
        || context::with_shared(|shared| shared.is_some())
        || site.spoken_of.swap(true, Ordering::Relaxed)
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
