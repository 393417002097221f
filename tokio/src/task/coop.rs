//! The cooperative budget, as [`tokio::task::coop`](https://docs.rs/tokio/1.54/tokio/task/coop/).
//!
//! There are two: ours, which sockets, timers, files and handles count, and tokio's own, which channels
//! and locks do. What asks for room asks both.

use std::task::{Context, Poll, ready};

pub use threadlet::task::coop::{Coop, RestoreOnPending, consume_budget, cooperative};

/// A future that is not counted.
pub type Unconstrained<F> = threadlet::task::Unconstrained<real::task::Unconstrained<F>>;

/// Whether there are units left.
#[must_use]
pub fn has_budget_remaining() -> bool {
    threadlet::task::coop::has_budget_remaining() && real::task::coop::has_budget_remaining()
}

/// Takes a unit, which goes back if there is no progress.
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    // With none left this says so; a unit that was taken goes back when it is dropped.
    drop(ready!(real::task::coop::poll_proceed(cx)));
    threadlet::task::coop::poll_proceed(cx)
}

/// Lets nothing within `inner` count.
pub fn unconstrained<F>(inner: F) -> Unconstrained<F> {
    threadlet::task::unconstrained(real::task::unconstrained(inner))
}
