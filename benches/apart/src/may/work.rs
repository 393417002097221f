//! What is done, in tasks and in coroutines.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures::StreamExt;
use futures::task::AtomicWaker;
use may::coroutine::{self, Coroutine};
use may::go;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Workload;
use crate::peer::Peer;

/// A task's place to wait at. A wake-up that comes first is kept, as it is with may's `park`.
#[derive(Default)]
struct Spot {
    woken: AtomicBool,
    waker: AtomicWaker,
}

impl Spot {
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.waker.wake();
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            if self.woken.swap(false, Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.waker.register(cx.waker());
            if self.woken.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Tells whoever waits that so many tasks have ended.
struct Tasks {
    left: AtomicUsize,
    all: Spot,
}

impl Tasks {
    fn new(count: usize) -> Arc<Tasks> {
        Arc::new(Tasks { left: AtomicUsize::new(count), all: Spot::default() })
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.wake();
        }
    }
}

/// The same for coroutines, of the one that has made this.
struct Coroutines {
    left: AtomicUsize,
    waits: Coroutine,
}

impl Coroutines {
    fn new(count: usize) -> Arc<Coroutines> {
        Arc::new(Coroutines { left: AtomicUsize::new(count), waits: coroutine::current() })
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waits.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            coroutine::park();
        }
    }
}

/// Many that end at once.
pub(super) struct Spawn;

impl Workload for Spawn {
    const WHAT: &str = "10,000 spawned";
    const SIZE: usize = 10_000;

    async fn in_tasks<P: Peer>(size: usize) {
        let tasks = Tasks::new(size);
        for _ in 0..size {
            let tasks = tasks.clone();
            drop(P::spawn(async move { tasks.one_less() }));
        }
        tasks.all.wait().await;
    }

    fn in_coroutines(size: usize) {
        let coroutines = Coroutines::new(size);
        for _ in 0..size {
            let coroutines = coroutines.clone();
            drop(go!(move || coroutines.one_less()));
        }
        coroutines.wait();
    }
}

/// Two hundred that yield.
pub(super) struct Yield;

const YIELDING: usize = 200;

impl Workload for Yield {
    const WHAT: &str = "200 yield 200 times";
    const SIZE: usize = 200;

    async fn in_tasks<P: Peer>(size: usize) {
        let tasks = Tasks::new(YIELDING);
        for _ in 0..YIELDING {
            let tasks = tasks.clone();
            drop(P::spawn(async move {
                for _ in 0..size {
                    P::yield_now().await;
                }
                tasks.one_less();
            }));
        }
        tasks.all.wait().await;
    }

    fn in_coroutines(size: usize) {
        let coroutines = Coroutines::new(YIELDING);
        for _ in 0..YIELDING {
            let coroutines = coroutines.clone();
            drop(go!(move || {
                for _ in 0..size {
                    coroutine::yield_now();
                }
                coroutines.one_less();
            }));
        }
        coroutines.wait();
    }
}

/// Rings of five, each of whom wakes the next and waits.
pub(super) struct Cycle;

const RINGS: usize = 40;
const RING: usize = 5;

impl Workload for Cycle {
    const WHAT: &str = "40 rings of five, 400 times around";
    const SIZE: usize = 400;

    async fn in_tasks<P: Peer>(size: usize) {
        let tasks = Tasks::new(RINGS * RING);
        for _ in 0..RINGS {
            let spots: Arc<[Spot]> = (0..RING).map(|_| Spot::default()).collect();
            for nth in 0..RING {
                let (spots, tasks) = (spots.clone(), tasks.clone());
                drop(P::spawn(async move {
                    for _ in 0..size {
                        spots[nth].wait().await;
                        spots[(nth + 1) % RING].wake();
                    }
                    tasks.one_less();
                }));
            }
            spots[0].wake();
        }
        tasks.all.wait().await;
    }

    fn in_coroutines(size: usize) {
        let coroutines = Coroutines::new(RINGS * RING);
        for _ in 0..RINGS {
            let ring: Arc<OnceLock<Vec<Coroutine>>> = Arc::default();
            let start = |nth: usize| {
                let (ring, coroutines) = (ring.clone(), coroutines.clone());
                let one = go!(move || {
                    for _ in 0..size {
                        coroutine::park();
                        // Whoever has woken this one has seen all of them.
                        ring.get().expect("the ring is closed")[(nth + 1) % RING].unpark();
                    }
                    coroutines.one_less();
                });
                one.coroutine().clone()
            };
            let all = ring.get_or_init(|| (0..RING).map(start).collect());
            all[0].unpark();
        }
        coroutines.wait();
    }
}

/// One sends, one receives.
pub(super) struct Channel;

impl Workload for Channel {
    const WHAT: &str = "a channel without a bound, 20,000 messages";
    const SIZE: usize = 20_000;

    async fn in_tasks<P: Peer>(size: usize) {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        drop(P::spawn(async move {
            for nth in 0..size {
                sender.unbounded_send(nth).expect("somebody receives");
            }
        }));
        assert_eq!(receiver.count().await, size);
    }

    fn in_coroutines(size: usize) {
        let (sender, receiver) = may::sync::mpsc::channel();
        drop(go!(move || {
            for nth in 0..size {
                sender.send(nth).expect("somebody receives");
            }
        }));
        assert_eq!(receiver.iter().count(), size);
    }
}

/// Four that take one lock, and yield while they have it.
pub(super) struct Mutex;

const TAKERS: usize = 4;

impl Workload for Mutex {
    const WHAT: &str = "a contended mutex, 4 times 5,000 turns";
    const SIZE: usize = 5_000;

    async fn in_tasks<P: Peer>(size: usize) {
        let (tasks, lock) = (Tasks::new(TAKERS), Arc::new(futures::lock::Mutex::new(0)));
        for _ in 0..TAKERS {
            let (tasks, lock) = (tasks.clone(), lock.clone());
            drop(P::spawn(async move {
                for _ in 0..size {
                    let mut count = lock.lock().await;
                    P::yield_now().await;
                    *count += 1;
                }
                tasks.one_less();
            }));
        }
        tasks.all.wait().await;
        assert_eq!(*lock.lock().await, TAKERS * size);
    }

    fn in_coroutines(size: usize) {
        let (coroutines, lock) = (Coroutines::new(TAKERS), Arc::new(may::sync::Mutex::new(0)));
        for _ in 0..TAKERS {
            let (coroutines, lock) = (coroutines.clone(), lock.clone());
            drop(go!(move || {
                for _ in 0..size {
                    let mut count = lock.lock().expect("nobody panics under it");
                    coroutine::yield_now();
                    *count += 1;
                }
                coroutines.one_less();
            }));
        }
        coroutines.wait();
        assert_eq!(*lock.lock().expect("nobody panics under it"), TAKERS * size);
    }
}

/// 64 bytes there and back, on many connections at once.
pub(super) struct Echo;

const PAIRS: usize = 256;
const MESSAGE: usize = 64;

impl Workload for Echo {
    const WHAT: &str = "TCP echo, 256 connections, 50 round trips";
    const SIZE: usize = 50;

    async fn in_tasks<P: Peer>(size: usize) {
        let tasks = Tasks::new(PAIRS);
        for (mut client, mut server) in P::connections(PAIRS).await {
            drop(P::spawn(async move {
                let mut message = [0; MESSAGE];
                while server.read_exact(&mut message).await.is_ok() {
                    server.write_all(&message).await.expect("the client waits");
                }
            }));
            let tasks = tasks.clone();
            drop(P::spawn(async move {
                let mut message = [0; MESSAGE];
                for _ in 0..size {
                    client.write_all(&message).await.expect("the server reads");
                    client.read_exact(&mut message).await.expect("the server answers");
                }
                tasks.one_less();
            }));
        }
        tasks.all.wait().await;
    }

    fn in_coroutines(size: usize) {
        let coroutines = Coroutines::new(PAIRS);
        for (mut client, mut server) in connections() {
            drop(go!(move || {
                let mut message = [0; MESSAGE];
                while server.read_exact(&mut message).is_ok() {
                    server.write_all(&message).expect("the client waits");
                }
            }));
            let coroutines = coroutines.clone();
            drop(go!(move || {
                let mut message = [0; MESSAGE];
                for _ in 0..size {
                    client.write_all(&message).expect("the server reads");
                    client.read_exact(&mut message).expect("the server answers");
                }
                coroutines.one_less();
            }));
        }
        coroutines.wait();
    }
}

fn connections() -> Vec<(may::net::TcpStream, may::net::TcpStream)> {
    let listener = may::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let pair = |_| {
        let client = may::net::TcpStream::connect(address).expect("it listens");
        let (server, _from) = listener.accept().expect("it has connected");
        client.set_nodelay(true).expect("it is open");
        server.set_nodelay(true).expect("it is open");
        (client, server)
    };
    (0..PAIRS).map(pair).collect()
}
