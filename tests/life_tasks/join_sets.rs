//! `JoinSet`, and the numbers of tasks.

use std::collections::HashSet;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use threadlet::runtime::Builder;
use threadlet::task::{self, JoinSet};
use threadlet::time;

use super::support::{in_time, wait_until};
use super::{LIMIT, cores, dropped};

#[test]
fn they_are_joined_in_the_order_in_which_they_end() {
    let runtime = cores(2);
    in_time(&runtime, "all are joined", async {
        let mut set = JoinSet::new();
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..3).map(|_| oneshot::channel::<u32>()).unzip();
        let ids: Vec<_> = receivers
            .into_iter()
            .map(|receiver| set.spawn(async move { receiver.await.unwrap() }).id())
            .collect();
        assert_eq!((set.len(), set.is_empty()), (3, false));
        assert!(set.try_join_next().is_none());
        for (nth, sender) in senders.into_iter().enumerate().rev() {
            sender.send(nth as u32).unwrap();
            let (id, value) = set.join_next_with_id().await.unwrap().unwrap();
            assert_eq!((id, value), (ids[nth], nth as u32));
        }
        assert!(set.join_next().await.is_none() && set.is_empty());
        // And it can be filled again.
        set.spawn(async { 7 });
        assert_eq!(set.join_next().await.unwrap().unwrap(), 7);
    });
}

#[test]
fn many_are_joined_once_each() {
    let runtime = cores(2);
    let numbers = in_time(&runtime, "a thousand tasks", async {
        let mut set: JoinSet<u32> = (0..500).map(|number| async move { number }).collect();
        set.extend((500..900).map(|number| async move {
            task::yield_now().await;
            number
        }));
        for number in 900..1000 {
            set.spawn_blocking(move || number);
        }
        set.join_all().await
    });
    assert_eq!(numbers.len(), 1000);
    assert_eq!(numbers.into_iter().collect::<HashSet<_>>().len(), 1000);
}

#[test]
fn what_has_ended_is_there_without_a_wait() {
    let runtime = cores(1);
    let mut set = JoinSet::new();
    let first = set.spawn_on(async { 1 }, runtime.handle());
    let waits = set.spawn_on(pending(), runtime.handle());
    let call = set.spawn_blocking_on(|| 2, runtime.handle());
    wait_until("two have ended", || first.is_finished() && call.is_finished());
    // `is_finished` is told by the task itself, a moment before whoever joins it may see that.
    let mut ended = Vec::new();
    wait_until("both are joined", || {
        ended.extend(set.try_join_next_with_id().map(Result::unwrap));
        ended.len() == 2
    });
    ended.sort_by_key(|(_, value)| *value);
    assert_eq!(ended, [(first.id(), 1), (call.id(), 2)]);
    assert!(set.try_join_next().is_none());
    assert_eq!(set.len(), 1);
    assert!(!waits.is_finished());
}

#[test]
fn a_wait_that_is_cancelled_loses_nothing() {
    let runtime = cores(2);
    in_time(&runtime, "the result", async {
        let mut set = JoinSet::new();
        let (sender, receiver) = oneshot::channel::<()>();
        set.spawn(async move { receiver.await.is_ok() });
        let short = Duration::from_millis(1);
        assert!(time::timeout(short, set.join_next()).await.is_err());
        sender.send(()).unwrap();
        assert!(set.join_next().await.unwrap().unwrap());
    });
}

/// The last one to poll is woken, also where a look without a wait came in between.
#[test]
fn a_poll_leaves_its_waker() {
    let runtime = cores(1);
    let mut set = JoinSet::new();
    let (sender, receiver) = oneshot::channel::<()>();
    set.spawn_on(async move { receiver.await.is_ok() }, runtime.handle());
    assert!(set.poll_join_next(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(set.try_join_next().is_none());
    let telling = runtime.spawn(async move {
        time::sleep(Duration::from_millis(5)).await;
        sender.send(()).unwrap();
    });
    let joined = in_time(&runtime, "it is woken", set.join_next());
    assert!(joined.unwrap().unwrap());
    in_time(&runtime, "and the other", telling).unwrap();
}

#[test]
fn a_set_that_is_dropped_aborts_its_tasks() {
    let runtime = cores(2);
    let mut set = JoinSet::new();
    let (guard, gone) = dropped();
    set.spawn_on(
        async move {
            let _guard = guard;
            pending::<()>().await;
        },
        runtime.handle(),
    );
    drop(set);
    wait_until("it is dropped", || gone.load(Ordering::SeqCst) == 1);
    // But not those that were let go.
    let (sender, receiver) = oneshot::channel::<()>();
    let ran = Arc::new(AtomicBool::new(false));
    let tell = ran.clone();
    let mut set = JoinSet::new();
    set.spawn_on(
        async move {
            receiver.await.unwrap();
            tell.store(true, Ordering::SeqCst);
        },
        runtime.handle(),
    );
    set.detach_all();
    assert!(set.is_empty());
    drop(set);
    sender.send(()).unwrap();
    wait_until("it has run on", || ran.load(Ordering::SeqCst));
}

/// A call cannot be interrupted, and is waited for.
#[test]
fn shutdown_waits_for_all() {
    let runtime = cores(2);
    let (sender, receiver) = mpsc::channel::<()>();
    let (ended, started) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (end, start) = (ended.clone(), started.clone());
    let mut set = JoinSet::new();
    set.spawn_on(pending(), runtime.handle());
    set.spawn_blocking_on(
        move || {
            start.store(true, Ordering::SeqCst);
            let _ = receiver.recv();
            end.store(true, Ordering::SeqCst);
        },
        runtime.handle(),
    );
    wait_until("it is in its call", || started.load(Ordering::SeqCst));
    let short = Duration::from_millis(20);
    let early =
        in_time(&runtime, "the limit", async { time::timeout(short, set.shutdown()).await });
    assert!(early.is_err());
    drop(sender);
    in_time(&runtime, "the end", set.shutdown());
    assert!(set.is_empty() && ended.load(Ordering::SeqCst));
}

#[test]
fn a_panic_reaches_whoever_wants_all() {
    let runtime = cores(2);
    let all = async {
        let mut set = JoinSet::new();
        let (guard, gone) = dropped();
        set.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        set.spawn(async { panic!("seven is too much") });
        (AssertUnwindSafe(set.join_all()).catch_unwind().await, gone)
    };
    let (result, gone) = in_time(&runtime, "the panic", all);
    assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"seven is too much"));
    wait_until("the others are aborted", || gone.load(Ordering::SeqCst) == 1);
    let cancelled = async {
        let mut set = JoinSet::new();
        set.spawn(pending::<()>()).abort();
        AssertUnwindSafe(set.join_all()).catch_unwind().await
    };
    let payload = in_time(&runtime, "the abort", cancelled).unwrap_err();
    assert!(payload.downcast_ref::<String>().unwrap().contains("was cancelled"));
}

#[test]
fn a_task_knows_its_number() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(1).build().unwrap();
        assert!(task::try_id().is_none());
        in_time(&runtime, "numbers", async {
            assert!(task::try_id().is_none(), "a root future is no task");
            assert!(std::panic::catch_unwind(task::id).is_err());
            let plain = task::spawn(async {
                task::yield_now().await;
                task::id()
            });
            let id = plain.id();
            assert_eq!(plain.await.unwrap(), id);
            let call = task::spawn_blocking(task::id);
            let id = call.id();
            assert_eq!(call.await.unwrap(), id);
            let nested = task::spawn(async {
                let inner = threadlet::block_on(async { task::try_id() });
                (inner, task::id())
            });
            let id = nested.id();
            assert_eq!(nested.await.unwrap(), (None, id));
        });
    }
}

/// Sends the number of the task that drops it.
struct Tells(mpsc::Sender<Option<task::Id>>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _ = self.0.send(task::try_id());
    }
}

/// Whoever drops what a task leaves, does it in the task's name.
#[test]
fn a_destructor_knows_the_number_too() {
    let runtime = cores(1);
    let (tell, told) = mpsc::channel();
    let told = || told.recv_timeout(LIMIT).unwrap();
    // Its future, when it is aborted.
    let tells = Tells(tell.clone());
    let task = runtime.spawn(async move {
        let _tells = tells;
        pending::<()>().await;
    });
    task.abort();
    assert_eq!(told(), Some(task.id()));
    // What it has returned, on a thread of nobody's.
    let tells = Tells(tell.clone());
    let task = runtime.spawn(async { tells });
    let id = task.id();
    wait_until("it has ended", || task.is_finished());
    drop(task);
    assert_eq!(told(), Some(id));
    // And what never ran: nobody is in `block_on`.
    let runtime = Builder::new_current_thread().build().unwrap();
    let tells = Tells(tell);
    let task = runtime.spawn(async { drop(tells) });
    drop(runtime);
    assert_eq!(told(), Some(task.id()));
    assert!(task::try_id().is_none());
}

#[test]
fn a_handle_can_be_let_go() {
    let runtime = cores(1);
    let (sender, receiver) = mpsc::channel();
    runtime.spawn(async move { sender.send(7) }).detach();
    assert_eq!(receiver.recv_timeout(LIMIT), Ok(7));
    // A set polled by hand, once all are gone.
    let mut set = JoinSet::<()>::new();
    let mut next = pin!(set.join_next());
    let polled = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(None)));
}
