//! The runtimes, and the ways to make a call on them that may block.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_executor::Executor;
use threadlet::runtime::{Builder, Detector};
use threadlet::threadlet;

use crate::device::Store;

/// A runtime with its default settings, but for the number of workers.
pub(crate) trait Peer: 'static {
    /// Builds it, runs a future as a spawned task, and takes it down again.
    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Spawns a task; the future returned waits for it.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;
}

/// A way to look something up in a task of a runtime.
pub(crate) trait Way: 'static {
    type Peer: Peer;

    fn look_up(store: &Arc<Store>, page: u32) -> impl Future<Output = u64> + Send;
}

/// The two functions of a `Peer` that are tokio's, or have tokio's names.
macro_rules! tasks_of {
    ($library:ident) => {
        fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
        where
            F: Future + Send + 'static,
            F::Output: Send + 'static,
        {
            let task = $library::spawn(future);
            async { task.await.expect("the task ends well") }
        }

        fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
            $library::time::sleep(duration)
        }
    };
}

/// Ours. Without `PERF` it is as where the kernel's records of context switches are not to be had,
/// in most containers for instance: it finds blocked threads by looking.
#[derive(Debug)]
pub(crate) struct Ours<const PERF: bool>;

pub(crate) type Threadlet = Ours<true>;
pub(crate) type NoPerf = Ours<false>;

impl<const PERF: bool> Peer for Ours<PERF> {
    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let detector = if PERF { Detector::Auto } else { Detector::Monitor };
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(workers).detector(detector).build().expect("ours");
        runtime.block_on(runtime.spawn(future)).expect("the task ends well")
    }

    tasks_of!(threadlet);
}

#[derive(Debug)]
pub(crate) struct Tokio;

impl Peer for Tokio {
    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(workers).enable_all().build().expect("tokio");
        runtime.block_on(runtime.spawn(future)).expect("the task ends well")
    }

    tasks_of!(tokio);
}

/// What `smol` is made of, put together as it does it, in as much as is used here.
#[derive(Debug)]
pub(crate) struct Smol;

static SMOL: Executor<'static> = Executor::new();

impl Peer for Smol {
    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        std::thread::scope(|scope| {
            let mut stops = Vec::new();
            for _ in 0..workers {
                let (stop, stopped) = futures::channel::oneshot::channel::<()>();
                stops.push(stop);
                scope.spawn(|| async_io::block_on(SMOL.run(stopped)));
            }
            let output = async_io::block_on(SMOL.spawn(future));
            drop(stops);
            output
        })
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        SMOL.spawn(future)
    }

    async fn sleep(duration: Duration) {
        async_io::Timer::after(duration).await;
    }
}

/// Says that it may block.
#[derive(Debug)]
pub(crate) struct Marked<P>(P);

impl<P: Peer> Way for Marked<P> {
    type Peer = P;

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        threadlet!(store.sum(page))
    }
}

/// A plain call, as most people write it.
#[derive(Debug)]
pub(crate) struct Plain<P>(P);

impl<P: Peer> Way for Plain<P> {
    type Peer = P;

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        store.sum(page)
    }
}

/// On another thread, tokio's.
#[derive(Debug)]
pub(crate) struct SpawnBlocking;

impl Way for SpawnBlocking {
    type Peer = Tokio;

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        let store = store.clone();
        let call = tokio::task::spawn_blocking(move || store.sum(page));
        call.await.expect("the look-up ends well")
    }
}

/// In place, with the worker handed over first.
#[derive(Debug)]
pub(crate) struct BlockInPlace;

impl Way for BlockInPlace {
    type Peer = Tokio;

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        tokio::task::block_in_place(|| store.sum(page))
    }
}

/// On another thread, that of the crate `blocking`.
#[derive(Debug)]
pub(crate) struct Unblock;

impl Way for Unblock {
    type Peer = Smol;

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        let store = store.clone();
        blocking::unblock(move || store.sum(page)).await
    }
}
