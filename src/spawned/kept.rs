//! The keeper of tasks: it lives as long as the memory of any of them.
//!
//! To count each task in the keeper's own `Arc` would be two visits of all spawners to one cache line
//! for each task. So tasks are counted by the part of the list that they belong to, next to its lock,
//! which a task takes anyway when it is born and when it ends. All tasks of a part together have one
//! reference to the keeper: whoever counts the first takes it, whoever counts the last out gives it
//! back.
//!
//! Those two may meet: one counts the last task out, the next one counts a first one in, and only then
//! does the former give the reference back. That is no harm. Each step from nought takes one
//! reference, each step to nought gives one back, and whoever takes one has the keeper in hand.
//!
//! A part that has had a task counts one more, until its list is closed ([`close`]): tasks that come
//! one after the other, each when the last has gone, leave the keeper's `Arc` alone. (A child of `fork`
//! closes no list of its parent's, and so keeps the memory of the runtime that it has inherited.)

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use super::header::Keeper;
use super::owned::{Owned, SHARDS};

/// That of an `Arc`, for the functions below.
#[inline]
pub(super) fn pointer<K>(keeper: &Arc<K>) -> NonNull<K> {
    NonNull::new(Arc::as_ptr(keeper).cast_mut()).expect("it is somewhere")
}

/// One more of that part has the keeper.
///
/// # Safety
///
/// The pointer is that of an `Arc` ([`pointer()`]), which somebody keeps meanwhile.
#[inline]
pub(super) unsafe fn keep<K: Keeper>(keeper: NonNull<K>, shard: usize) {
    // SAFETY: the caller's.
    let count = unsafe { keeper.as_ref() }.list().kept(shard);
    // Ordering: Relaxed, as in `Arc`: whoever counts one in has it already.
    if count.fetch_add(1, Ordering::Relaxed) == 0 {
        // SAFETY: the caller's.
        unsafe { Arc::increment_strong_count(keeper.as_ptr()) };
    }
}

/// One less: the keeper may be gone behind this.
///
/// # Safety
///
/// It was counted by [`keep`], of the same part, and is so no more.
#[inline]
pub(super) unsafe fn let_go<K: Keeper>(keeper: NonNull<K>, shard: usize) {
    // Not a reference: another may count the last one out, and the keeper may go, while this function
    // has still to return.
    // SAFETY: the caller's count keeps it so far.
    let count: NonNull<AtomicUsize> = NonNull::from(unsafe { keeper.as_ref() }.list().kept(shard));
    // SAFETY: as above.
    // Ordering: as in `Arc`. What each has done with the keeper comes before what the last one does.
    if unsafe { count.as_ref() }.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: the reference of this part, which its first has taken.
        drop(unsafe { Arc::from_raw(keeper.as_ptr()) });
    }
}

/// No task may be spawned from here on.
pub(crate) fn close<K: Keeper>(keeper: &Arc<K>) {
    let (owned, pointer): (&Owned, _) = (keeper.list(), pointer(keeper));
    for shard in 0..SHARDS {
        if owned.close(shard) {
            // SAFETY: `add` has counted it, and the list says so once.
            unsafe { let_go(pointer, shard) };
        }
    }
}
