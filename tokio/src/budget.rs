//! The units that tokio's own parts count.
//!
//! A channel that always has something makes its task let others go on: it spends a unit of a budget
//! that tokio's runtime hands out at each poll. That runtime is never started, so [`around`] does it
//! at each poll of ours, and [`without`] takes it away for a call. (What is ours counts units of our own. A poll has both.)
//!
//! tokio shows no way to set the budget, but two to put it back. A `RestoreOnPending` puts back, when
//! it is dropped, what there was when it was taken; so each thread keeps one that was taken from a full
//! budget, and dropping it fills the budget, from which the next one is taken. `Unconstrained` puts
//! back behind its poll what there was before, on a plain thread no budget. The first full one is that
//! of a task in a `LocalSet`, which needs no runtime.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use real::task::coop::{RestoreOnPending, poll_proceed, unconstrained};

thread_local! {
    static FULL: Cell<Option<RestoreOnPending>> = const { Cell::new(None) };
}

/// Each poll of our runtime has units of tokio's budget from here on.
pub(crate) fn share() {
    threadlet::__private::take_part(threadlet::__private::Around { polls: around, calls: without });
}

fn around(poll: &mut dyn FnMut()) {
    let turn = pin!(unconstrained(poll_fn(|cx| {
        fill(cx);
        poll();
        Poll::Ready(())
    })));
    let _ready = turn.poll(&mut Context::from_waker(Waker::noop()));
}

/// A call that may block: another executor in it is not to be stopped by a spent budget.
fn without(call: &mut dyn FnMut()) {
    uncounted(call);
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

/// A thread that ends, and has no such value any more, goes on without a budget.
fn fill(cx: &mut Context<'_>) {
    let _ended = FULL.try_with(|full| {
        drop(full.take().or_else(first));
        if let Poll::Ready(restore) = poll_proceed(cx) {
            full.set(Some(restore));
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
