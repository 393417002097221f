//! How this library takes part in the runtime: each poll and each call of one goes through here, and
//! what it says of itself is said in tokio's words.
//!
//! A poll that is under way is what tokio calls an asynchronous context: a `block_on` there, or the
//! end of a runtime that is waited for, panics, as in tokio. A call that may block (`block_in_place`,
//! `spawn_blocking`, `threadlet!`) is none.

use std::cell::Cell;

use threadlet::__private::{Around, Missing, say, take_part};

thread_local! {
    /// The innermost of them that this thread is in is a poll.
    static IN_POLL: Cell<bool> = const { Cell::new(false) };
}

pub(crate) const NO_RUNTIME: &str =
    "there is no reactor running, must be called from the context of a Tokio 1.x runtime";

/// From here on. Whoever may be the first to need it says so; all but the first time it is a load.
#[inline]
pub(crate) fn take() {
    take_part(Around { polls: around, calls: without });
    say(words);
}

fn words(missing: Missing) -> &'static str {
    match missing {
        Missing::Sockets => {
            "A Tokio 1.x context was found, but IO is disabled. Call `enable_io` on the runtime \
             builder to enable IO."
        }
        Missing::Timers => {
            "A Tokio 1.x context was found, but timers are disabled. Call `enable_time` on the \
             runtime builder to enable timers."
        }
        Missing::Shutdown => "A Tokio 1.x context was found, but it is being shutdown.",
        _ => NO_RUNTIME,
    }
}

fn around(poll: &mut dyn FnMut()) {
    within(true, || crate::budget::around(poll));
}

/// Another executor in it is not to be stopped by a spent budget.
fn without(call: &mut dyn FnMut()) {
    within(false, || crate::budget::uncounted(call));
}

fn within(is_poll: bool, f: impl FnOnce()) {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_POLL.set(self.0);
        }
    }
    let _restore = Restore(IN_POLL.replace(is_poll));
    f();
}

/// A future is to be waited for here.
///
/// # Panics
///
/// In a poll.
#[track_caller]
pub(crate) fn demand_blocking() {
    assert!(
        !IN_POLL.get(),
        "Cannot start a runtime from within a runtime. This happens because a function (like \
         `block_on`) attempted to block the current thread while the thread is being used to drive \
         asynchronous tasks. If you are in an async function, use `.await` on the future instead of \
         blocking on it."
    );
}

/// Something that waits for the threads of its runtime when it is dropped. In front of it, this
/// panics in a poll.
#[derive(Debug)]
pub(crate) struct Waits;

impl Drop for Waits {
    fn drop(&mut self) {
        assert!(
            !IN_POLL.get() || std::thread::panicking(),
            "Cannot drop a runtime in a context where blocking is not allowed. This happens when a \
             runtime is dropped from within an asynchronous context."
        );
    }
}
