//! Which runtime is current: the one entered last, or the one whose thread this is.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::missing::{Missing, demand_sockets, words};
use super::thread::with;
use crate::driver;
use crate::shared::{Shared, entered};

/// The runtime that `spawn` and timers use on this thread: the one entered last, or the one the
/// thread belongs to.
pub(crate) fn with_shared<R>(f: impl FnOnce(Option<&Arc<Shared>>) -> R) -> R {
    match entered::last() {
        Some(shared) => f(Some(&shared)),
        None => with(|thread| f(thread.map(|thread| thread.shared))),
    }
}

/// The driver of the current runtime, for `what`, a descriptor.
///
/// # Panics
///
/// With `what` in the message, if the thread is in no runtime; and if that has no sockets.
#[track_caller]
pub(crate) fn current_driver(what: &str) -> driver::Handle {
    demand_sockets();
    // Not `unwrap_or_else`: a closure would hide the caller's place from the panic.
    match driver() {
        Some(handle) => handle,
        None => panic!("{}", in_none(what)),
    }
}

/// The timers of the current runtime, those of this thread's part, for `what`.
///
/// # Panics
///
/// With `what` in the message, if the thread is in no runtime.
#[track_caller]
pub(crate) fn current_timers(what: &str) -> driver::TimersOf {
    match timers() {
        Some(timers) => timers,
        None => panic!("{}", in_none(what)),
    }
}

fn in_none(what: &str) -> String {
    let ours = format!(
        "{what} needs a threadlet runtime, and this thread is in none: call it from within \
         `threadlet::block_on`, `#[threadlet::main]` or a spawned task, or enter a runtime first \
         with `Runtime::enter`"
    );
    words(Missing::Runtime, &ours).to_owned()
}

/// Now, by the clock of the current runtime.
pub(crate) fn now() -> Instant {
    let driver = if driver::any_was_stopped() { driver() } else { None };
    driver.map_or_else(Instant::now, |driver| driver.now())
}

/// A task yields where the clock stands: it is woken when all others wait. `false`: it does not
/// stand.
pub(crate) fn yield_at(waker: &Waker) -> bool {
    // Where a seed decides who is next, a task that yields is as ready as any.
    let is_replayed = || with_shared(|shared| shared.is_some_and(|shared| shared.turns.is_some()));
    driver::any_was_stopped()
        && !is_replayed()
        && driver().is_some_and(|driver| driver.yield_at(waker))
}

fn driver() -> Option<driver::Handle> {
    #[cfg(test)]
    if let Some(handle) = driver::testing::entered() {
        return Some(handle);
    }
    with_shared(|shared| shared.map(|shared| shared.driver_handle.clone()))
}

fn timers() -> Option<driver::TimersOf> {
    #[cfg(test)]
    if let Some(handle) = driver::testing::entered() {
        return Some(driver::TimersOf::first(&handle));
    }
    let part = with(|thread| thread.map_or(0, |thread| thread.part()));
    with_shared(|shared| {
        let timers = &shared?.timers;
        Some(timers[part % timers.len()].clone())
    })
}

/// Whether this is the poll of a task of the runtime with that driver: a task that is dropped when
/// the runtime ends. The future of a `block_on` inside a task is none.
pub(crate) fn is_task_of(handle: &driver::Handle) -> bool {
    #[cfg(test)]
    if driver::testing::entered().is_some_and(|entered| entered.is_same(handle)) {
        return true;
    }
    with(|thread| {
        thread.is_some_and(|thread| {
            thread.poll.of_task.get() && thread.shared.driver_handle.is_same(handle)
        })
    })
}
