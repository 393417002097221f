//! A clock that a test stops (feature `test-util`).

mod support;

use std::future::{Future, poll_fn};
use std::io::Write;
use std::panic::catch_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use futures::io::AsyncReadExt;
use support::{build, detectors, within};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::task::{self, LocalSet, spawn_local};
use threadlet::threadlet;
use threadlet::time::{self, Duration, Instant, MissedTickBehavior, interval, interval_at, sleep};

/// Far more than any of this takes, and far less than what the clock shows.
const LIMIT: Duration = Duration::from_secs(30);

const HOUR: Duration = Duration::from_secs(3600);

/// For how long a call really blocks.
const BLOCK: Duration = Duration::from_millis(25);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn paused(detector: Detector) -> Runtime {
    build(Builder::new_current_thread().start_paused(true), detector)
}

/// Runs `test` with a clock that stands: with the core in `block_on`, and once it has gone, under
/// each detector.
fn everywhere<F>(test: fn() -> F)
where
    F: Future<Output = ()> + 'static,
{
    within(LIMIT, move || {
        for detector in detectors() {
            paused(detector).block_on(test());
            paused(detector).block_on(async {
                task::spawn_blocking(|| ()).await.unwrap();
                test().await;
            });
            LocalSet::new()
                .block_on(&paused(detector), async { spawn_local(test()).await.unwrap() });
        }
    });
}

#[test]
fn an_hour_takes_no_time_and_ends_at_the_hour() {
    everywhere(|| async {
        let (start, real) = (Instant::now(), std::time::Instant::now());
        thread::sleep(ms(1));
        assert_eq!(start, Instant::now());
        sleep(HOUR).await;
        assert_eq!(start.elapsed(), HOUR);
        task::spawn(sleep(HOUR)).await.unwrap();
        assert_eq!(start.elapsed(), 2 * HOUR);
        assert!(time::timeout(HOUR, std::future::pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), 3 * HOUR);
        assert!(real.elapsed() < LIMIT);
    });
}

/// Each timer has its own time, and whatever its task starts then is begun at that time.
#[test]
fn timers_end_one_after_the_other() {
    everywhere(|| async {
        let start = Instant::now();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [30, 10, 20, 10]
            .map(|at| {
                let seen = seen.clone();
                task::spawn(async move {
                    sleep(ms(at)).await;
                    seen.lock().unwrap().push((at, start.elapsed()));
                    sleep(ms(5)).await;
                    seen.lock().unwrap().push((at + 5, start.elapsed()));
                })
            })
            .into();
        for task in tasks {
            task.await.unwrap();
        }
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen.len(), 8);
        assert!(seen.is_sorted_by_key(|(at, _)| *at), "{seen:?}");
        assert!(seen.iter().all(|(at, elapsed)| ms(*at) == *elapsed), "{seen:?}");
    });
}

/// The same sleeps give the same times in every run.
#[test]
fn a_run_can_be_repeated() {
    fn run(gone: bool) -> Vec<(u64, Duration)> {
        paused(Detector::Auto).block_on(async move {
            if gone {
                task::spawn_blocking(|| ()).await.unwrap();
            }
            let start = Instant::now();
            let tasks: Vec<_> = (0..8)
                .map(|nth: u64| {
                    task::spawn(async move {
                        let mut state = nth + 1;
                        let mut times = Vec::new();
                        for _ in 0..200 {
                            // Knuth's generator, from MMIX.
                            state = state
                                .wrapping_mul(6_364_136_223_846_793_005)
                                .wrapping_add(1_442_695_040_888_963_407);
                            let nap = Duration::from_nanos(state >> 34);
                            let before = Instant::now();
                            sleep(nap).await;
                            assert_eq!(before.elapsed(), nap);
                            times.push((nth, start.elapsed()));
                        }
                        times
                    })
                })
                .collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all
        })
    }
    within(LIMIT, || {
        let first = run(false);
        assert_eq!(first.len(), 1600);
        assert_eq!(first, run(false));
        assert_eq!(first, run(true));
    });
}

#[test]
fn advance_moves_the_clock_and_wakes_what_is_due() {
    everywhere(|| async {
        let start = Instant::now();
        let mut late = pin!(sleep(ms(300)));
        let mut early = pin!(sleep(ms(100)));
        poll_fn(|cx| {
            assert!(late.as_mut().poll(cx).is_pending() && early.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let beside = task::spawn(async move {
            sleep(ms(200)).await;
            start.elapsed()
        });
        task::yield_now().await;
        time::advance(Duration::from_micros(99_999)).await;
        assert_eq!(start.elapsed(), Duration::from_micros(99_999));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(early.as_mut().poll(&mut cx).is_pending());
        time::advance(Duration::from_micros(1)).await;
        assert!(
            early.as_mut().poll(&mut cx).is_ready() && late.as_mut().poll(&mut cx).is_pending()
        );
        time::advance(ms(200)).await;
        assert!(late.as_mut().poll(&mut cx).is_ready());
        assert_eq!(beside.await.unwrap(), ms(300), "it was passed over");
        assert_eq!(start.elapsed(), ms(300));
    });
}

/// A call in flight holds the clock, whichever way it is made, and whoever waits for it.
#[test]
fn a_blocked_call_holds_the_clock() {
    fn block() {
        thread::sleep(BLOCK);
    }
    async fn takes_no_time(call: impl Future<Output = ()>) {
        let (start, real) = (Instant::now(), std::time::Instant::now());
        let in_time = time::timeout(ms(5), call).await;
        assert!(in_time.is_ok(), "the clock has jumped while the call was in flight");
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(real.elapsed() >= BLOCK);
    }
    everywhere(|| async {
        takes_no_time(async { task::spawn_blocking(block).await.unwrap() }).await;
        takes_no_time(async { task::spawn(async { threadlet!(block()) }).await.unwrap() }).await;
        let will_block = async { threadlet!(will_block; block()) };
        takes_no_time(async { task::spawn(will_block).await.unwrap() }).await;
        let run = async { threadlet::run(block) };
        takes_no_time(async { task::spawn(run).await.unwrap() }).await;
        takes_no_time(async { task::spawn(async { block() }).await.unwrap() }).await;
        takes_no_time(threadlet::unblock(block)).await;
        takes_no_time(async { threadlet!(block()) }).await;
        // Several, one after the other, in a task that sleeps between them.
        let naps = task::spawn(async {
            let start = Instant::now();
            for round in 1..=3 {
                threadlet!(block());
                sleep(HOUR).await;
                assert_eq!(start.elapsed(), round * HOUR);
            }
        });
        naps.await.unwrap();
    });
}

/// And once it has returned, the clock goes on, though nobody waits for it.
#[test]
fn a_call_that_nobody_awaits_lets_the_clock_go() {
    everywhere(|| async {
        let (start, real) = (Instant::now(), std::time::Instant::now());
        task::spawn_blocking(|| thread::sleep(BLOCK)).detach();
        task::spawn(async { threadlet!(thread::sleep(BLOCK)) }).detach();
        // Both have begun before the clock can jump.
        sleep(HOUR).await;
        assert_eq!(start.elapsed(), HOUR);
        assert!(real.elapsed() >= BLOCK);
    });
}

/// The story: the timers count nanoseconds in 64 bits, 584 years of them. A sleep that ended behind that
/// was woken there, found that it was not due, and was woken again, for ever.
#[test]
fn a_clock_comes_to_its_end() {
    const CENTURIES: Duration = Duration::from_secs(400 * 365 * 24 * 3600);
    everywhere(|| async {
        for _ in 0..3 {
            sleep(CENTURIES).await;
            assert!(time::timeout(CENTURIES, std::future::pending::<()>()).await.is_err());
        }
        // It is as late as it gets: nothing is due later.
        let mut ticks = interval(CENTURIES);
        for _ in 0..3 {
            ticks.tick().await;
        }
        let mut moved = pin!(sleep(CENTURIES));
        moved.as_mut().reset(Instant::now() + CENTURIES);
        moved.await;
    });
}

/// What is ready comes before what is due later.
#[test]
fn a_socket_that_is_ready_comes_first() {
    everywhere(|| async {
        // Not TCP: on a busy machine the kernel passes a segment on a little later.
        let (mut client, server) = std::os::unix::net::UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut server = threadlet::net::UnixStream::from_std(server).unwrap();
        let start = Instant::now();
        for round in 1..=20 {
            let reads = async {
                let mut byte = [0];
                server.read_exact(&mut byte).await.unwrap();
                assert_eq!(start.elapsed(), (round - 1) * HOUR);
            };
            let writes = async {
                client.write_all(b"x").unwrap();
                sleep(HOUR).await;
            };
            futures::future::join(reads, writes).await;
            assert_eq!(start.elapsed(), round * HOUR);
        }
    });
}

/// What yields has its turn again, though another one never rests.
#[test]
fn a_yield_ends_beside_one_that_is_always_ready() {
    everywhere(|| async {
        let busy = task::spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        for _ in 0..10 {
            task::yield_now().await;
        }
        busy.abort();
    });
}

/// With nobody in `block_on`, tasks that sleep in turn would have time fly.
#[test]
fn nobody_waits_and_the_clock_stands() {
    within(LIMIT, || {
        let runtime = paused(Detector::Auto);
        let ticks = Arc::new(AtomicUsize::new(0));
        let count = ticks.clone();
        runtime.block_on(async {
            // The core goes to a thread of the runtime's own.
            task::spawn_blocking(|| ()).await.unwrap();
            task::spawn(async move {
                loop {
                    sleep(HOUR).await;
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
            .detach();
            sleep(10 * HOUR).await;
        });
        let before = ticks.load(Ordering::SeqCst);
        assert!((9..=10).contains(&before), "{before}");
        thread::sleep(BLOCK);
        assert!(ticks.load(Ordering::SeqCst) <= before + 1);
        runtime.block_on(async { sleep(10 * HOUR).await });
        let after = ticks.load(Ordering::SeqCst);
        assert!(after >= before + 9, "{after}, after {before}");
    });
}

#[test]
fn the_clock_goes_on_from_where_it_stood() {
    within(LIMIT, || {
        Builder::new_current_thread().build().unwrap().block_on(async {
            let start = Instant::now();
            for round in 1..=2 {
                time::pause();
                let stood = Instant::now();
                time::advance(HOUR).await;
                assert_eq!(stood.elapsed(), HOUR);
                time::resume();
                assert!(start.elapsed() >= round * HOUR);
                assert!(start.elapsed() < round * HOUR + LIMIT);
            }
            let (now, real) = (Instant::now(), std::time::Instant::now());
            sleep(ms(5)).await;
            assert!(now.elapsed() >= ms(5) && real.elapsed() >= ms(5));
            task::spawn_blocking(|| ()).await.unwrap();
            sleep(ms(5)).await;
        });
    });
}

/// Each runtime has its clock, and a plain thread that of the system.
#[test]
fn clocks_are_apart() {
    within(LIMIT, || {
        let (first, second) = (paused(Detector::Auto), Builder::new_current_thread());
        let second = { second }.build().unwrap();
        first.block_on(async { sleep(HOUR).await });
        let system = std::time::Instant::now();
        let shows = |runtime: &Runtime| runtime.block_on(async { Instant::now() }).into_std();
        assert!(shows(&first) > system + HOUR / 2);
        assert!(
            shows(&second) < system + HOUR / 2 && Instant::now().into_std() < system + HOUR / 2
        );
        let _entered = first.enter();
        assert_eq!(Instant::now().into_std(), shows(&first));
    });
}

#[test]
fn intervals_by_a_clock_that_stands() {
    everywhere(|| async {
        for (behavior, next) in [
            (MissedTickBehavior::Burst, [200, 300, 400, 500]),
            (MissedTickBehavior::Delay, [200, 550, 650, 750]),
            (MissedTickBehavior::Skip, [200, 500, 600, 700]),
        ] {
            let start = Instant::now();
            let mut ticks = interval_at(start + ms(100), ms(100));
            ticks.set_missed_tick_behavior(behavior);
            assert_eq!(ticks.tick().await, start + ms(100));
            time::advance(ms(350)).await;
            for at in next {
                assert_eq!(ticks.tick().await - start, ms(at), "{behavior:?}");
                assert_eq!(start.elapsed().max(ms(450)), ms(at.max(450)), "{behavior:?}");
            }
        }
        let start = Instant::now();
        let mut ticks = interval(HOUR);
        ticks.tick().await;
        ticks.reset_after(ms(7));
        ticks.tick().await;
        assert_eq!(start.elapsed(), ms(7));
        ticks.reset_at(start + ms(20));
        ticks.tick().await;
        assert_eq!(start.elapsed(), ms(20));
        ticks.tick().await;
        assert_eq!(start.elapsed(), ms(20) + HOUR);
        ticks.reset_immediately();
        ticks.tick().await;
        assert_eq!(start.elapsed(), ms(20) + HOUR);
        ticks.reset();
        ticks.tick().await;
        assert_eq!(start.elapsed(), ms(20) + 2 * HOUR);
    });
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let says = |words: &str, f: fn()| {
        let payload = catch_unwind(f).unwrap_err();
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        assert!(text.as_ref().is_some_and(|text| text.contains(words)), "{text:?}, not {words}");
    };
    says("needs a threadlet runtime", time::pause);
    says("stands already", || {
        threadlet::block_on(async {
            time::pause();
            time::pause();
        });
    });
    says("does not stand", || threadlet::block_on(async { time::resume() }));
    says("does not stand", || threadlet::block_on(time::advance(ms(1))));
    says("so far", || {
        paused(Detector::Auto).block_on(time::advance(Duration::MAX));
    });
    says("multi-thread runtime", || {
        Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(async {
            time::pause();
        });
    });
    let error = Builder::new_multi_thread().start_paused(true).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("start_paused"), "{error}");
}

#[threadlet::test(start_paused = true)]
async fn an_attribute_stops_the_clock() {
    let start = Instant::now();
    sleep(HOUR).await;
    assert_eq!(start.elapsed(), HOUR);
}

#[threadlet::test(start_paused = false)]
async fn an_attribute_lets_it_go() {
    time::pause();
}

#[test]
fn a_program_may_begin_with_it() {
    #[threadlet::main(flavor = "current_thread", start_paused = true)]
    async fn hours() -> Duration {
        let start = Instant::now();
        sleep(3 * HOUR).await;
        start.elapsed()
    }
    assert_eq!(hours(), 3 * HOUR);
}
