//! Gate and region in one.

use std::panic::Location;
use std::sync::Arc;

use super::gate::{Options, Pass, Refused, gate};
use super::region::{run_at, run_at_once};
use crate::context;
use crate::coop;
use crate::observe::site::Site;
use crate::scheduler::spare;
use crate::scheduler::spawn::{spawn, spawn_accepted};
use crate::shared::Shared;
use crate::spawned::{JoinHandle, Origin};

/// Runs `f` as a call of `site`, once it is its turn. Dropped before, `f` has not been called.
pub(crate) async fn in_place<T>(site: &'static Site, f: impl FnOnce() -> T) -> T {
    let f = match run_at_once(site, f) {
        Ok(value) => return value,
        Err(f) => f,
    };
    let pass = turn(gate(site, Options::DEFAULT).await);
    run_at(site, pass, f)
}

/// What a gate gave to a call that does not ask to be refused. Only a call that asks is.
#[doc(hidden)]
#[inline]
pub fn turn(pass: Result<Pass, Refused>) -> Pass {
    pass.unwrap_or(Pass::Inline)
}

/// Runs `f` right here, as a call of `text` at `place`, for code that cannot wait for its turn.
pub(crate) fn run_here<T>(
    place: &'static Location<'static>,
    text: &'static str,
    f: impl FnOnce() -> T,
) -> T {
    // A plain call needs no site.
    if context::with(|thread| thread.is_none_or(|thread| !thread.poll.active.get())) {
        return coop::around_call(f);
    }
    run_at(Site::at(place, text), Pass::Free, f)
}

/// Spawns a call of `spawn_blocking`: once it is accepted, it runs, unless it is aborted before.
pub(crate) fn spawn_call<F, T>(shared: &Arc<Shared>, f: F, origin: Origin<'_>) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let site = Site::at(origin.place, "spawn_blocking");
    let handle = spawn_accepted(shared, in_place(site, f), origin);
    spare::start_at_home(shared);
    handle
}

/// Spawns a task whose body is one region: a call of `text`, at `place`. It is dropped if the
/// runtime is shut down before it has started.
pub(crate) fn spawn_region<F, T>(
    shared: &Arc<Shared>,
    f: F,
    place: &'static Location<'static>,
    text: &'static str,
) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = spawn(shared, in_place(Site::at(place, text), f), Origin::at(place));
    // In a current-thread runtime that nobody is in there is no thread yet to make the call.
    spare::start_at_home(shared);
    handle
}
