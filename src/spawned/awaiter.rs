//! The waker of whoever waits for a task.
//!
//! `async_task` clones, calls and drops it, and ends the process if any of that panics. The waker of
//! a task of ours never does; a stranger's may. So a stranger's is given to `async_task` in a shell
//! that keeps its panics. Ours is given as it is: to wait for a task in a task allocates nothing.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, RawWakerVTable, Wake, Waker};

use crate::primitive::quietly;

/// A waker's identity: what `will_wake` compares.
type Name = (*const (), *const RawWakerVTable);

thread_local! {
    /// The waker with which this thread polls a future of ours.
    static OURS: Cell<Name> = const { Cell::new((ptr::null(), ptr::null())) };
}

fn name(waker: &Waker) -> Name {
    (waker.data(), waker.vtable())
}

/// Polls a future with a waker of this crate's own, of which no method panics.
#[inline]
pub(crate) fn poll_with_ours<F: Future>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    struct Restore(Name);
    impl Drop for Restore {
        #[inline]
        fn drop(&mut self) {
            OURS.set(self.0);
        }
    }
    let _restore = Restore(OURS.replace(name(cx.waker())));
    future.poll(cx)
}

/// Whether this is the waker with which the innermost future of ours is polled on this thread.
#[inline]
pub(super) fn is_ours(waker: &Waker) -> bool {
    OURS.get() == name(waker)
}

/// A stranger's waker, whose panics are nobody's business.
pub(super) struct Shell(Option<Waker>);

impl Shell {
    pub(super) fn new(waker: &Waker) -> Arc<Shell> {
        Arc::new(Shell(Some(waker.clone())))
    }

    /// Whether it is the shell of this one.
    pub(super) fn is_of(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|mine| mine.will_wake(waker))
    }
}

impl Wake for Shell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        quietly(|| self.0.iter().for_each(Waker::wake_by_ref));
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let waker = self.0.take();
        quietly(|| drop(waker));
    }
}
