//! The units that tokio's own parts count.
//!
//! A channel that always has something makes its task let others go on: it spends a unit of a budget
//! that tokio's runtime hands out at each poll. That runtime is never started, so [`around`] does it
//! at each poll of ours, and [`uncounted`] takes it away for a call. (What is ours counts units of our
//! own. A poll has both.)
//!
//! tokio shows no way to set the budget, but two to put it back. A `RestoreOnPending` puts back, when
//! it is dropped, what there was when it was taken: one that was taken from a full budget fills the
//! budget, and each thread keeps one, of which it drops copies. `Unconstrained` puts back behind its
//! poll what there was before, on a plain thread no budget. The first full one is that of a task in a
//! `LocalSet`, which needs no runtime.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use real::task::coop::{RestoreOnPending, poll_proceed, unconstrained};

/// It is a number, and whether there is one; it owns nothing that could be given back twice.
const _: () = assert!(size_of::<RestoreOnPending>() == 2);

thread_local! {
    static FULL: ManuallyDrop<Option<RestoreOnPending>> = ManuallyDrop::new(first());
}

/// Runs a poll of our runtime, with all of tokio's units.
pub(crate) fn around(poll: &mut dyn FnMut()) {
    let turn = pin!(unconstrained(poll_fn(|_| {
        fill();
        poll();
        Poll::Ready(())
    })));
    let _ready = turn.poll(&mut Context::from_waker(Waker::noop()));
}

/// Runs `f`, in which nothing is counted, neither of ours nor of tokio's.
pub(crate) fn uncounted<R>(f: impl FnOnce() -> R) -> R {
    let (mut f, mut result) = (Some(f), None);
    let call = pin!(crate::task::unconstrained(poll_fn(|_| {
        result = f.take().map(|f| f());
        Poll::Ready(())
    })));
    let _ready = call.poll(&mut Context::from_waker(Waker::noop()));
    result.expect("it is polled once")
}

#[allow(unsafe_code, reason = "a second drop of what owns nothing")]
fn fill() {
    FULL.with(|full| {
        if let Some(full) = &**full {
            // SAFETY: it is read from a reference. What is dropped here is a copy of two bytes, whose
            // destructor writes them into a thread-local of this thread; the original is not dropped.
            drop(unsafe { std::ptr::read(full) });
        }
    });
}

#[cold]
fn first() -> Option<RestoreOnPending> {
    let taken = Rc::new(Cell::new(None));
    let set = real::task::LocalSet::new();
    let into = taken.clone();
    set.spawn_local(poll_fn(move |cx| {
        if let Poll::Ready(restore) = poll_proceed(cx) {
            into.set(Some(restore));
        }
        Poll::Ready(())
    }));
    let _ready = pin!(set).poll(&mut Context::from_waker(Waker::noop()));
    taken.take()
}
