//! The memory of tasks, without a runtime: each way for one to end.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::primitive::Mutex;

/// A keeper that polls when it is told.
struct Hand {
    queue: Mutex<VecDeque<Runnable>>,
    owned: Owned,
}

impl Keeper for Hand {
    fn inject(&self, task: Runnable) {
        self.queue.lock().push_back(task);
    }

    fn is_ending(&self) -> bool {
        false
    }

    fn list(&self) -> &Owned {
        &self.owned
    }
}

struct ToIt;

impl Schedule for ToIt {
    fn schedule(task: Runnable, _yielded: bool) {
        task.inject();
    }
}

impl Hand {
    fn new() -> Arc<Self> {
        Arc::new(Hand { queue: Mutex::new(VecDeque::new()), owned: Owned::new() })
    }

    fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn::<ToIt, _, _>(Birth::new(None, Location::caller()), self, &self.owned, future)
    }

    fn next(&self) -> Option<Runnable> {
        self.queue.lock().pop_front()
    }

    fn run_all(&self) {
        while let Some(task) = self.next() {
            task.run();
        }
    }
}

/// Somebody else's waker.
struct Stranger;

impl Wake for Stranger {
    fn wake(self: Arc<Self>) {}
}

fn poll<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<Result<T, JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

/// A future that is ready when it is polled the second time, with a value, and keeps its waker.
fn second(
    kept: &Arc<Mutex<Option<Waker>>>,
    held: &Arc<()>,
) -> impl Future<Output = Arc<()>> + use<> {
    let (kept, held) = (kept.clone(), held.clone());
    let mut polled = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(held.clone());
        }
        *kept.lock() = Some(cx.waker().clone());
        Poll::Pending
    })
}

/// What one test has.
struct Setting {
    hand: Arc<Hand>,
    /// In the task's future, and what it returns.
    held: Arc<()>,
    kept: Arc<Mutex<Option<Waker>>>,
    stranger: Arc<Stranger>,
}

impl Setting {
    fn spawn(&self) -> JoinHandle<Arc<()>> {
        self.hand.spawn(second(&self.kept, &self.held))
    }

    fn stranger(&self) -> Waker {
        Waker::from(self.stranger.clone())
    }

    fn wake(&self) {
        self.kept.lock().take().into_iter().for_each(Waker::wake);
    }
}

/// How a task may end, in words and in deed.
type Story = (&'static str, fn(&Setting));

/// Every story leaves nothing: no future, no result, no waker of a stranger, no memory (of which the
/// keeper's count tells).
#[test]
fn what_was_there_is_gone_however_a_task_ends() {
    let stories: [Story; 9] = [
        ("it returns, and is asked", |it| {
            let mut task = it.spawn();
            assert!(poll(&mut task, &it.stranger()).is_pending());
            it.hand.run_all();
            assert!(poll(&mut task, &it.stranger()).is_pending(), "offered again");
            it.wake();
            it.hand.run_all();
            assert!(poll(&mut task, &it.stranger()).ready_and(|result| result.is_ok()));
            assert!(poll(&mut task, Waker::noop()).ready_and(|again| again.is_err()));
        }),
        ("it returns, and nobody asks", |it| {
            let task = it.spawn();
            it.hand.run_all();
            it.wake();
            it.hand.run_all();
            drop(task);
        }),
        ("its handle goes first", |it| {
            drop(it.spawn());
            it.hand.run_all();
            it.wake();
            it.hand.run_all();
        }),
        ("its handle goes, with a waker in it", |it| {
            let mut task = it.spawn();
            assert!(poll(&mut task, &it.stranger()).is_pending());
            drop(task);
            assert_eq!(Arc::strong_count(&it.stranger), 1, "at once");
            it.hand.run_all();
            it.wake();
            it.hand.run_all();
        }),
        ("another waker takes the place of the first", |it| {
            let mut task = it.spawn();
            assert!(poll(&mut task, &it.stranger()).is_pending());
            assert!(poll(&mut task, Waker::noop()).is_pending());
            assert_eq!(Arc::strong_count(&it.stranger), 1);
            it.hand.run_all();
            it.wake();
            it.hand.run_all();
            assert!(poll(&mut task, Waker::noop()).is_ready());
        }),
        ("it is aborted while it sleeps, and a waker outlives it", |it| {
            let task = it.spawn();
            it.hand.run_all();
            let waker = it.kept.lock().take().unwrap();
            task.abort_handle().abort();
            it.hand.run_all();
            assert!(task.is_finished());
            waker.wake_by_ref();
            drop(task);
            assert!(it.hand.next().is_none(), "what has ended is not queued");
            drop(waker);
        }),
        ("it is dropped in the queue", |it| {
            let mut task = it.spawn();
            drop(it.hand.next());
            assert!(poll(&mut task, Waker::noop()).ready_and(|r| r.unwrap_err().is_cancelled()));
        }),
        ("it panics", |it| {
            let held = it.held.clone();
            let mut task = it.hand.spawn(async move {
                let _held = held;
                std::panic::resume_unwind(Box::new("on purpose"))
            });
            it.hand.run_all();
            let result: Poll<Result<(), _>> = poll(&mut task, Waker::noop());
            assert!(result.ready_and(|result| result.unwrap_err().is_panic()));
        }),
        ("it comes too late", |it| {
            close(&it.hand);
            let mut task = it.spawn();
            assert!(it.hand.next().is_none());
            assert!(poll(&mut task, Waker::noop()).ready_and(|r| r.unwrap_err().is_cancelled()));
        }),
    ];
    for (what, story) in stories {
        let (held, kept) = (Arc::new(()), Arc::new(Mutex::new(None)));
        let it = Setting { hand: Hand::new(), held, kept, stranger: Arc::new(Stranger) };
        story(&it);
        assert_eq!(it.hand.owned.alive(), 0, "{what}: the list of those alive");
        assert_eq!(Arc::strong_count(&it.held), 1, "{what}: the future and its result");
        assert_eq!(Arc::strong_count(&it.stranger), 1, "{what}: the waker of whoever waits");
        close(&it.hand);
        assert_eq!(Arc::strong_count(&it.hand), 1, "{what}: the memory");
    }
}

/// What lives of tasks keeps their keeper, by one reference for each part of the list.
#[test]
fn tasks_share_a_reference_to_their_keeper() {
    let hand = Hand::new();
    let weak = Arc::downgrade(&hand);
    let kept = Arc::new(Mutex::new(None));
    let tasks: Vec<_> = (0..300).map(|_| hand.spawn(second(&kept, &Arc::new(())))).collect();
    hand.run_all();
    assert_eq!(Arc::strong_count(&hand), 1 + owned::SHARDS);
    tasks.iter().for_each(|task| task.abort());
    hand.run_all();
    drop(tasks);
    assert_eq!(Arc::strong_count(&hand), 1 + owned::SHARDS, "for the next ones");
    close(&hand);
    assert_eq!(Arc::strong_count(&hand), 2, "a waker is left of one");
    drop(hand);
    assert_eq!(weak.strong_count(), 1);
    drop(kept.lock().take());
    assert_eq!(weak.strong_count(), 0);
}

/// `Poll::is_ready_and`, which the standard library does not have.
trait ReadyAnd<T> {
    fn ready_and(self, is: impl FnOnce(T) -> bool) -> bool;
}

impl<T> ReadyAnd<T> for Poll<T> {
    fn ready_and(self, is: impl FnOnce(T) -> bool) -> bool {
        match self {
            Poll::Ready(value) => is(value),
            Poll::Pending => false,
        }
    }
}

/// The lists: tasks go from the middle, the head and the end, before and after they were woken.
#[test]
fn whoever_lives_is_woken_once_at_the_end() {
    let hand = Hand::new();
    let kept = Arc::new(Mutex::new(None));
    let tasks: Vec<_> = (0..300).map(|_| hand.spawn(second(&kept, &Arc::new(())))).collect();
    hand.run_all();
    for nth in [0, 1, 150, 298, 299] {
        tasks[nth].abort();
    }
    hand.run_all();
    assert_eq!(hand.owned.alive(), 295);
    close(&hand);
    let mut woken = 0;
    while hand.owned.wake_some(|some| {
        woken += some.len();
        some.into_iter().for_each(TaskRef::wake);
    }) {
        // Some end between two turns.
        hand.run_all();
    }
    assert_eq!(woken, 295);
    assert_eq!(hand.owned.alive(), 0);
    #[cfg(debug_assertions)]
    assert!(hand.owned.adds_up());
}

/// A set is closed in the moment that another thread has woken one of its tasks and not appended it.
#[test]
fn a_local_task_on_its_way_ends_with_its_set() {
    let set = local::Locals::new();
    let (held, kept) = (Rc::new(()), Arc::new(Mutex::new(None)));
    let (in_task, keep) = (held.clone(), kept.clone());
    let mut asleep = set.spawn_local(
        poll_fn(move |cx| {
            let _in_task = &in_task;
            *keep.lock() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }),
        Origin::caller(),
    );
    assert!(set.run(&mut Context::from_waker(Waker::noop()), |_| None::<()>).is_none());
    let task = asleep.task().into_runnable().expect("it sleeps");
    let (go, come) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || come.recv().map(Runnable::inject).unwrap());
    set.close();
    assert_eq!(Rc::strong_count(&held), 1, "the future");
    assert!(poll(&mut asleep, Waker::noop()).ready_and(|r| r.unwrap_err().is_cancelled()));
    go.send(task).unwrap();
    other.join().unwrap();
    drop((asleep, kept.lock().take()));
    assert_eq!((set.alive(), Arc::strong_count(&set)), (0, 1), "the memory");
}

/// A spawned task costs its future and this much.
#[test]
fn a_header_is_nine_words() {
    assert_eq!(size_of::<header::Header>(), 72);
}

#[test]
fn no_two_tasks_have_the_same_number() {
    let some = || (0..1_000).map(|_| Id::next()).collect::<Vec<_>>();
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(some)).collect();
    let numbers: Vec<Vec<Id>> = threads.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(numbers.iter().all(|of_one| of_one.is_sorted()), "a thread counts up");
    let all: std::collections::HashSet<Id> = numbers.into_iter().flatten().collect();
    assert_eq!(all.len(), 4_000);
}
