//! How a thread of the runtime sleeps, and how it is woken.
//!
//! One word per thread. `unpark` leaves a token that the next `park` consumes, so a wake-up that
//! comes before the sleep is not lost: either the waker's swap comes first and `park` finds the
//! token, or `park`'s swap comes first and the waker finds a sleeper and wakes it by the means it
//! sleeps by.
//!
//! | state | meaning | who leaves it |
//! |---|---|---|
//! | `EMPTY` | awake, no token | the owner, to sleep; a waker, to leave a token |
//! | `TOKEN` | awake, or about to be | the owner, which consumes it |
//! | `FUTEX` | asleep on the futex | a waker, to `TOKEN` |
//! | `DRIVER` | asleep in the I/O driver | a waker, to `TOKEN` |

use std::time::{Duration, Instant};

use crate::primitive::{AtomicU32, Ordering, Sleep, weakened};

const EMPTY: u32 = 0;
const TOKEN: u32 = 1;
const FUTEX: u32 = 2;
const DRIVER: u32 = 3;

/// What is left for the waker to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Unparked {
    /// The thread was awake, or already on its way: no system call was made.
    Awake,
    /// The thread slept on its futex and has been woken.
    Woken,
    /// The thread sleeps in the I/O driver: the caller unparks the driver.
    InDriver,
}

/// One thread's sleep.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU32,
    sleep: Sleep,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Parker { state: AtomicU32::new(EMPTY), sleep: Sleep::new() }
    }

    /// Sleeps until a token comes, or `timeout` is over. Returns whether it was a token.
    pub(crate) fn park(&self, timeout: Option<Duration>) -> bool {
        if !self.fall_asleep(FUTEX) {
            return true;
        }
        // A signal, or a wake-up that was meant for another, ends a wait early.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut left = timeout;
        loop {
            let in_time = self.sleep.wait(&self.state, FUTEX, left);
            left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Ordering: Acquire, on both paths below. Partner: the Release of `unpark`.
            if self.state.load(Ordering::Acquire) == TOKEN || !in_time {
                return self.state.swap(EMPTY, Ordering::Acquire) == TOKEN;
            }
        }
    }

    /// Before a sleep in the driver. `false`: a token was there, do not sleep.
    #[must_use]
    pub(crate) fn enter_driver(&self) -> bool {
        self.fall_asleep(DRIVER)
    }

    /// After a sleep in the driver. Returns whether somebody had left a token.
    pub(crate) fn leave_driver(&self) -> bool {
        self.state.swap(EMPTY, Ordering::Acquire) == TOKEN
    }

    fn fall_asleep(&self, how: u32) -> bool {
        // Ordering: Acquire on failure, for what the waker published; the success needs nothing of
        // its own: what the sleeper announced is fenced by the idle protocol.
        match self.state.compare_exchange(EMPTY, how, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => true,
            Err(token) => {
                debug_assert_eq!(token, TOKEN, "only the owner sleeps on its parker");
                self.state.store(EMPTY, Ordering::Relaxed);
                false
            }
        }
    }

    /// Leaves a token, and wakes the thread if it sleeps on its futex.
    pub(crate) fn unpark(&self) -> Unparked {
        // Ordering: Release. Partner: the Acquire of `park` and `leave_driver`.
        match self.state.swap(TOKEN, weakened!("unpark-relaxed", Ordering::AcqRel)) {
            FUTEX => {
                self.sleep.wake(&self.state);
                Unparked::Woken
            }
            DRIVER => Unparked::InDriver,
            _ => Unparked::Awake,
        }
    }
}
