//! `pause`, `advance` and `resume`.

use std::time::Duration;

use crate::context;
use crate::driver::{Handle, Refused};
use crate::primitive::quietly;

/// Stops the clock of the current runtime, for tests: from here on time goes on by [`advance`], and
/// by jumps.
///
/// The clock is that of [`Instant::now`](super::Instant::now) and of all timers of the runtime;
/// [`std::time::Instant`] knows nothing of it. The runtime must be a
/// [current-thread](crate::runtime::Builder::new_current_thread) one, as that of
/// [`#[threadlet::test]`](macro@crate::test) is unless told otherwise. To begin with a clock that
/// stands, see [`Builder::start_paused`](crate::runtime::Builder::start_paused), and the option of
/// that name of both attributes.
///
/// # Jumps
///
/// When every task waits, and so does the future in `block_on`, the clock jumps to the next timer.
/// A test that sleeps for an hour takes no time. (Timers end with their time, 584 years behind the start
/// of the runtime: nothing is due later than that.)
///
/// It does not jump while a call is in flight: a [`threadlet!`](crate::threadlet), a
/// [`run`](crate::run), a [`spawn_blocking`](crate::task::spawn_blocking), a call of
/// [`fs`](crate::fs), or one that said nothing. So what waits for such a call, with a limit, is not
/// told that the limit has passed. What waits for another process, or for a peer on the network
/// that is no task of this runtime, has no such protection.
///
/// # Panics
///
/// Outside a runtime, in a multi-thread runtime, and if the clock stands already.
///
/// # Examples
///
/// ```
/// use threadlet::time::{self, Duration, Instant, sleep};
///
/// threadlet::block_on(async {
///     time::pause();
///     let start = Instant::now();
///     sleep(Duration::from_secs(3600)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
/// });
/// ```
#[track_caller]
pub fn pause() {
    done(driver().stop_clock());
}

/// Lets the clock of the current runtime go on, from where it stands.
///
/// # Panics
///
/// Outside a runtime, in a multi-thread runtime, if the clock does not stand, and in a
/// [`deterministic`](crate::runtime::Builder::deterministic) runtime, in which it always does.
#[track_caller]
pub fn resume() {
    let is_replayed =
        context::with_shared(|shared| shared.is_some_and(|shared| shared.turns.is_some()));
    assert!(!is_replayed, "the clock of a deterministic runtime stands for as long as that lives");
    done(driver().start_clock());
}

/// Moves the clock of the current runtime on while it stands, and lets the others run, once.
///
/// All timers that are due then are woken at once, in the order of their deadlines; whether their
/// tasks have run when this returns is not said. To have them run one after the other, each at its
/// time, [`sleep`](super::sleep()) instead: the clock jumps from one to the next.
///
/// # Panics
///
/// At the first poll: outside a runtime, in a multi-thread runtime, if the clock does not stand,
/// and if `duration` leads out of its range.
///
/// # Cancel safety
///
/// Cancelled behind its first poll, the clock has moved.
///
/// # Examples
///
/// ```
/// use threadlet::time::{self, Duration, Instant};
///
/// threadlet::block_on(async {
///     time::pause();
///     let start = Instant::now();
///     time::advance(Duration::from_secs(10)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(10));
/// });
/// ```
pub async fn advance(duration: Duration) {
    let mut ready = Vec::new();
    done(driver().move_clock(duration, &mut ready));
    ready.into_iter().for_each(|waker| quietly(|| waker.wake()));
    crate::task::yield_now().await;
}

/// The driver of the current runtime, if its clock can be stopped.
#[track_caller]
fn driver() -> Handle {
    let driver = context::current_timers("the clock of a test").driver().clone();
    let one_core =
        context::with_shared(|shared| shared.is_none_or(|shared| shared.config.current_thread));
    assert!(
        one_core,
        "the clock of a multi-thread runtime cannot be stopped: take \
         `Builder::new_current_thread`, or `flavor = \"current_thread\"` in the attribute"
    );
    driver
}

#[track_caller]
fn done(result: Result<(), Refused>) {
    match result {
        Ok(()) => {}
        Err(Refused::Stands) => panic!("the clock stands already"),
        Err(Refused::Goes) => panic!("the clock does not stand: call `time::pause` first"),
        Err(Refused::TooFar) => panic!("the clock cannot be moved so far"),
    }
}
