//! Tests that replay (feature `test-util`): a seed decides who is next, and which calls block.

use std::collections::BTreeSet;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::task::{self, JoinSet, LocalSet, spawn_local};
use threadlet::threadlet;
use threadlet::time::{Duration, Instant, sleep, timeout};

fn runtime(seed: u64) -> Runtime {
    Builder::new_current_thread().deterministic(seed).build().expect("the runtime can be built")
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

type Seen = Arc<Mutex<Vec<String>>>;

fn see(seen: &Seen, what: &str, nth: usize) {
    seen.lock().unwrap().push(format!("{what} {nth}"));
}

/// All kinds of calls and waits, and what each of them has seen of the others.
async fn mixture() -> Vec<String> {
    let (seen, start) = (Seen::default(), Instant::now());
    let mut tasks = JoinSet::new();
    for nth in 0..6 {
        let seen = seen.clone();
        tasks.spawn(async move {
            see(&seen, "begins", nth);
            threadlet!(see(&seen, "in place", nth));
            task::yield_now().await;
            threadlet::run(|| see(&seen, "deep", nth));
            let apart = seen.clone();
            task::spawn_blocking(move || see(&apart, "apart", nth)).await.unwrap();
            let slow = timeout(ms(1), async {
                threadlet!(will_block; see(&seen, "will block", nth));
                sleep(Duration::from_micros(3)).await;
            });
            let ended = slow.await.is_ok();
            see(&seen, if ended { "in time" } else { "too late" }, nth);
            threadlet::fs::metadata("/").await.unwrap();
            see(&seen, "ends", nth);
        });
    }
    let local = LocalSet::new();
    local
        .run_until(async {
            let tasks = [0, 1, 2].map(|nth| {
                let seen = seen.clone();
                spawn_local(async move {
                    see(&seen, "local", nth);
                    threadlet!(see(&seen, "local call", nth));
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
        })
        .await;
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    see(&seen, "all", start.elapsed().as_nanos() as usize);
    std::mem::take(&mut *seen.lock().unwrap())
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    let run = |seed| {
        let runtime = runtime(seed);
        (runtime.block_on(mixture()), runtime.decisions().unwrap())
    };
    let runs: Vec<_> = (0..40).map(run).collect();
    for (seed, first) in runs.iter().enumerate() {
        assert_eq!(first, &run(seed as u64), "seed {seed}");
    }
    let different: BTreeSet<_> = runs.iter().map(|(seen, _)| seen).collect();
    assert!(different.len() > 35, "{} different runs", different.len());
}

/// Every order of three tasks comes up, and so does each place of the test between them.
#[test]
fn any_of_those_that_are_ready_may_be_next() {
    let orders: BTreeSet<String> = (0..500)
        .map(|seed| {
            runtime(seed).block_on(async {
                let order = Arc::new(Mutex::new(String::new()));
                let tasks = ['a', 'b', 'c'].map(|name| {
                    let order = order.clone();
                    threadlet::spawn(async move { order.lock().unwrap().push(name) })
                });
                task::yield_now().await;
                order.lock().unwrap().push('-');
                for task in tasks {
                    task.await.unwrap();
                }
                order.lock().unwrap().clone()
            })
        })
        .collect();
    assert_eq!(orders.len(), 24, "{orders:?}");
}

/// What two tasks see of each other's calls: whether the other has begun, or has ended, before the call
/// and behind it.
async fn two_calls() -> [(usize, usize); 2] {
    let state = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let tasks = [0, 1].map(|mine| {
        let state = state.clone();
        threadlet::spawn(async move {
            let other = || state[1 - mine].load(Ordering::SeqCst);
            state[mine].store(1, Ordering::SeqCst);
            let before = threadlet::run(other);
            let behind = other();
            state[mine].store(2, Ordering::SeqCst);
            (before, behind)
        })
    });
    let [one, other] = tasks;
    [one.await.unwrap(), other.await.unwrap()]
}

/// Both sides of a call, though it has no await: the others run before it is made, and when it has been.
#[test]
fn a_call_blocks_before_it_is_made_and_comes_back_late() {
    let seen: BTreeSet<_> = (0..500).map(|seed| runtime(seed).block_on(two_calls())).collect();
    // One behind the other, and never both at once.
    assert!(seen.contains(&[(0, 0), (2, 2)]) && seen.contains(&[(2, 2), (0, 0)]));
    // The other has come and gone before the call, or between the call and what follows it.
    assert!(seen.contains(&[(2, 2), (1, 1)]), "{seen:?}");
    assert!(seen.iter().any(|[one, _]| *one == (0, 2)), "{seen:?}");
    // Both are blocked, and either is the first to go on.
    assert!(seen.contains(&[(1, 1), (2, 2)]) && seen.contains(&[(1, 2), (1, 1)]), "{seen:?}");
}

/// A blocked call takes the time of the clock, and no other; a limit may pass meanwhile, or not.
#[test]
fn blocking_takes_the_time_of_the_clock() {
    let start = std::time::Instant::now();
    let (mut in_time, mut longest) = (0, Duration::ZERO);
    for seed in 0..300 {
        let (ended, took) = runtime(seed).block_on(async {
            let start = Instant::now();
            let ended = timeout(ms(20), task::spawn_blocking(|| ())).await.is_ok();
            threadlet!(will_block; ());
            (ended, start.elapsed())
        });
        in_time += usize::from(ended);
        longest = longest.max(took);
    }
    assert!((10..290).contains(&in_time), "{in_time} of 300 in time");
    assert!(longest > ms(1000) && longest < ms(60_000), "{longest:?}");
    assert!(start.elapsed() < Duration::from_secs(60));
    for seed in 0..100 {
        let mut builder = Builder::new_current_thread();
        let builder = builder.deterministic(seed).longest_block(ms(2));
        let took = builder.build().unwrap().block_on(async {
            let start = Instant::now();
            threadlet!(will_block; ());
            start.elapsed()
        });
        assert!(took <= ms(6), "at the gate, before and behind the call: {took:?}");
    }
}

/// Dropped while it waits for its turn, the call is not made; and some seed has it wait.
#[test]
fn a_call_may_be_cancelled_at_the_gate() {
    let [mut cancelled, mut made] = [0, 0];
    for seed in 0..300 {
        let count = Arc::new(AtomicUsize::new(0));
        let ended = runtime(seed).block_on(async {
            let count = count.clone();
            let call = async move { threadlet!(count.fetch_add(1, Ordering::SeqCst)) };
            let ended = timeout(Duration::from_micros(100), call).await.is_ok();
            sleep(Duration::from_secs(60)).await;
            ended
        });
        let count = count.load(Ordering::SeqCst);
        assert_eq!(count, usize::from(ended), "what was given up at the gate is not made later");
        if ended { made += 1 } else { cancelled += 1 }
    }
    assert!(cancelled > 10 && made > 10, "{cancelled} cancelled, {made} made");
}

/// No more calls block at once than there are permits, and those that wait are let in, in turn.
#[test]
fn no_more_calls_block_at_once_than_the_cap_says() {
    let mut most = 0;
    for seed in 0..200 {
        let runtime =
            Builder::new_current_thread().deterministic(seed).max_async_threads(2).build().unwrap();
        let peak = runtime.block_on(async {
            let [now, peak] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let (now, peak) = (now.clone(), peak.clone());
                    threadlet::spawn(async move {
                        threadlet!(will_block; {
                            let within = now.fetch_add(1, Ordering::SeqCst) + 1;
                            peak.fetch_max(within, Ordering::SeqCst);
                            // As deep as it can be: all who may be in a call wait here.
                            Handle::current().block_on(task::yield_now());
                            now.fetch_sub(1, Ordering::SeqCst);
                        });
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            peak.load(Ordering::SeqCst)
        });
        assert!(peak <= 2, "seed {seed}: {peak} calls at once");
        most = most.max(peak);
    }
    assert_eq!(most, 2);
}

#[test]
fn at_the_cap_a_call_that_would_not_wait_is_refused() {
    let refused = (0..200).filter(|seed| {
        let runtime = Builder::new_current_thread()
            .deterministic(*seed)
            .max_async_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let tasks =
                [(); 3].map(|()| threadlet::spawn(async { threadlet!(or_fail; ()).is_err() }));
            let mut refused = false;
            for task in tasks {
                refused |= task.await.unwrap();
            }
            refused
        })
    });
    let refused = refused.count();
    assert!((10..190).contains(&refused), "{refused} of 200");
}

fn words(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("with a text")).to_owned(),
    }
}

#[test]
fn a_deadlock_is_said() {
    let text = words(|| runtime(7).block_on(pending()));
    assert!(text.starts_with("deadlock: "), "{text}");
    // In the middle of a poll as well; and the place is told.
    let text = words(|| {
        runtime(7).block_on(async {
            threadlet::spawn(async { threadlet!(Handle::current().block_on(pending::<()>())) })
                .await
                .unwrap();
        });
    });
    assert!(text.contains("calls that wait for ever: tests/api_replay.rs:"), "{text}");
    let text = words(|| {
        runtime(7).block_on(async { threadlet!(Handle::current().block_on(pending::<()>())) });
    });
    assert!(text.starts_with("deadlock: "), "{text}");
}

/// No promise is made of the order then, but it works.
#[test]
fn a_thread_of_the_programs_own_may_wake_a_task_and_wait_for_one() {
    runtime(7).block_on(async {
        let (to, from) = futures::channel::oneshot::channel();
        let handle = Handle::current();
        let stranger = thread::spawn(move || {
            thread::sleep(ms(20));
            let seven = handle.block_on(handle.spawn(async { threadlet!(7) })).unwrap();
            to.send(seven).unwrap();
        });
        assert_eq!(from.await, Ok(7));
        task::spawn_blocking(move || stranger.join().unwrap()).await.unwrap();
    });
}

/// Calls come to their ends, what was accepted runs, other tasks are dropped; whatever the seed.
#[test]
fn the_end_of_the_runtime_is_as_ever() {
    for seed in 0..100 {
        let runtime = runtime(seed);
        let [ended, dropped, begun] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        runtime.block_on(async {
            for _ in 0..3 {
                let ended = ended.clone();
                task::spawn_blocking(move || ended.fetch_add(1, Ordering::SeqCst));
                let (begun, dropped) = (begun.clone(), dropped.clone());
                threadlet::spawn(async move {
                    struct Count(Arc<AtomicUsize>);
                    impl Drop for Count {
                        fn drop(&mut self) {
                            self.0.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    let _count = Count(dropped);
                    begun.fetch_add(1, Ordering::SeqCst);
                    threadlet::run(|| ());
                    pending::<()>().await;
                });
            }
            task::yield_now().await;
        });
        runtime.shutdown_timeout(ms(1));
        let count = |it: &AtomicUsize| it.load(Ordering::SeqCst);
        assert_eq!((count(&ended), count(&dropped)), (3, count(&begun)), "seed {seed}");
    }
}

#[test]
fn a_panic_reaches_whoever_waits_for_it() {
    for seed in 0..50 {
        let runtime = runtime(seed);
        runtime.block_on(async {
            let call = threadlet::spawn(async { threadlet!(panic!("in a call")) });
            assert!(call.await.unwrap_err().is_panic());
        });
        let text =
            words(|| runtime.block_on(async { threadlet::run(|| panic!("{}", "in the root")) }));
        assert_eq!(text, "in the root");
        assert_eq!(runtime.block_on(async { threadlet!(7) }), 7);
    }
}

/// Who waits for the time by asking for it sees it pass.
#[test]
fn the_time_goes_on_for_who_is_always_ready() {
    runtime(7).block_on(async {
        let start = Instant::now();
        while start.elapsed() < ms(20) {
            task::yield_now().await;
        }
        assert!(start.elapsed() < ms(25));
    });
}

#[test]
fn it_needs_one_core() {
    let error = Builder::new_multi_thread().deterministic(7).build().unwrap_err();
    assert!(error.to_string().contains("new_current_thread"), "{error}");
    assert!(Builder::new_current_thread().build().unwrap().decisions().is_none());
}

#[threadlet::test(seed = 7)]
async fn the_attribute_takes_a_seed() -> Result<(), String> {
    let first = Handle::current().decisions().expect("the runtime replays");
    assert!(first.contains("of seed 7, ") || std::env::var_os("THREADLET_SEED").is_some());
    threadlet!(());
    let decisions = Handle::current().decisions().unwrap();
    if decisions.len() > first.len() { Ok(()) } else { Err(decisions) }
}

/// Started by the test below, with another seed.
#[threadlet::test(seed = 1)]
#[ignore = "it fails with some seeds"]
async fn loses_one() {
    let counter = Arc::new(AtomicUsize::new(0));
    let tasks = [(); 2].map(|()| {
        let counter = counter.clone();
        threadlet::spawn(async move {
            let before = threadlet!(counter.load(Ordering::SeqCst));
            counter.store(before + 1, Ordering::SeqCst);
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counter.load(Ordering::SeqCst), 2);
}

fn run_ignored(variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "loses_one", "--ignored", "--nocapture"]);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_seed_that_fails_is_told_and_fails_again() {
    let (passed, text) = run_ignored(&[("THREADLET_SEED", "100"), ("THREADLET_SEEDS", "1000")]);
    assert!(!passed, "{text}");
    let words = text.split("run again with THREADLET_SEED=").nth(1);
    let seed = words.and_then(|rest| rest.lines().next()).expect("the seed is told");
    assert!(text.contains(&format!("seed {seed} failed")) && seed.parse::<u64>().unwrap() >= 100);
    let log = std::env::temp_dir().join(format!("threadlet-seed-{}", std::process::id()));
    let log = log.to_str().unwrap();
    let again = || run_ignored(&[("THREADLET_SEED", seed), ("THREADLET_SEED_LOG", log)]);
    let told = |text: &str| text[text.find("what it decided last").unwrap()..].to_owned();
    let mut logs = Vec::new();
    for _ in 0..2 {
        let (passed, again) = again();
        assert!(!passed && told(&again) == told(&text), "{again}\n{text}");
        logs.push(std::fs::read_to_string(log).unwrap());
        std::fs::remove_file(log).unwrap();
    }
    assert_eq!(logs[0], logs[1]);
    let (passed, text) = run_ignored(&[("THREADLET_SEEDS", "many")]);
    assert!(!passed && text.contains("THREADLET_SEEDS is \"many\": it must be a number"), "{text}");
}

#[test]
fn its_clock_is_not_let_go() {
    let text = words(|| runtime(7).block_on(async { threadlet::time::resume() }));
    assert!(text.contains("deterministic"), "{text}");
}

/// The order in which tasks of one thread run, and their calls.
#[test]
fn tasks_that_stay_on_one_thread_run_in_any_order_too() {
    let orders: BTreeSet<String> = (0..200)
        .map(|seed| {
            let order = Arc::new(Mutex::new(String::new()));
            let set = LocalSet::new();
            for name in ['a', 'b', 'c'] {
                let order = order.clone();
                set.spawn_local(async move { order.lock().unwrap().push(name) });
            }
            set.block_on(&runtime(seed), async { sleep(ms(1)).await });
            let order = order.lock().unwrap();
            order.clone()
        })
        .collect();
    assert_eq!(orders.len(), 6, "{orders:?}");
}

/// What is spawned before anybody is in `block_on` has its place, too.
#[test]
fn tasks_from_outside_end_in_the_same_order_each_time() {
    let run = |seed| {
        struct Tell(usize, Arc<Mutex<Vec<usize>>>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.1.lock().unwrap().push(self.0);
            }
        }
        let (runtime, order) = (runtime(seed), Arc::new(Mutex::new(Vec::new())));
        for nth in 0..12 {
            let tell = Tell(nth, order.clone());
            runtime.spawn(async move {
                pending::<()>().await;
                drop(tell);
            });
        }
        runtime.block_on(sleep(ms(1)));
        drop(runtime);
        std::mem::take(&mut *order.lock().unwrap())
    };
    for seed in 0..20 {
        let order = run(seed);
        assert_eq!(order.len(), 12);
        assert_eq!(order, run(seed), "seed {seed}");
    }
}

/// A lock of the standard library that a blocked call holds; a channel that another task fills; a poll
/// that waits without a word. Each goes on. (When it does is the system's affair, not the seed's.)
#[test]
fn a_thread_that_really_waits_is_left_behind() {
    let run = |seed| {
        let runtime = runtime(seed);
        let seen = runtime.block_on(async {
            let seen = Seen::default();
            let lock = Arc::new(Mutex::new(()));
            let (to, from) = std::sync::mpsc::channel();
            let mut tasks = JoinSet::new();
            for nth in 0..2 {
                let (seen, lock, to) = (seen.clone(), lock.clone(), to.clone());
                tasks.spawn(async move {
                    see(&seen, "wants", nth);
                    {
                        let _locked = lock.lock().unwrap();
                        threadlet::run(|| see(&seen, "locked", nth));
                    }
                    threadlet!(see(&seen, "sends", nth));
                    to.send(nth).unwrap();
                });
            }
            let received = seen.clone();
            tasks.spawn(async move {
                for _ in 0..2 {
                    let nth = threadlet!(from.recv().unwrap());
                    see(&received, "received", nth);
                }
            });
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            std::mem::take(&mut *seen.lock().unwrap())
        });
        drop(runtime);
        seen
    };
    for seed in 0..12 {
        let mut seen = run(seed);
        seen.sort();
        let all = ["locked", "received", "sends", "wants"];
        let all = all.iter().flat_map(|what| [0, 1].map(|nth| format!("{what} {nth}")));
        assert_eq!(seen, all.collect::<Vec<_>>(), "seed {seed}");
    }
}

/// The test itself waits for a thread of its own, which waits for a task.
#[test]
fn a_test_that_really_waits_is_left_behind() {
    runtime(7).block_on(async {
        let (to, from) = std::sync::mpsc::channel();
        threadlet::spawn(async move { threadlet!(to.send(7).unwrap()) });
        assert_eq!(from.recv(), Ok(7));
        assert_eq!(threadlet!(8), 8);
    });
}
