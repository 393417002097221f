//! The cooperative budget, as [`tokio::task::coop`](https://docs.rs/tokio/1.54/tokio/task/coop/).
//!
//! There are two: ours, which sockets, timers, files and handles count, and tokio's own, which channels
//! and locks do. What asks for room asks both.

use std::task::{Context, Poll, ready};

use std::future::poll_fn;

pub use threadlet::task::coop::{Coop, cooperative};

/// A future that is not counted.
pub type Unconstrained<F> = threadlet::task::Unconstrained<real::task::Unconstrained<F>>;

/// Whether there are units left.
#[must_use]
pub fn has_budget_remaining() -> bool {
    threadlet::task::coop::has_budget_remaining() && real::task::coop::has_budget_remaining()
}

/// A unit of each, from [`poll_proceed`]. They go back when this is dropped, unless there was
/// progress.
#[derive(Debug)]
#[must_use]
pub struct RestoreOnPending {
    theirs: real::task::coop::RestoreOnPending,
    ours: threadlet::task::coop::RestoreOnPending,
}

impl RestoreOnPending {
    /// There was progress.
    pub fn made_progress(&self) {
        self.theirs.made_progress();
        self.ours.made_progress();
    }
}

/// Takes a unit of each.
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    let theirs = ready!(real::task::coop::poll_proceed(cx));
    let ours = ready!(threadlet::task::coop::poll_proceed(cx));
    Poll::Ready(RestoreOnPending { theirs, ours })
}

/// Spends a unit of each, and lets others go on if there is none.
pub async fn consume_budget() {
    poll_fn(|cx| poll_proceed(cx).map(|units| units.made_progress())).await;
}

/// Lets nothing within `inner` count.
pub fn unconstrained<F>(inner: F) -> Unconstrained<F> {
    threadlet::task::unconstrained(real::task::unconstrained(inner))
}
