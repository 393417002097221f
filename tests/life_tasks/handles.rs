//! Handles: detach, abort, join; yields.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use threadlet::runtime::Builder;
use threadlet::{task, threadlet, time};

use super::support::{in_time, wait_until};
use super::{LIMIT, cores, dropped};

#[test]
fn a_dropped_handle_detaches() {
    let runtime = cores(1);
    let (sender, receiver) = oneshot::channel();
    drop(runtime.spawn(async {
        task::yield_now().await;
        sender.send(3).unwrap();
    }));
    assert_eq!(in_time(&runtime, "it runs on", receiver).unwrap(), 3);
}

/// A task that is aborted before it has started never starts; its future is dropped all the same.
#[test]
fn abort_before_the_start() {
    let runtime = cores(1);
    let (sender, receiver) = mpsc::channel::<()>();
    // Without a hand-off the second task cannot start.
    let busy = Builder::new_current_thread().build().unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let (guard, count) = dropped();
    let mine = ran.clone();
    let never = busy.spawn(async move {
        let _guard = guard;
        mine.store(true, Ordering::SeqCst);
    });
    never.abort();
    assert_eq!(count.load(Ordering::SeqCst), 0, "nobody is there to drop it yet");
    let error = busy.block_on(never).unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(!ran.load(Ordering::SeqCst));
    drop((sender, receiver, runtime));
}

#[test]
fn abort_while_it_waits() {
    let runtime = cores(1);
    let (guard, count) = dropped();
    let waiting = runtime.spawn(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    let handle = waiting.abort_handle();
    assert_eq!(handle.id(), waiting.id());
    assert!(!handle.is_finished() && !waiting.is_finished());
    let id = waiting.id();
    handle.abort();
    handle.abort();
    let error = in_time(&runtime, "abort", waiting).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.id(), id);
    assert_eq!(error.to_string(), format!("task {id} was cancelled"));
    assert_eq!(count.load(Ordering::SeqCst), 1, "the future goes before the handle returns");
    assert!(handle.is_finished());
}

/// A call that has started runs to its end, and so does the rest of that poll; the next await is
/// the last.
#[test]
fn abort_during_a_region() {
    let runtime = cores(1);
    let (open, gate) = mpsc::channel::<()>();
    let (entered, after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (says, counts) = (entered.clone(), after.clone());
    let blocked = runtime.spawn(async move {
        threadlet!({
            says.store(true, Ordering::SeqCst);
            gate.recv().unwrap()
        });
        counts.fetch_add(1, Ordering::SeqCst);
        task::yield_now().await;
        counts.fetch_add(10, Ordering::SeqCst);
    });
    wait_until("it blocks", || entered.load(Ordering::SeqCst));
    blocked.abort();
    std::thread::sleep(Duration::from_millis(10));
    assert!(!blocked.is_finished(), "a call that has started is not interrupted");
    open.send(()).unwrap();
    assert!(in_time(&runtime, "abort", blocked).unwrap_err().is_cancelled());
    assert_eq!(after.load(Ordering::SeqCst), 1);
    wait_until("the permit comes back", || runtime.metrics().permits_free == 512);
}

#[test]
fn abort_after_the_end_keeps_the_result() {
    let runtime = cores(1);
    let done = runtime.spawn(async { 5 });
    wait_until("it ends", || done.is_finished());
    done.abort();
    assert!(done.abort_handle().is_finished());
    assert_eq!(in_time(&runtime, "the result", done).unwrap(), 5);
}

/// A worker looked whether the task was aborted, then ran it; between the two came the abort, whose
/// wake did nothing because the task was still queued. The task waited for ever, and so did whoever
/// waited for it.
#[test]
fn an_abort_is_never_lost() {
    let runtime = cores(2);
    for round in 0..3000_u32 {
        let (sender, receiver) = oneshot::channel::<()>();
        let waiting = runtime.spawn(async move {
            task::yield_now().await;
            let _ = receiver.await;
        });
        for _ in 0..(round % 64) * 8 {
            std::hint::spin_loop();
        }
        waiting.abort();
        let result = in_time(&runtime, "abort", waiting);
        assert!(result.unwrap_err().is_cancelled());
        drop(sender);
    }
}

#[test]
fn a_panic_is_a_join_error() {
    let runtime = cores(1);
    let literal = in_time(&runtime, "panic", runtime.spawn(async { panic!("a literal") }));
    let error: task::JoinError = literal.map(|(): ()| ()).unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(
        error.to_string(),
        format!("task {} panicked with message \"a literal\"", error.id())
    );
    assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "a literal");
    let n = 7;
    let formatted = runtime.spawn(async move {
        if n == 7 {
            panic!("with {n}");
        }
    });
    let error = in_time(&runtime, "panic", formatted).unwrap_err();
    assert!(format!("{error:?}").ends_with(", \"with 7\", ...)"), "{error:?}");
    assert_eq!(*error.try_into_panic().unwrap().downcast::<String>().unwrap(), "with 7");
    let strange = runtime.spawn(async { std::panic::panic_any(3_u8) });
    let error = in_time(&runtime, "panic", strange).unwrap_err();
    assert_eq!(error.to_string(), format!("task {} panicked", error.id()));
    let aborted = runtime.spawn(std::future::pending::<()>());
    aborted.abort();
    let error = in_time(&runtime, "abort", aborted).unwrap_err();
    assert!(error.try_into_panic().unwrap_err().is_cancelled());
}

#[test]
fn a_handle_may_be_polled_by_reference_and_again() {
    let runtime = cores(1);
    let (sender, receiver) = oneshot::channel::<u8>();
    let mut waiting = runtime.spawn(async { receiver.await.unwrap() });
    runtime.block_on(async {
        assert!(time::timeout(Duration::from_millis(5), &mut waiting).await.is_err());
        sender.send(4).unwrap();
        assert_eq!(time::timeout(LIMIT, &mut waiting).await.unwrap().unwrap(), 4);
    });
}

/// A task that yields lets each of the others have a turn: a yield goes to the end of the queue,
/// not into the LIFO slot.
#[test]
fn a_yield_is_fair() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let turns = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..4)
        .map(|who| {
            let turns = turns.clone();
            runtime.spawn(async move {
                for _ in 0..50 {
                    turns.lock().unwrap().push(who);
                    task::yield_now().await;
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    let turns = turns.lock().unwrap();
    for (nth, eight) in turns.windows(8).enumerate().take(150) {
        for who in 0..4 {
            assert!(eight.contains(&who), "{who} has no turn in {eight:?} at {nth}");
        }
    }
}

#[test]
fn a_plain_thread_spawns_through_a_handle() {
    let runtime = cores(2);
    let handle = runtime.handle().clone();
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let handle = handle.clone();
            std::thread::spawn(move || {
                let tasks: Vec<_> = (0..500).map(|n| handle.spawn(async move { n })).collect();
                handle.block_on(async {
                    let mut sum = thread;
                    for task in tasks {
                        sum += task.await.unwrap();
                    }
                    sum
                })
            })
        })
        .collect();
    let sum: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(sum, 4 * (499 * 500 / 2) + 6);
}

/// A stranger's waker. It panics in each of its methods that is on: when it is called, when it is
/// dropped.
struct Panics {
    in_wake: bool,
    in_drop: bool,
    calls: Arc<AtomicUsize>,
}

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.in_wake {
            panic!("a waker that panics, on purpose");
        }
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.in_drop {
            panic!("a waker whose drop panics, on purpose");
        }
    }
}

/// How a task may end while a stranger waits for it.
#[derive(Clone, Copy, Debug)]
enum End {
    Returns,
    Panics,
    IsAborted,
    WithItsRuntime,
}

#[test]
fn a_waker_that_panics_when_the_task_ends_harms_nobody() {
    for end in [End::Returns, End::Panics, End::IsAborted, End::WithItsRuntime] {
        for (in_wake, in_drop) in [(true, false), (false, true), (true, true)] {
            let runtime = cores(2);
            let calls = Arc::new(AtomicUsize::new(0));
            let (go, wait) = oneshot::channel::<()>();
            let mut task = runtime.spawn(async move {
                let told = wait.await.is_ok();
                assert!(told && !matches!(end, End::Panics), "on purpose");
                7
            });
            let panics = Panics { in_wake, in_drop, calls: calls.clone() };
            let waker = Waker::from(Arc::new(panics));
            let poll = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
            assert!(poll.is_pending());
            // Its last reference is the runtime's.
            drop(waker);
            let kept = match end {
                End::Returns | End::Panics => go.send(()).err(),
                End::IsAborted => {
                    task.abort();
                    Some(())
                }
                End::WithItsRuntime => {
                    runtime.shutdown_timeout(LIMIT);
                    wait_until("the waker was called", || calls.load(Ordering::Relaxed) > 0);
                    continue;
                }
            };
            assert_eq!(kept.is_some(), matches!(end, End::IsAborted));
            wait_until("the waker was called", || calls.load(Ordering::Relaxed) > 0);
            let result = in_time(&runtime, "the task has its result", task);
            assert_eq!(result.ok(), matches!(end, End::Returns).then_some(7));
            let other = in_time(&runtime, "others go on", runtime.spawn(async { 8 }));
            assert_eq!(other.unwrap(), 8);
        }
    }
}
