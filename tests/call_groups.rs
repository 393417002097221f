//! Groups: how many calls of one resource run at once, who is next, and what does not wait.

mod support;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use support::{build, detectors, in_time, wait_until};
use threadlet::runtime::{Builder, Runtime};
use threadlet::task::JoinHandle;
use threadlet::{Group, threadlet};

fn runtime(cap: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(2).max_async_threads(cap).build().unwrap()
}

fn leaked(limit: usize) -> &'static Group {
    Box::leak(Box::new(Group::new("test", limit)))
}

type Call = (mpsc::Sender<()>, JoinHandle<Result<(), mpsc::RecvError>>);

/// A task whose call in the group blocks until the sender is used (or dropped).
fn blocked_in(runtime: &Runtime, group: &'static Group) -> Call {
    let (go, wait) = mpsc::channel();
    let task = runtime.spawn(async move { threadlet!(in group; wait.recv()) });
    (go, task)
}

/// So many of them, in the order in which they came to the group.
fn several_in(runtime: &Runtime, group: &'static Group, count: usize) -> Vec<Call> {
    let one = |nth| {
        let call = blocked_in(runtime, group);
        wait_until("it is inside or in line", || group.running() + group.waiting() == nth + 1);
        call
    };
    (0..count).map(one).collect()
}

/// All calls return.
fn let_go(runtime: &Runtime, calls: impl IntoIterator<Item = Call>) {
    let (senders, tasks): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    drop(senders);
    for task in tasks {
        assert!(in_time(runtime, "it returns", task).unwrap().is_err());
    }
}

/// Notes how many are inside at once.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Inside {
    fn visit(&self, stay: Duration) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(stay);
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn never_more_than_the_limit_are_inside() {
    for detector in detectors() {
        let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
        let (group, inside) = (leaked(3), Arc::new(Inside::default()));
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let inside = inside.clone();
                runtime.spawn(async move {
                    threadlet!(in group; inside.visit(Duration::from_millis(2)));
                })
            })
            .collect();
        for task in tasks {
            in_time(&runtime, "all have their turn", task).unwrap();
        }
        assert_eq!(inside.most.load(Ordering::SeqCst), 3, "the limit is used, and kept");
        assert_eq!((group.running(), group.waiting()), (0, 0));
    }
}

#[test]
fn first_come_first_served() {
    let (runtime, group) = (runtime(512), leaked(1));
    let (go, holder) = blocked_in(&runtime, group);
    wait_until("the first is inside", || group.running() == 1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..8)
        .map(|nth| {
            let order = order.clone();
            let task = runtime.spawn(async move {
                threadlet!(in group; order.lock().unwrap().push(nth));
            });
            wait_until("it stands in line", || group.waiting() == nth + 1);
            task
        })
        .collect();
    go.send(()).unwrap();
    in_time(&runtime, "the first", holder).unwrap().unwrap();
    for task in tasks {
        in_time(&runtime, "all have their turn", task).unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..8).collect::<Vec<_>>());
}

/// The story: a place comes free while one waits, and before that one has run, another comes along.
/// It must not pass, nor may it where the limit was raised to less than the line is long.
#[test]
fn who_comes_later_does_not_pass() {
    let mut cx = Context::from_waker(Waker::noop());
    let order = Mutex::new(Vec::new());
    let runtime = runtime(512);
    let group = leaked(1);
    let (go, holder) = blocked_in(&runtime, group);
    wait_until("the first is inside", || group.running() == 1);
    let call = |name: &'static str| {
        let order = &order;
        async move {
            threadlet!(in group; order.lock().unwrap().push(name));
        }
    };
    let (mut early, mut late) = (pin!(call("early")), pin!(call("late")));
    assert!(early.as_mut().poll(&mut cx).is_pending(), "the group is full");
    go.send(()).unwrap();
    in_time(&runtime, "the first", holder).unwrap().unwrap();
    wait_until("the place has passed on", || group.running() == 1 && group.waiting() == 0);
    assert!(late.as_mut().poll(&mut cx).is_pending(), "the place is taken, though nobody runs");
    assert!(early.as_mut().poll(&mut cx).is_ready());
    assert!(late.as_mut().poll(&mut cx).is_ready());
    assert_eq!(*order.lock().unwrap(), ["early", "late"]);
}

#[test]
fn a_limit_is_raised_and_lowered_while_calls_wait() {
    let (runtime, group) = (runtime(512), leaked(1));
    let calls = several_in(&runtime, group, 6);
    wait_until("one is inside", || (group.running(), group.waiting()) == (1, 5));
    group.set_limit(4);
    assert_eq!((group.running(), group.waiting(), group.limit()), (4, 2, 4));
    group.set_limit(2);
    assert_eq!((group.running(), group.waiting()), (4, 2), "nothing is interrupted");
    let mut calls = calls.into_iter();
    for left in [3, 2] {
        let (go, task) = calls.next().unwrap();
        go.send(()).unwrap();
        in_time(&runtime, "it returns", task).unwrap().unwrap();
        assert_eq!((group.running(), group.waiting()), (left, 2), "nobody may enter yet");
    }
    let (go, task) = calls.next().unwrap();
    go.send(()).unwrap();
    in_time(&runtime, "it returns", task).unwrap().unwrap();
    wait_until("the next has entered", || (group.running(), group.waiting()) == (2, 1));
    let_go(&runtime, calls);
    wait_until("all are out", || (group.running(), group.waiting()) == (0, 0));
}

#[test]
fn a_group_larger_than_the_cap_is_bound_by_the_cap() {
    let (runtime, group) = (runtime(2), leaked(100));
    let calls: Vec<_> = (0..10).map(|_| blocked_in(&runtime, group)).collect();
    wait_until("the cap is reached", || runtime.metrics().async_threads >= 2);
    // The emergency thread is beyond the cap.
    assert!(runtime.metrics().async_threads <= 3);
    let_go(&runtime, calls);
    assert!(runtime.metrics().async_threads_peak <= 3);
    assert_eq!(group.running(), 0);
}

/// The point of a group: a slow resource whose callers are many does not take the permits.
#[test]
fn a_full_group_leaves_the_permits_to_others() {
    let (runtime, slow) = (runtime(4), leaked(2));
    let calls = several_in(&runtime, slow, 50);
    assert_eq!((slow.running(), slow.waiting()), (2, 48));
    let metrics = runtime.metrics();
    assert_eq!(metrics.gate_waiters, 0, "who waits for the group does not wait at the gate");
    let other = runtime.spawn(async {
        threadlet!(will_block; std::thread::sleep(Duration::from_millis(1)));
    });
    in_time(&runtime, "a call outside the group", other).unwrap();
    let_go(&runtime, calls);
}

#[test]
fn what_does_not_wait_fails_or_goes_ahead() {
    let (runtime, group) = (runtime(512), leaked(1));
    let (go, holder) = blocked_in(&runtime, group);
    wait_until("the first is inside", || group.running() == 1);
    let (fails, inline) = in_time(&runtime, "neither waits", async {
        (threadlet!(in group, or_fail; 1), threadlet!(or_inline, in group; 2))
    });
    let saturated = fails.expect_err("the group is full");
    assert_eq!(saturated.group(), Some("test"));
    assert!(saturated.to_string().contains("\"test\""), "{saturated}");
    assert_eq!(io::Error::from(saturated).kind(), io::ErrorKind::WouldBlock);
    assert_eq!(inline, 2);
    assert_eq!(group.running(), 1, "who went ahead has no place to give back");
    drop(go);
    assert!(in_time(&runtime, "it returns", holder).unwrap().is_err());
}

#[test]
fn who_gives_up_waiting_takes_no_place_with_it() {
    let (runtime, group) = (runtime(512), leaked(1));
    let (go, holder) = blocked_in(&runtime, group);
    wait_until("the first is inside", || group.running() == 1);
    let mut cx = Context::from_waker(Waker::noop());
    let mut waits = Box::pin(async { threadlet!(in group; ()) });
    let mut granted = Box::pin(async { threadlet!(in group; ()) });
    assert!(granted.as_mut().poll(&mut cx).is_pending());
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    assert_eq!(group.waiting(), 2);
    drop(waits);
    assert_eq!(group.waiting(), 1);
    go.send(()).unwrap();
    in_time(&runtime, "the first", holder).unwrap().unwrap();
    wait_until("the place has passed on", || group.waiting() == 0);
    assert_eq!(group.running(), 1);
    drop(granted);
    assert_eq!(group.running(), 0, "dropped with the place in hand");
}

#[test]
fn a_panic_gives_the_place_back() {
    let (runtime, group) = (runtime(512), leaked(1));
    let panics = runtime.spawn(async move { threadlet!(in group; panic!("on purpose")) });
    let error = in_time(&runtime, "it panics", panics).map(|_: ()| ()).unwrap_err();
    assert!(error.is_panic());
    let next = runtime.spawn(async move { threadlet!(in group; 5) });
    assert_eq!(in_time(&runtime, "the next has the place", next).unwrap(), 5);
}

#[test]
#[should_panic(expected = "at least 1")]
fn a_limit_of_zero_is_refused() {
    Group::new("test", 1).set_limit(0);
}
