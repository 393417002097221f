//! Which runtime is current: the one entered last, or the one whose thread this is.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::thread::with;
use crate::driver;
use crate::shared::Shared;

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// A runtime that was entered, and by which guard.
type Entered = (u64, Arc<Shared>);

/// Enters a runtime on this thread; [`leave`] undoes it. Returns the name of this entry.
pub(crate) fn enter(shared: Arc<Shared>) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    ENTERED.with_borrow_mut(|entered| entered.push((name, shared)));
    name
}

/// Undoes an entry, whether or not it is the last one.
pub(crate) fn leave(name: u64) {
    // A guard that outlives the thread-local has nothing to undo.
    let left = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let nth = entered.iter().rposition(|(other, _)| *other == name)?;
        Some(entered.remove(nth))
    });
    drop(left);
}

/// In a child of `fork` nothing is entered.
pub(super) fn forget_all() {
    // Not dropped: the last reference would shut a runtime down that is not there.
    let entered = ENTERED
        .try_with(|entered| entered.try_borrow_mut().map(|mut list| std::mem::take(&mut *list)));
    std::mem::forget(entered);
}

/// The runtime that `spawn` and timers use on this thread: the one entered last, or the one the
/// thread belongs to.
pub(crate) fn with_shared<R>(f: impl FnOnce(Option<&Arc<Shared>>) -> R) -> R {
    // In a thread-local destructor the list may be gone: then nothing is entered. The list is not
    // borrowed while `f` runs, which may run a destructor of the user's that enters a runtime.
    let entered = ENTERED.try_with(|entered| {
        let entered = entered.borrow();
        entered.last().map(|(_, shared)| shared.clone())
    });
    match entered.ok().flatten() {
        Some(shared) => f(Some(&shared)),
        None => with(|thread| f(thread.map(|thread| thread.shared))),
    }
}

/// The driver of the current runtime, for `what`.
///
/// # Panics
///
/// With `what` in the message, if the thread is in no runtime.
#[track_caller]
pub(crate) fn current_driver(what: &str) -> driver::Handle {
    // Not `unwrap_or_else`: a closure would hide the caller's place from the panic.
    match driver() {
        Some(handle) => handle,
        None => panic!(
            "{what} needs a threadlet runtime, and this thread is in none: call it from within \
             `threadlet::block_on`, `#[threadlet::main]` or a spawned task, or enter a runtime \
             first with `Runtime::enter`"
        ),
    }
}

fn driver() -> Option<driver::Handle> {
    #[cfg(test)]
    if let Some(handle) = driver::testing::entered() {
        return Some(handle);
    }
    with_shared(|shared| shared.map(|shared| shared.driver_handle.clone()))
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
