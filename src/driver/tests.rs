//! The driver by itself: waking it, timers, shutdown.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::UnixStream;

use super::testing::{PATIENCE, counter};
use super::*;
use crate::sys::poll::testing::under_signals;

const LONG: Option<Duration> = Some(PATIENCE);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A source that is not ready, and its other end.
fn source(handle: &Handle) -> (Evented<UnixStream>, UnixStream) {
    let (source, other) = UnixStream::pair().expect("a pair");
    let source = Evented::with_handle(source, Interest::READABLE, handle.clone());
    (source.expect("registered"), other)
}

/// With a driver that waits on its futex, and with one that waits in its poller.
fn by_either_means(test: impl Fn(&mut Driver, Handle)) {
    let (mut driver, handle) = new(1);
    test(&mut driver, handle);
    assert!(driver.poller.is_none());
    let (mut driver, handle) = new(1);
    let _source = source(&handle);
    driver.turn(LONG, &mut Vec::new()).expect("turns");
    test(&mut driver, handle);
    assert!(driver.poller.is_some());
}

/// Turns until a waker is due.
fn turn_until_ready(driver: &mut Driver) -> Vec<Waker> {
    let mut ready = Vec::new();
    while ready.is_empty() {
        // How long one turn is, and not all of them: on a busy machine each takes its time.
        let start = Instant::now();
        driver.turn(LONG, &mut ready).expect("the driver turns");
        assert!(start.elapsed() < PATIENCE, "something was slept through");
    }
    ready
}

#[test]
fn zero_never_blocks_and_keeps_the_token() {
    by_either_means(|driver, handle| {
        let mut ready = Vec::new();
        let start = Instant::now();
        driver.turn(Some(Duration::ZERO), &mut ready).expect("turns");
        handle.unpark();
        driver.turn(Some(Duration::ZERO), &mut ready).expect("turns");
        // The token is still there, so this does not wait either; the one after it does.
        driver.turn(LONG, &mut ready).expect("turns");
        assert!(start.elapsed() < PATIENCE / 2);
        let start = Instant::now();
        driver.turn(Some(ms(20)), &mut ready).expect("turns");
        assert!(start.elapsed() >= ms(20));
        assert!(ready.is_empty());
    });
}

#[test]
fn unpark_wakes_a_parked_driver_every_time() {
    by_either_means(|driver, handle| {
        let stop = Arc::new(AtomicBool::new(false));
        let work = Arc::new(Mutex::new(0));
        let waker = {
            let (stop, work) = (stop.clone(), work.clone());
            thread::spawn(move || {
                let mut rounds = 0_u32;
                while !stop.load(Ordering::Acquire) {
                    // Publish only when the last piece was taken: each must be seen because of its
                    // own unpark, not because of the next one's.
                    if std::mem::replace(&mut *work.lock().expect("no poison"), 1) == 0 {
                        handle.unpark();
                        rounds += 1;
                    }
                    if rounds.is_multiple_of(7) {
                        thread::sleep(Duration::from_micros(20));
                    } else {
                        thread::yield_now();
                    }
                }
            })
        };
        let mut ready = Vec::new();
        for round in 0..3_000 {
            while std::mem::take(&mut *work.lock().expect("no poison")) == 0 {
                // Without bound in one half, in the poller an `epoll_wait`; in the other a `ppoll`.
                let max = if round % 2 == 0 { None } else { LONG };
                let start = Instant::now();
                driver.turn(max, &mut ready).expect("turns");
                assert!(start.elapsed() < PATIENCE, "an unpark was slept through");
            }
        }
        stop.store(true, Ordering::Release);
        waker.join().expect("no panic");
    });
}

#[test]
fn an_earlier_timer_wakes_a_driver_parked_with_a_later_deadline() {
    by_either_means(|driver, handle| {
        let (_, far) = counter();
        let _far = TimersOf::first(&handle).insert(Instant::now() + PATIENCE, &far).expect("alive");
        let start = Instant::now();
        let other = thread::spawn(move || {
            thread::sleep(ms(30));
            let (_, near) = counter();
            TimersOf::first(&handle).insert(Instant::now() + ms(10), &near).expect("alive");
        });
        let ready = turn_until_ready(driver);
        let elapsed = start.elapsed();
        assert_eq!(ready.len(), 1);
        assert!(elapsed >= ms(40) && elapsed < PATIENCE / 2, "{elapsed:?}");
        other.join().expect("no panic");
    });
}

/// The race of `parking`: the timer arrives at any moment of the driver's way into its wait.
#[test]
fn an_earlier_timer_is_never_slept_through() {
    by_either_means(|driver, handle| {
        let go = Arc::new(std::sync::Barrier::new(2));
        let rounds = 2_000_u32;
        let other = {
            let (handle, go) = (handle.clone(), go.clone());
            thread::spawn(move || {
                let (_, waker) = counter();
                for round in 0..rounds {
                    go.wait();
                    for _ in 0..round % 97 * 4 {
                        std::hint::spin_loop();
                    }
                    TimersOf::first(&handle).insert(Instant::now(), &waker).expect("alive");
                }
            })
        };
        let (_, far) = counter();
        let _far =
            TimersOf::first(&handle).insert(Instant::now() + PATIENCE * 10, &far).expect("alive");
        for _ in 0..rounds {
            go.wait();
            let ready = turn_until_ready(driver);
            assert_eq!(ready.len(), 1);
        }
        other.join().expect("no panic");
    });
}

#[test]
fn timers_fire_in_order_and_below_a_millisecond() {
    by_either_means(|driver, handle| {
        let now = Instant::now();
        let mut counters = Vec::new();
        for micros in [900, 300, 600] {
            let (counter, waker) = counter();
            let deadline = now + Duration::from_micros(micros);
            let key = TimersOf::first(&handle).insert(deadline, &waker).expect("alive");
            counters.push((micros, counter, key));
        }
        assert_eq!(handle.next_deadline(), Some(now + Duration::from_micros(300)));
        counters.sort_by_key(|&(micros, ..)| micros);
        let mut ready = Vec::new();
        for (micros, counter, _) in &counters {
            while ready.is_empty() {
                driver.turn(LONG, &mut ready).expect("turns");
            }
            let deadline = now + Duration::from_micros(*micros);
            assert!(Instant::now() >= deadline, "never early");
            ready.remove(0).wake();
            assert_eq!(counter.get(), 1, "the earliest first");
        }
        assert_eq!(handle.next_deadline(), None);
        // A driver that rounded the timeout up to milliseconds could not do a hundred in this time.
        let start = Instant::now();
        let mut best = Duration::MAX;
        for _ in 0..100 {
            let deadline = Instant::now() + Duration::from_micros(200);
            let (_, waker) = counter();
            TimersOf::first(&handle).insert(deadline, &waker).expect("alive");
            turn_until_ready(driver);
            best = best.min(deadline.elapsed());
        }
        assert!(best < Duration::from_micros(700), "{best:?} late at best, {:?}", start.elapsed());
    });
}

#[test]
fn removed_updated_and_reset_timers() {
    let (mut driver, handle) = new(1);
    let now = Instant::now();
    let (removed, waker) = counter();
    let key = TimersOf::first(&handle).insert(now, &waker).expect("alive");
    TimersOf::first(&handle).remove(key);
    assert_eq!((handle.next_deadline(), handle.timer_count()), (None, 0));

    let (old, old_waker) = counter();
    let (new, new_waker) = counter();
    let key = TimersOf::first(&handle).insert(now + PATIENCE, &old_waker).expect("alive");
    assert!(TimersOf::first(&handle).update(&key, &new_waker));
    let key = TimersOf::first(&handle).reset(key, now + ms(50)).expect("it has not fired");
    turn_until_ready(&mut driver).into_iter().for_each(Waker::wake);
    assert_eq!((removed.get(), old.get(), new.get()), (0, 0, 1));
    assert!(!TimersOf::first(&handle).update(&key, &new_waker), "it has fired");
    assert!(TimersOf::first(&handle).reset(key, now + PATIENCE).is_none(), "as before");
    assert_eq!(Arc::strong_count(&removed), 2, "no copy of the waker is left");
}

#[test]
fn busy_workers_expire_timers() {
    let (_driver, handle) = new(1);
    let now = Instant::now();
    let (_, waker) = counter();
    for n in 0..2_000 {
        TimersOf::first(&handle).insert(now + ms(n), &waker).expect("alive");
    }
    let mut ready = Vec::new();
    handle.expire(now + ms(1_499), &mut ready);
    assert_eq!(ready.len(), 1_500);
    handle.expire(now + ms(1_499), &mut ready);
    assert_eq!(ready.len(), 1_500);
    assert_eq!(handle.next_deadline(), Some(now + ms(1_500)));
}

#[test]
fn a_million_timers() {
    const N: u32 = 1_000_000;
    let (mut driver, handle) = new(1);
    let (fired, waker) = counter();
    let start = Instant::now();
    // Scattered over ten seconds, in an order that is none.
    let place = |n: u32| n.wrapping_mul(2_654_435_769) % 10_000_000;
    let base = start + Duration::from_secs(1000);
    let keys: Vec<_> = (0..N)
        .map(|n| {
            let deadline = base + Duration::from_micros(place(n).into());
            TimersOf::first(&handle).insert(deadline, &waker).expect("alive")
        })
        .collect();
    let inserted = start.elapsed();
    let mut keys = keys.into_iter();
    while let Some(key) = keys.next() {
        TimersOf::first(&handle).remove(key);
        let _stays = keys.next();
    }
    let cancelled = start.elapsed();
    assert_eq!(handle.timer_count(), N as usize / 2);
    driver.turn(Some(Duration::ZERO), &mut Vec::new()).expect("turns");
    let mut ready = Vec::new();
    for second in 0..=10 {
        let from = ready.len();
        handle.expire(base + Duration::from_secs(second), &mut ready);
        assert!(ready.len() > from || second == 0, "each second has its share");
    }
    let expired = start.elapsed();
    ready.drain(..).for_each(Waker::wake);
    assert_eq!(fired.get(), N as usize / 2);
    assert_eq!((handle.timer_count(), handle.next_deadline()), (0, None));
    println!(
        "{N} timers: inserted in {inserted:?}, half cancelled in {:?}, the rest fired in {:?}",
        cancelled - inserted,
        expired - cancelled,
    );
}

#[test]
fn shutdown_wakes_everything_and_refuses_the_rest() {
    by_either_means(|driver, handle| {
        let (sleeper, waker) = counter();
        let key =
            TimersOf::first(&handle).insert(Instant::now() + PATIENCE, &waker).expect("alive");
        let other = {
            let handle = handle.clone();
            thread::spawn(move || {
                thread::sleep(ms(20));
                handle.shutdown().into_iter().for_each(std::task::Waker::wake);
            })
        };
        let start = Instant::now();
        driver.turn(None, &mut Vec::new()).expect("turns");
        assert!(start.elapsed() < PATIENCE / 2);
        other.join().expect("no panic");
        assert_eq!(sleeper.get(), 1);
        assert!(handle.is_shut_down());
        assert!(!TimersOf::first(&handle).update(&key, &waker));
        assert_eq!(TimersOf::first(&handle).insert(Instant::now(), &waker).err(), Some(Gone));
    });
}

/// The story: the driver sleeps on its futex, or is on its way there, when the first source comes.
/// It must move into the poller, or it sleeps through what the source has to say.
#[test]
fn the_first_source_is_heard_whenever_it_comes() {
    use std::io::Write as _;
    for round in 0..300_u32 {
        let (mut driver, handle) = new(1);
        let heard = thread::spawn(move || turn_until_ready(&mut driver).len());
        if round % 10 == 0 {
            thread::sleep(ms(2));
        }
        (0..round * 64).for_each(|_| std::hint::spin_loop());
        let (source, mut other) = source(&handle);
        let (_, waker) = counter();
        let polled = source.poll_io(Direction::Read, &mut Context::from_waker(&waker), |source| {
            std::io::Read::read(&mut { source }, &mut [0])
        });
        assert!(polled.is_pending());
        other.write_all(b"x").expect("room");
        assert_eq!(heard.join().expect("no panic"), 1);
    }
}

#[test]
fn a_driver_without_sources_stays_without_a_poller() {
    let (mut driver, handle) = new(1);
    TimersOf::first(&handle).insert(Instant::now() + ms(1), &counter().1).expect("alive");
    assert_eq!(turn_until_ready(&mut driver).len(), 1);
    handle.shutdown().into_iter().for_each(std::task::Waker::wake);
    let (refused, _other) = UnixStream::pair().expect("a pair");
    assert!(Evented::with_handle(refused, Interest::READABLE, handle.clone()).is_err());
    assert!(handle.shared.access.get().is_none(), "nor does one that is refused make one");
}

/// A task whose waker drops a timer of the same driver when it is itself dropped: with a lock held
/// meanwhile this would hang.
#[test]
fn a_waker_may_drop_a_timer() {
    struct Nested(Handle, Mutex<Option<TimerKey>>);
    impl std::task::Wake for Nested {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Nested {
        fn drop(&mut self) {
            if let Some(key) = self.1.lock().expect("no poison").take() {
                TimersOf::first(&self.0).remove(key);
            }
        }
    }
    let (_driver, handle) = new(1);
    let nested = || {
        let (_, inner) = counter();
        let inner =
            TimersOf::first(&handle).insert(Instant::now() + PATIENCE, &inner).expect("alive");
        Waker::from(Arc::new(Nested(handle.clone(), Mutex::new(Some(inner)))))
    };
    let key = TimersOf::first(&handle).insert(Instant::now() + PATIENCE, &nested()).expect("alive");
    assert_eq!(handle.timer_count(), 2);
    assert!(TimersOf::first(&handle).update(&key, &nested()));
    assert_eq!(handle.timer_count(), 2);
    TimersOf::first(&handle).remove(key);
    assert_eq!(handle.timer_count(), 0);
    handle.shutdown().into_iter().for_each(std::task::Waker::wake);
    assert!(TimersOf::first(&handle).insert(Instant::now(), &counter().1).is_err());
}

/// A signal ends a wait early and as no error: the bounded wait on a futex, and `epoll_wait`.
#[test]
fn a_signal_is_no_error() {
    let (mut driver, handle) = super::new(1);
    let start = Instant::now();
    let on_futex = under_signals(|| driver.turn(Some(Duration::from_secs(100)), &mut Vec::new()));
    on_futex.expect("no error");
    assert!(start.elapsed() < Duration::from_secs(50));
    let (source, _other) = mio::net::UnixStream::pair().expect("a pair");
    let _source = Evented::with_handle(source, Interest::READABLE, handle).expect("registered");
    // The first turn consumes what the registration left.
    driver.turn(None, &mut Vec::new()).expect("no error");
    under_signals(|| driver.turn(None, &mut Vec::new())).expect("no error");
}

/// Nobody waits for room that is there: that a peer takes something out of the buffer is no event,
/// until a write has found it full.
#[test]
fn a_socket_hears_of_room_when_it_had_none() {
    let (mut driver, handle) = super::new(1);
    let (here, mut there) = std::os::unix::net::UnixStream::pair().expect("a pair");
    here.set_nonblocking(true).expect("set");
    let here = UnixStream::from_std(here);
    let here = Evented::with_room(Ready::EMPTY, here, handle).expect("registered");
    let (woken, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    let mut ready = Vec::new();
    let mut buf = [0; 4096];
    for _ in 0..3 {
        assert!(here.poll_ready(Direction::Write, &mut cx).is_ready());
        assert_eq!(here.try_write(b"abc").expect("there is room"), 3);
        assert_eq!(there.read(&mut buf).expect("it is there"), 3);
        driver.turn(Some(Duration::ZERO), &mut ready).expect("turns");
        assert!(!driver.has_events(), "nobody waits for room");
    }
    for _ in 0..3 {
        let mut written = 0;
        while let Ok(count) = here.try_write(&buf) {
            written += count;
        }
        // An event of the last round's room may have come since it was used up again.
        driver.turn(Some(Duration::ZERO), &mut ready).expect("turns");
        let _full = here.try_write(&buf).expect_err("it is full");
        assert!(here.poll_ready(Direction::Write, &mut cx).is_pending());
        let before = woken.get();
        while written > 0 {
            written -= there.read(&mut buf).expect("it is there");
        }
        let end = Instant::now() + PATIENCE;
        while woken.get() == before && Instant::now() < end {
            driver.turn(Some(ms(100)), &mut ready).expect("turns");
            ready.drain(..).for_each(Waker::wake);
        }
        assert_eq!(woken.get(), before + 1, "there is room");
        assert!(here.poll_ready(Direction::Write, &mut cx).is_ready());
    }
}
