//! Signals: who hears them, and when. Each test has a process of its own, which it sends them to.

mod support;

use std::future::Future;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::join_all;
use threadlet::runtime::{Builder, Runtime};
use threadlet::signal::ctrl_c;
use threadlet::signal::unix::{Signal, SignalKind, signal};
use threadlet::time::{sleep, timeout};

use support::{alone, in_time};

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

fn run<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    in_time(&runtime, "the test is over", future)
}

fn send(kind: SignalKind) {
    // SAFETY: two numbers.
    let sent = unsafe { libc::kill(std::process::id() as i32, kind.as_raw_value()) };
    assert_eq!(sent, 0);
}

async fn hears(signal: &mut Signal) -> bool {
    matches!(timeout(Duration::from_secs(10), signal.recv()).await, Ok(Some(())))
}

async fn hears_nothing(signal: &mut Signal) -> bool {
    timeout(SHORT, signal.recv()).await.is_err()
}

#[test]
fn many_listeners_hear_it_each_and_each_kind_its_own() {
    if !alone(LIMIT) {
        return;
    }
    run(async {
        let one = SignalKind::user_defined1();
        let mut listeners: Vec<Signal> = (0..100).map(|_| signal(one).unwrap()).collect();
        let mut other = signal(SignalKind::user_defined2()).unwrap();
        for _ in 0..10 {
            send(one);
            let heard = join_all(listeners.iter_mut().map(hears)).await;
            assert!(heard.into_iter().all(|heard| heard));
        }
        assert!(hears_nothing(&mut other).await, "another kind");
        send(SignalKind::user_defined2());
        assert!(hears(&mut other).await);
        // One that comes later hears what comes then.
        let mut late = signal(one).unwrap();
        assert!(hears_nothing(&mut late).await);
    });
}

#[test]
fn what_comes_before_somebody_asks_is_told_once() {
    if !alone(LIMIT) {
        return;
    }
    run(async {
        let mut hangup = signal(SignalKind::hangup()).unwrap();
        for _ in 0..5 {
            send(SignalKind::hangup());
        }
        sleep(SHORT).await;
        assert!(hears(&mut hangup).await);
        assert!(hears_nothing(&mut hangup).await, "five came, told together");
        // A wait that was given up has lost nothing.
        assert!(hears_nothing(&mut hangup).await);
        send(SignalKind::hangup());
        assert!(hears(&mut hangup).await);
    });
}

#[test]
fn each_runtime_hears_it() {
    if !alone(LIMIT) {
        return;
    }
    let kind = SignalKind::user_defined1();
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let mut of_first = first.block_on(async { signal(kind).unwrap() });
    let mut of_second = second.block_on(async { signal(kind).unwrap() });
    send(kind);
    assert!(first.block_on(hears(&mut of_first)));
    drop(first);
    send(kind);
    // It came twice since, and before the runtime of the first had gone it came once.
    assert!(second.block_on(hears(&mut of_second)));
    assert_eq!(second.block_on(of_first.recv()), None, "its runtime is gone");
    // Elsewhere it is as it was.
    drop(of_first);
    send(kind);
    assert!(second.block_on(hears(&mut of_second)));
}

#[test]
fn without_a_listener_it_is_still_no_end() {
    if !alone(LIMIT) {
        return;
    }
    run(async {
        drop(signal(SignalKind::terminate()).unwrap());
        send(SignalKind::terminate());
        sleep(SHORT).await;
        let mut again = signal(SignalKind::terminate()).unwrap();
        send(SignalKind::terminate());
        assert!(hears(&mut again).await);
    });
}

#[test]
fn ctrl_c_is_waited_for() {
    if !alone(LIMIT) {
        return;
    }
    run(async {
        for _ in 0..3 {
            let waits = threadlet::spawn(ctrl_c());
            sleep(SHORT).await;
            send(SignalKind::interrupt());
            waits.await.unwrap().unwrap();
        }
    });
}

#[test]
fn for_hand_written_futures() {
    if !alone(LIMIT) {
        return;
    }
    run(async {
        let mut child = signal(SignalKind::child()).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(child.poll_recv(&mut cx).is_pending());
        send(SignalKind::child());
        assert!(hears(&mut child).await);
        send(SignalKind::child());
        // The kernel chooses the thread that handles it, which may take a moment.
        while child.poll_recv(&mut cx) != Poll::Ready(Some(())) {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn what_no_handler_may_stand_for_is_refused() {
    run(async {
        for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, -1, 4096] {
            let error = signal(SignalKind::from_raw(number)).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{number}: {error}");
        }
        let kind = SignalKind::from(libc::SIGRTMIN());
        assert_eq!(libc::c_int::from(kind), libc::SIGRTMIN());
        assert_eq!(SignalKind::quit().as_raw_value(), libc::SIGQUIT);
    });
}

#[test]
#[should_panic(expected = "a signal needs a threadlet runtime")]
fn outside_a_runtime_nobody_listens() {
    let _ = signal(SignalKind::alarm());
}
