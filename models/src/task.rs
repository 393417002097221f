//! The word of a task: wakes and polls, the handle and the end, and who frees the memory.

use loom::thread;

use super::{Private, explore};
use crate::primitive::{Arc, AtomicBool, AtomicUsize, Ordering};
use crate::protocol::task::{Completed, Dropped, Rest, TaskWord};

/// A task's memory. Each part is touched by whoever the word says may.
struct Task {
    word: TaskWord,
    future: Private,
    result: Private,
    awaiter: Private,
    memory: Private,
    /// What its wakers have to tell it, without any order of their own.
    told: AtomicUsize,
    /// What was dropped or taken: each must be, once.
    results: AtomicUsize,
    freed: AtomicUsize,
    /// The awaiter was woken.
    woken: AtomicBool,
}

fn task(references: u64) -> Arc<Task> {
    Arc::new(Task {
        word: TaskWord::new(0, references),
        future: Private::new(),
        result: Private::new(),
        awaiter: Private::new(),
        memory: Private::new(),
        told: AtomicUsize::new(0),
        results: AtomicUsize::new(0),
        freed: AtomicUsize::new(0),
        woken: AtomicBool::new(false),
    })
}

impl Task {
    /// Gives references up, and frees the memory with the last.
    fn let_go(&self, references: u64) {
        if self.word.let_go(references) {
            self.memory.touch();
            self.future.touch();
            self.result.touch();
            self.awaiter.touch();
            self.freed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn memory_is_there(&self) {
        assert_eq!(self.freed.load(Ordering::Relaxed), 0, "freed, and there is a reference");
    }

    /// Polls until the task rests, or has been told as much as that: then it ends. Returns whether
    /// it has.
    fn run(&self, until: usize) -> bool {
        loop {
            let aborted = self.word.begin();
            self.future.touch();
            if aborted || self.told.load(Ordering::Relaxed) >= until {
                self.finish(aborted);
                return true;
            }
            if self.word.rest() == Rest::Asleep {
                return false;
            }
        }
    }

    fn finish(&self, cancelled: bool) {
        self.future.touch();
        self.result.touch();
        match self.word.complete(cancelled) {
            Completed::Unwanted if !cancelled => {
                self.result.touch();
                self.results.fetch_add(1, Ordering::Relaxed);
            }
            Completed::Awaited => {
                self.awaiter.touch();
                self.woken.store(true, Ordering::Relaxed);
            }
            Completed::Unwanted | Completed::Left => {}
        }
        // The right to run, and the list.
        self.let_go(2);
    }

    /// A wake, and the poll that it may owe.
    fn tell(&self, until: usize) {
        self.told.fetch_add(1, Ordering::Relaxed);
        self.memory_is_there();
        if self.word.wake() {
            self.run(until);
        }
    }
}

/// The story: two threads each leave a word for a task and wake it, while it is polled. Each of the
/// words is seen by a poll that comes behind it; and there is one poll at a time.
#[test]
fn no_wake_is_lost_and_none_polls_beside_another() {
    explore(3, || {
        let task = task(3);
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let task = task.clone();
                thread::spawn(move || task.tell(2))
            })
            .collect();
        task.run(2);
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        assert!(task.word.is_complete(), "it was told all, and sleeps");
    });
}

/// The story: one who waits looks at the task, offers a waker, takes it back for another, and goes;
/// meanwhile the task ends. The result is taken or dropped, once; whoever waits is woken, or sees
/// the end.
#[test]
fn a_result_has_one_owner_and_its_awaiter_is_woken() {
    explore(3, || {
        let task = task(3);
        let other = task.clone();
        let runner = thread::spawn(move || assert!(other.run(0), "it ends at once"));
        let mut offered = false;
        for _ in 0..2 {
            if task.word.is_complete() {
                break;
            }
            if offered && !task.word.take_awaiter_back() {
                // The handle takes it behind this.
                task.result.touch();
                break;
            }
            task.awaiter.touch();
            offered = task.word.offer_awaiter();
            if !offered {
                task.awaiter.touch();
                break;
            }
        }
        loop {
            match task.word.drop_handle() {
                Dropped::Detached => break,
                Dropped::Awaiter => task.awaiter.touch(),
                Dropped::Complete => {
                    task.result.touch();
                    task.results.fetch_add(1, Ordering::Relaxed);
                    task.let_go(1);
                    break;
                }
            }
        }
        runner.join().unwrap();
        assert_eq!(task.results.load(Ordering::Relaxed), 1, "taken or dropped, once");
        assert_eq!(task.freed.load(Ordering::Relaxed), 1);
    });
}

/// The story: one offers its waker and waits. The end comes at the same time: it is seen, or the
/// waker is woken.
#[test]
fn who_waits_is_woken() {
    explore(3, || {
        let task = task(3);
        let other = task.clone();
        let runner = thread::spawn(move || assert!(other.run(0), "it ends at once"));
        let waits = !task.word.is_complete() && {
            task.awaiter.touch();
            let offered = task.word.offer_awaiter();
            if !offered {
                task.awaiter.touch();
            }
            offered
        };
        if !waits {
            task.result.touch();
        }
        runner.join().unwrap();
        assert_eq!(task.woken.load(Ordering::Relaxed), waits);
    });
}

/// The story: a waker is cloned, used up by its wake, or dropped, while the task is aborted and ends
/// and its handle goes. The last of them frees the memory, behind whatever the others did with it.
#[test]
fn the_last_reference_frees_the_memory() {
    explore(3, || {
        // With a waker.
        let task = task(4);
        let other = task.clone();
        let waker = thread::spawn(move || {
            other.memory_is_there();
            if other.word.wake_and_go() {
                other.run(9);
            } else {
                other.let_go(1);
            }
        });
        let other = task.clone();
        let runner = thread::spawn(move || other.run(9));
        if task.word.abort() {
            task.run(9);
        }
        match task.word.drop_handle() {
            Dropped::Detached => {}
            Dropped::Awaiter => unreachable!("none was offered"),
            Dropped::Complete => task.let_go(1),
        }
        waker.join().unwrap();
        runner.join().unwrap();
        assert_eq!(task.freed.load(Ordering::Relaxed), 1);
    });
}
