//! The paths whose cost is counted, each as a program that goes it so many times.
//!
//! `threadlet-counts` counts their instructions; `threadlet-bench scaling` takes their times.

use std::fs::File;
use std::future::{pending, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use threadlet::net::UnixStream;
use threadlet::runtime::Runtime;
use threadlet::{task, threadlet, time};

/// What is counted.
#[derive(Debug)]
pub struct Path {
    /// On the command line, in the table, in what is said of it.
    pub name: &'static str,
    /// What one of it is.
    pub what: &'static str,
    /// How often it is gone in the shorter of two runs.
    pub count: usize,
    /// What goes it so often.
    pub goes: Goes,
}

/// What goes a path.
#[derive(Clone, Copy, Debug)]
pub enum Goes {
    /// A task, in whatever runtime.
    Task(fn(usize) -> BoxFuture<'static, ()>),
    /// A thread outside, with a runtime that it may use up.
    Thread(fn(usize, Runtime)),
}

use Goes::{Task, Thread};

impl Path {
    /// Goes it so often.
    ///
    /// # Panics
    ///
    /// If what it does goes wrong.
    pub fn go(&self, count: usize, runtime: Runtime) {
        match self.goes {
            Task(task) => {
                let done = runtime.block_on(async { threadlet::spawn(task(count)).await });
                done.expect("the task ends well");
            }
            Thread(thread) => thread(count, runtime),
        }
    }
}

const fn path(name: &'static str, what: &'static str, count: usize, goes: Goes) -> Path {
    Path { name, what, count, goes }
}

/// All of them.
pub const PATHS: &[Path] = &[
    path("region", "`threadlet!` that does not block", 20_000, Task(region)),
    path("spawn", "a task spawned, run and joined", 5_000, Task(spawn)),
    path("wake", "a task woken by another, and polled", 10_000, Task(wake)),
    path("yield", "`yield_now`", 10_000, Task(yields)),
    path("read", "a byte read from a socket that has it", 10_000, Task(read)),
    path("echo", "a byte written to a socket, and waited for", 2_000, Task(echo)),
    path("timeout", "a timeout made, polled once and dropped", 5_000, Task(timeout)),
    path("file", "4 KiB read from a cached file", 5_000, Task(file)),
    path("handoff", "a task that hands its core over before a call", 1_000, Task(handoff)),
    path("outside", "a task spawned by a thread outside, and run", 2_000, Thread(outside)),
    path(
        "asleep",
        "a task woken by a thread outside, on a worker that sleeps",
        500,
        Thread(asleep),
    ),
    path("end", "a task that waits, spawned and dropped with its runtime", 5_000, Thread(end)),
];

/// The first with more in it: a hundred instructions, an atomic, a system call and an allocation. It
/// shows that what is too dear is found.
pub const PLANTED: Path = path("planted", "the first, with more in it", 20_000, Task(planted));

fn region(count: usize) -> BoxFuture<'static, ()> {
    async move {
        for nth in 0..count {
            black_box(threadlet!(black_box(nth)));
        }
    }
    .boxed()
}

fn planted(count: usize) -> BoxFuture<'static, ()> {
    async move {
        for nth in 0..count {
            black_box(threadlet!(black_box(nth)));
            plant();
        }
    }
    .boxed()
}

#[inline(never)]
fn plant() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    (0..50).for_each(|nth| _ = black_box(nth));
    COUNT.fetch_add(1, Ordering::Relaxed);
    black_box(std::os::unix::process::parent_id());
    drop(black_box(Box::new(7)));
}

fn spawn(count: usize) -> BoxFuture<'static, ()> {
    async move {
        for _ in 0..count {
            threadlet::spawn(async {}).await.expect("it ends well");
        }
    }
    .boxed()
}

/// Two tasks wake each other in turns, by wakers that they have told each other at the begin.
fn wake(count: usize) -> BoxFuture<'static, ()> {
    let wakers: Arc<[OnceLock<Waker>; 2]> = Arc::default();
    let player = move |me: usize| {
        let (wakers, mut left) = (wakers.clone(), count / 2);
        poll_fn(move |cx| {
            wakers[me].get_or_init(|| cx.waker().clone());
            let Some(other) = wakers[1 - me].get() else { return Poll::Pending };
            other.wake_by_ref();
            left -= 1;
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    async move {
        let players = [0, 1].map(|me| threadlet::spawn(player(me)));
        for player in players {
            player.await.expect("it ends well");
        }
    }
    .boxed()
}

fn yields(count: usize) -> BoxFuture<'static, ()> {
    async move {
        for _ in 0..count {
            task::yield_now().await;
        }
    }
    .boxed()
}

/// Of so many bytes at a time that each fits the socket's buffer.
fn read(count: usize) -> BoxFuture<'static, ()> {
    async move {
        let (mut reader, mut writer) = UnixStream::pair().expect("a pair of sockets");
        let (bytes, mut byte) = ([7; 10_000], [0]);
        let mut left = count;
        while left > 0 {
            let some = left.min(bytes.len());
            writer.write_all(&bytes[..some]).await.expect("room for it");
            for _ in 0..some {
                reader.read_exact(&mut byte).await.expect("it is there");
            }
            left -= some;
        }
    }
    .boxed()
}

/// A byte goes there and back; each is one that has to be waited for.
fn echo(count: usize) -> BoxFuture<'static, ()> {
    async move {
        let (mut near, mut far) = UnixStream::pair().expect("a pair of sockets");
        let other = threadlet::spawn(async move {
            let mut byte = [0];
            for _ in 0..count / 2 {
                far.read_exact(&mut byte).await.expect("it comes");
                far.write_all(&byte).await.expect("room for it");
            }
        });
        let mut byte = [7];
        for _ in 0..count / 2 {
            near.write_all(&byte).await.expect("room for it");
            near.read_exact(&mut byte).await.expect("it comes back");
        }
        other.await.expect("it ends well");
    }
    .boxed()
}

fn timeout(count: usize) -> BoxFuture<'static, ()> {
    const HOUR: Duration = Duration::from_secs(3600);
    async move {
        for _ in 0..count {
            let mut limit = pin!(time::timeout(HOUR, pending::<()>()));
            poll_fn(|cx| {
                assert!(limit.as_mut().poll(cx).is_pending(), "it is not over");
                Poll::Ready(())
            })
            .await;
        }
    }
    .boxed()
}

/// Of this program: it is in memory.
fn file(count: usize) -> BoxFuture<'static, ()> {
    async move {
        let file = File::open("/proc/self/exe").expect("this program");
        let (file, mut page) = (threadlet::fs::File::from_std(file), vec![0; 4096]);
        for _ in 0..count {
            assert_eq!(file.read_at(&mut page, 0).await.expect("it can be read"), page.len());
        }
    }
    .boxed()
}

/// A task each: one that has lost its core would keep without one.
fn handoff(count: usize) -> BoxFuture<'static, ()> {
    async move {
        for _ in 0..count {
            let call = async { threadlet!(will_block; black_box(7)) };
            threadlet::spawn(call).await.expect("it ends well");
        }
    }
    .boxed()
}

fn outside(count: usize, runtime: Runtime) {
    let tasks: Vec<_> = (0..count).map(|_| runtime.spawn(async {})).collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("it ends well");
        }
    });
}

/// The task wakes the thread outside, which sleeps for a while, so that the worker does as well, and
/// wakes the task.
fn asleep(count: usize, runtime: Runtime) {
    let waker: Arc<OnceLock<Waker>> = Arc::default();
    let turns = Arc::new(AtomicU64::new(0));
    let (its_waker, its_turns) = (waker.clone(), turns.clone());
    let (outside, last) = (std::thread::current(), count as u64);
    let other = runtime.spawn(poll_fn(move |cx| {
        its_waker.get_or_init(|| cx.waker().clone());
        let turn = its_turns.fetch_add(1, Ordering::Release);
        outside.unpark();
        if turn == last { Poll::Ready(()) } else { Poll::Pending }
    }));
    for turn in 0..=last {
        while turns.load(Ordering::Acquire) == turn {
            std::thread::park();
        }
        std::thread::sleep(Duration::from_micros(500));
        waker.get().expect("it has been polled").wake_by_ref();
    }
    runtime.block_on(other).expect("it ends well");
}

fn end(count: usize, runtime: Runtime) {
    let spawns = async move { (0..count).for_each(|_| drop(threadlet::spawn(pending::<()>()))) };
    runtime.block_on(async { threadlet::spawn(spawns).await }).expect("it ends well");
    drop(runtime);
}

#[cfg(test)]
mod tests {
    use threadlet::runtime::Builder;

    use super::*;

    #[test]
    fn each_path_has_a_name_of_its_own_and_can_be_gone() {
        for (nth, one) in PATHS.iter().chain([&PLANTED]).enumerate() {
            assert!(PATHS.iter().take(nth).all(|other| other.name != one.name), "{}", one.name);
            let mut builder = Builder::new_multi_thread();
            one.go(100, builder.worker_threads(1).build().expect("a runtime"));
        }
    }
}
