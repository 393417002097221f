//! Timers as users see them.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Context;

use futures::future::join_all;

use super::*;
use crate::driver;
use crate::driver::testing::{PATIENCE, block_on, block_on_with, counter, enter};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn sleeps_end_and_never_early() {
    let ended = std::sync::Mutex::new(Vec::new());
    block_on(async {
        let start = Instant::now();
        join_all([12, 4, 8, 0].map(|n| {
            let ended = &ended;
            async move {
                sleep(ms(n)).await;
                assert!(start.elapsed() >= ms(n));
                ended.lock().expect("no poison").push(n);
            }
        }))
        .await;
    });
    // On a busy machine several are due at once, and their order is the joiner's.
    let mut ended = ended.into_inner().expect("no poison");
    ended.sort_unstable();
    assert_eq!(ended, [0, 4, 8, 12]);
}

#[test]
fn a_dropped_sleep_leaves_nothing() {
    let (mut driver, handle) = driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let (counter, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let mut sleep = Box::pin(sleep(ms(1)));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(handle.timer_count(), 1);
        drop(sleep);
        assert_eq!(handle.timer_count(), 0);
        super::sleep(ms(5)).await;
        assert_eq!(counter.get(), 0);
    });
}

#[test]
fn far_deadlines_do_not_overflow() {
    block_on(async {
        let (_, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let mut forever = pin!(sleep(Duration::MAX));
        assert!(forever.as_mut().poll(&mut cx).is_pending());
        assert!(forever.deadline() > Instant::now() + Duration::from_secs(1 << 29));
        assert_eq!(timeout(Duration::MAX, async { 1 }).await, Ok(1));
        let mut ticks = interval(Duration::MAX);
        ticks.tick().await;
        assert!(ticks.poll_tick(&mut cx).is_pending());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.reset();
        assert!(ticks.poll_tick(&mut cx).is_pending());
        // A driver whose only bound is a far one waits all the same, and is woken.
        sleep(ms(1)).await;
    });
}

#[test]
fn reset_moves_a_waiting_sleep() {
    block_on(async {
        let start = Instant::now();
        let mut long = pin!(sleep(PATIENCE));
        let (counter, waker) = counter();
        assert!(long.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        long.as_mut().reset(start + ms(5));
        sleep(ms(10)).await;
        assert_eq!(counter.get(), 1, "woken at the new deadline, not polled in between");
        long.as_mut().await;
        assert!(long.is_elapsed());
        long.as_mut().reset(Instant::now() + ms(5));
        assert!(!long.is_elapsed());
        let deadline = long.deadline();
        long.await;
        assert!(Instant::now() >= deadline && start.elapsed() < PATIENCE / 2);
    });
}

/// tokio-util's `DelayQueue` counts on it: it moves the timer that its task waits for to a time that
/// has passed, and the task was not told before the worker's next look at the timers.
#[test]
fn reset_to_what_has_passed_wakes_at_once() {
    block_on(async {
        let mut long = pin!(sleep(PATIENCE));
        let (counter, waker) = counter();
        assert!(long.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        long.as_mut().reset(Instant::now());
        assert_eq!(counter.get(), 1);
        long.await;
        assert_eq!(counter.get(), 1, "and once only");
    });
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    block_on(async {
        let mut once = pin!(sleep(ms(3)));
        let (first, first_waker) = counter();
        let (second, second_waker) = counter();
        for waker in [&first_waker, &second_waker] {
            assert!(once.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        sleep(ms(6)).await;
        assert_eq!((first.get(), second.get()), (0, 1));
    });
}

#[test]
fn timeouts() {
    block_on(async {
        let start = Instant::now();
        let error = timeout(ms(5), pending::<()>()).await.expect_err("it never ends");
        assert!(start.elapsed() >= ms(5));
        assert_eq!(error.to_string(), "the time limit has passed");
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(timeout(Duration::ZERO, async { 2 }).await, Ok(2), "ready wins");
        assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
        let in_time = timeout_at(start + PATIENCE, async {
            sleep(ms(2)).await;
            3
        });
        assert_eq!(in_time.await, Ok(3));
        let mut unlimited = timeout(Duration::ZERO, async { 4 });
        let _ = unlimited.get_mut();
        assert_eq!(unlimited.into_inner().await, 4);
    });
}

#[test]
fn an_interval_ticks_from_its_start() {
    block_on(async {
        let start = Instant::now();
        let mut ticks = interval(ms(4));
        let first = ticks.tick().await;
        assert!(first >= start && first.elapsed() < ms(4) + PATIENCE);
        for n in 1..4 {
            let tick = ticks.tick().await;
            assert_eq!(tick - first, ms(4) * n);
            assert!(Instant::now() >= tick);
        }
        assert_eq!(ticks.period(), ms(4));
        let before = Instant::now();
        ticks.reset();
        let after = Instant::now();
        let tick = ticks.tick().await;
        assert!(tick >= before + ms(4) && tick <= after + ms(4));
        let later = Instant::now() + ms(3);
        assert_eq!(interval_at(later, ms(1)).tick().await, later);
    });
}

/// Takes the tick of 200 at 450 or later; what is due then is compared with what the behaviour
/// promises for the time at which it was taken, so that a slow machine does not matter.
#[test]
fn missed_ticks() {
    const PERIOD: Duration = Duration::from_millis(100);
    for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip]
    {
        block_on(async {
            let base = Instant::now().checked_sub(ms(450)).expect("the machine is up for longer");
            let mut ticks = interval_at(base + ms(200), PERIOD);
            ticks.set_missed_tick_behavior(behavior);
            assert_eq!(ticks.missed_tick_behavior(), behavior);
            let before = Instant::now();
            assert_eq!(ticks.tick().await, base + ms(200));
            let after = Instant::now();
            let next = ticks.tick().await;
            assert!(Instant::now() >= next);
            match behavior {
                MissedTickBehavior::Burst => {
                    assert_eq!(next, base + ms(300));
                    assert_eq!(ticks.tick().await, base + ms(400));
                }
                MissedTickBehavior::Delay => {
                    assert!(next >= before + PERIOD && next <= after + PERIOD);
                }
                MissedTickBehavior::Skip => {
                    assert!(next > before && next <= after + PERIOD);
                    assert_eq!((next - base).as_nanos() % PERIOD.as_nanos(), 0);
                }
            }
        });
    }
}

#[test]
fn a_cancelled_tick_is_not_lost() {
    block_on(async {
        let mut ticks = interval(ms(100));
        let first = ticks.tick().await;
        assert!(timeout(ms(1), ticks.tick()).await.is_err());
        assert_eq!(ticks.tick().await, first + ms(100));
    });
}

#[test]
#[should_panic(expected = "the period of an interval must not be zero")]
fn an_interval_of_zero_panics() {
    let _ = interval(Duration::ZERO);
}

#[test]
fn outside_a_runtime_the_first_poll_panics_and_says_what_to_do() {
    let mut sleep = Box::pin(sleep(ms(1)));
    let (_, waker) = counter();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _ = sleep.as_mut().poll(&mut Context::from_waker(&waker));
    }))
    .expect_err("there is no runtime");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("a timer needs a threadlet runtime"), "{text}");
    assert!(text.contains("threadlet::block_on"), "{text}");
    // Created outside and polled inside is fine.
    block_on(sleep);
}

#[test]
fn after_shutdown_a_sleep_stays_pending_at_home_and_panics_abroad() {
    let (_driver, handle) = driver::new(1);
    let (counter, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    let mut sleep = Box::pin(sleep(PATIENCE));
    {
        let _entered = enter(&handle);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        handle.shutdown().into_iter().for_each(std::task::Waker::wake);
        assert_eq!(counter.get(), 1);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
    }
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _ = sleep.as_mut().poll(&mut cx);
    }));
    assert!(panic.is_err());
}
