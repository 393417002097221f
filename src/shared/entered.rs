//! Which runtimes have been entered on this thread.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// A runtime that was entered, and by which guard.
type Entered = (u64, Arc<Shared>);

/// Enters a runtime on this thread; [`leave`] undoes it. Returns the name of this entry.
pub(crate) fn enter(shared: Arc<Shared>) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    // In a thread-local destructor the list may be gone, and nothing can be entered any more.
    let _gone = ENTERED.try_with(|entered| entered.borrow_mut().push((name, shared)));
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
pub(crate) fn forget_all() {
    // Not dropped: the last reference would shut a runtime down that is not there.
    let entered = ENTERED
        .try_with(|entered| entered.try_borrow_mut().map(|mut list| std::mem::take(&mut *list)));
    std::mem::forget(entered);
}

/// The one entered last.
pub(crate) fn last() -> Option<Arc<Shared>> {
    // In a thread-local destructor the list may be gone: then nothing is entered. The list is not
    // borrowed any more when the answer is used: that may run a destructor of the user's, which
    // enters a runtime.
    let entered = ENTERED.try_with(|entered| {
        let entered = entered.borrow();
        entered.last().map(|(_, shared)| shared.clone())
    });
    entered.ok().flatten()
}
