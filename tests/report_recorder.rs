//! The flight recorder: what it says of a run that is known, and that it never grows.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use serde_json::Value;
use support::{build, detectors, in_time, wait_until};
use threadlet::runtime::{Builder, Runtime};
use threadlet::{Group, threadlet};

/// What the recorder holds: one whole array.
fn events(runtime: &Runtime) -> Vec<Value> {
    let mut text = Vec::new();
    runtime.handle().write_recorder(&mut text).expect("there is one");
    serde_json::from_slice(&text).expect("one whole array")
}

fn of_kind<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["cat"] == kind)
}

#[test]
fn polls_calls_cores_waits_and_wakes_are_in_it() {
    static ONE: Group = Group::new("one", 1);
    for detector in detectors() {
        let mut builder = Builder::new_multi_thread();
        let runtime = build(builder.worker_threads(2).flight_recorder(1 << 20), detector);
        // Without one the core stays until the block is found.
        wait_until("a spare is there", || runtime.metrics().spares > 0);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = runtime.spawn(async move {
            threadlet!(in &ONE, will_block; wait.recv()).expect("it is told to go on");
            threadlet!(std::hint::black_box(7))
        });
        wait_until("it is blocked", || runtime.metrics().async_threads == 1);
        let second = runtime.spawn(async { threadlet!(in &ONE; std::hint::black_box(8)) });
        wait_until("it waits", || ONE.waiting() == 1);
        std::thread::sleep(Duration::from_millis(20));
        go.send(()).expect("it waits");
        let ids =
            [first.id(), second.id()].map(|id| id.to_string().parse::<u64>().expect("a number"));
        assert_eq!(in_time(&runtime, "both", async { (first.await, second.await) }).0.unwrap(), 7);

        let [first, second] = ids;
        // A poll is noted when it has ended, which is behind the end of its task.
        wait_until("both polls are noted", || {
            let events = events(&runtime);
            ids.iter().all(|id| of_kind(&events, "poll").any(|e| e["args"]["task"] == *id))
        });
        let events = events(&runtime);
        for task in [first, second] {
            let polls: Vec<_> =
                of_kind(&events, "poll").filter(|e| e["args"]["task"] == task).collect();
            assert!(!polls.is_empty(), "task {task} was polled");
            for poll in polls {
                let place = poll["args"]["spawned"].as_str().expect("a place");
                assert!(place.starts_with(file!()), "{poll}");
            }
        }
        let call =
            of_kind(&events, "call").find(|e| e["args"]["task"] == first).expect("it blocked");
        assert_eq!(call["args"]["how"], "handed over first", "{call}");
        assert!(call["dur"].as_f64().expect("a time") >= 20_000.0, "{call}");
        assert!(call["name"].as_str().expect("a text").contains("wait.recv()"), "{call}");
        assert!(of_kind(&events, "core").any(|e| e["name"] == "hand-off: Predicted"));
        let waits: Vec<_> =
            of_kind(&events, "wait").filter(|e| e["args"]["task"] == second).collect();
        assert_eq!(waits.iter().map(|e| &e["ph"]).collect::<Vec<_>>(), ["b", "e"]);
        // The end of the first call has let the second go on.
        assert!(of_kind(&events, "wake").any(|e| e["args"]["task"] == second));
        // What no call was seen to do is not in it.
        assert!(of_kind(&events, "call").all(|e| e["args"]["task"] != second), "{events:?}");
    }
}

#[test]
fn what_a_stuck_thread_does_is_in_it() {
    for detector in detectors() {
        let mut builder = Builder::new_multi_thread();
        let runtime = build(builder.worker_threads(1).flight_recorder(1 << 20), detector);
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        let task = runtime.spawn(async move {
            threadlet!(std::io::Read::read_exact(&mut reader, &mut [0])).expect("something comes");
        });
        let seen = |events: &[Value]| {
            let mut seen = of_kind(events, "seen");
            seen.any(|e| {
                e["args"]["doing"] == "read" && e["args"]["at"].to_string().contains(file!())
            })
        };
        wait_until("it is seen in its call", || seen(&events(&runtime)));
        // Its poll has not ended, and is there all the same.
        let begun = events(&runtime).into_iter().filter(|event| event["ph"] == "B");
        let begun: Vec<_> = begun.map(|event| event["cat"].clone()).collect();
        assert_eq!(begun, ["poll", "call"]);
        std::io::Write::write_all(&mut writer, b"x").expect("room");
        in_time(&runtime, "the call", task).unwrap();
    }
}

#[test]
fn a_late_timer_is_in_it() {
    let mut builder = Builder::new_multi_thread();
    // Nobody looks at timers while the only worker computes, and it is not rescued.
    let runtime = builder.worker_threads(1).rescue(false).flight_recorder(1 << 20).build().unwrap();
    let sleeper = runtime.spawn(threadlet::time::sleep(Duration::from_millis(5)));
    let busy = runtime.spawn(async {
        // The other one has its first poll.
        threadlet::task::yield_now().await;
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
    });
    in_time(&runtime, "both", async { sleeper.await.and(busy.await) }).unwrap();
    let events = events(&runtime);
    let late = of_kind(&events, "timer").next().expect("it was late");
    assert!(late["args"]["by_us"].as_f64().expect("a time") >= 10_000.0, "{late}");
}

/// A tenth of a million polls, on threads that come and go.
#[test]
fn it_holds_the_last_and_never_grows() {
    const BYTES: usize = 256 << 10;
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).flight_recorder(BYTES).build().unwrap();
    for _ in 0..20 {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                runtime.spawn(async {
                    for _ in 0..50 {
                        threadlet::task::yield_now().await;
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| in_time(&runtime, "a task", task).unwrap());
    }
    let last = runtime.spawn(async { 7 });
    let id = last.id().to_string().parse::<u64>().expect("a number");
    in_time(&runtime, "the last", last).unwrap();
    wait_until("the last is there", || {
        of_kind(&events(&runtime), "poll").any(|e| e["args"]["task"] == id)
    });
    let events = events(&runtime);
    let about = events.iter().find(|e| e["name"] == "threadlet_recorder").expect("what it is");
    let bytes = about["args"]["bytes"].as_u64().expect("a number") as usize;
    assert!((BYTES - 4096..=BYTES).contains(&bytes), "{about}");
    // A record is 24 bytes, and few of them are two events.
    assert!(events.len() < 2 * BYTES / 24, "{}", events.len());
    assert!(events.len() > BYTES / 24 / 2, "{}", events.len());
}

/// In microseconds.
fn number(event: &Value, name: &str) -> f64 {
    event[name].as_f64().unwrap_or_else(|| panic!("{name} is a time in {event}"))
}

/// A wake has no clock of its own. It is where it was all the same, as nearly as the kernel ticks.
#[test]
fn a_wake_late_in_a_poll_is_late_in_it() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).rescue(false).flight_recorder(1 << 20).build().unwrap();
    let task = runtime.spawn(async {
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        drop(threadlet::spawn(async {}));
    });
    let id = task.id().to_string().parse::<u64>().expect("a number");
    in_time(&runtime, "it", task).unwrap();
    let poll_of = |events: &[Value]| {
        of_kind(events, "poll").find(|e| e["args"]["task"] == id && e["ph"] == "X").cloned()
    };
    wait_until("its poll is noted", || poll_of(&events(&runtime)).is_some());
    let events = events(&runtime);
    let poll = poll_of(&events).expect("it is noted");
    let wake = of_kind(&events, "wake").find(|e| e["args"]["by"] == id).expect("it has spawned");
    let (begin, end) = (number(&poll, "ts"), number(&poll, "ts") + number(&poll, "dur"));
    let at = number(wake, "ts");
    // A tick is 10 ms at most.
    assert!((begin + 35_000.0..=end).contains(&at), "{wake} in {poll}");
}

/// A poll begins where the last one ended only where nothing was between them.
#[test]
fn what_is_between_polls_is_in_none() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).flight_recorder(1 << 20).build().unwrap();
    let task = runtime.spawn(async {
        for _ in 0..5 {
            threadlet::task::yield_now().await;
            let mut is_woken = false;
            // By a thread that is none of the runtime's: no wake is noted, and no look at the clock.
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut is_woken, true) {
                    return Poll::Ready(());
                }
                let waker = cx.waker().clone();
                std::thread::spawn(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    waker.wake();
                });
                Poll::Pending
            })
            .await;
        }
    });
    in_time(&runtime, "it", task).unwrap();
    let events = events(&runtime);
    let ended = of_kind(&events, "poll").filter(|event| event["ph"] == "X");
    let mut polls: Vec<_> = ended.map(|e| (number(e, "ts"), number(e, "dur"))).collect();
    polls.sort_by(|one, other| one.0.total_cmp(&other.0));
    // Of some of them the thread may have been kept from its CPU, but not of all.
    let short = polls.iter().filter(|(_, lasts)| *lasts < 5_000.0).count();
    assert!(short >= 8, "{polls:?}");
    let overlap = polls.windows(2).find(|two| two[0].0 + two[0].1 > two[1].0 + 0.001);
    assert_eq!(overlap, None, "of one thread: {polls:?}");
}

#[test]
fn a_thousand_threads_share_it() {
    static BLOCKED: AtomicUsize = AtomicUsize::new(0);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).max_async_threads(2000).flight_recorder(64 << 10);
    let runtime = builder.build().unwrap();
    let barrier = support::Barrier::default();
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let mine = barrier.clone();
            runtime.spawn(async move {
                threadlet!(will_block; {
                    BLOCKED.fetch_add(1, Ordering::Relaxed);
                    mine.block()
                })
            })
        })
        .collect();
    wait_until("all are blocked", || BLOCKED.load(Ordering::Relaxed) == 500);
    barrier.let_go(500);
    tasks.into_iter().for_each(|task| in_time(&runtime, "a task", task).unwrap());
    let events = events(&runtime);
    assert!(events.len() < 2 * (64 << 10) / 24, "{}", events.len());
    let about = events.iter().find(|e| e["name"] == "threadlet_recorder").expect("what it is");
    assert!(about["args"]["bytes"].as_u64().expect("a number") <= 64 << 10, "{about}");
}

#[test]
fn without_one_it_says_how_to_have_one() {
    let runtime = Builder::new_current_thread().build().unwrap();
    if std::env::var_os("THREADLET_RECORDER").is_none() {
        let error = runtime.handle().write_recorder(Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("THREADLET_RECORDER"), "{error}");
    }
    for bytes in [0, 1, usize::MAX] {
        let error = Builder::new_current_thread().flight_recorder(bytes).build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("flight_recorder"), "{error}");
    }
    let runtime = Builder::new_current_thread().flight_recorder(1 << 16).build().unwrap();
    let known = [
        ("/nonexistent/recorder", std::io::ErrorKind::NotFound),
        ("/dev/full", std::io::ErrorKind::StorageFull),
    ];
    for (path, kind) in known {
        let error = runtime.handle().dump_recorder(path).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(path), "{error}");
    }
}
