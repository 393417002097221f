//! The runtimes behind one trait, so that a workload is written once and is the same for all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use async_executor::{Executor, Task};
use futures::channel::oneshot;

/// A runtime that a workload can be run on. What is not `block_on` is called inside it.
pub(crate) trait Peer {
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    /// Spawns a task; the future returned waits for it. It runs whether or not it is waited for.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = T> + Send + 'static
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;

    fn yield_now() -> impl Future<Output = ()> + Send;

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;

    /// Runs `future` as a spawned task: the thread in `block_on` is no worker.
    fn run<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.block_on(async { Self::spawn(future).await })
    }
}

/// Our functions have tokio's names, so all are the same lines.
macro_rules! peer {
    ($library:ident) => {
        impl Peer for $library::runtime::Runtime {
            fn block_on<F: Future>(&self, future: F) -> F::Output {
                $library::runtime::Runtime::block_on(self, future)
            }

            fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send + 'static
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                let task = $library::spawn(future);
                async { task.await.expect("the task ends well") }
            }

            fn spawn_blocking<F, T>(f: F) -> impl Future<Output = T> + Send + 'static
            where
                F: FnOnce() -> T + Send + 'static,
                T: Send + 'static,
            {
                let task = $library::task::spawn_blocking(f);
                async { task.await.expect("the closure ends well") }
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                $library::task::yield_now()
            }

            fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
                $library::time::sleep(duration)
            }
        }
    };
}

peer!(threadlet);
peer!(tokio);
// A program of tokio's on our runtime.
peer!(facade);

/// What `smol` is made of, put together as it does it, with as many threads as it is told.
#[derive(Debug)]
pub(crate) struct Smol(Vec<(Option<oneshot::Sender<()>>, JoinHandle<()>)>);

static SMOL: Executor<'static> = Executor::new();

impl Smol {
    pub(crate) fn start(workers: usize) -> Smol {
        let worker = |_| {
            let (stop, stopped) = oneshot::channel();
            let work = || {
                // A sender that was dropped says it as well.
                let _ = async_io::block_on(SMOL.run(stopped));
            };
            (Some(stop), std::thread::spawn(work))
        };
        Smol((0..workers).map(worker).collect())
    }
}

/// A task that goes on when it is no longer waited for.
struct Detaching<T>(Option<Task<T>>);

impl<T> Future for Detaching<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(self.0.as_mut().expect("it is dropped once")).poll(cx)
    }
}

impl<T> Drop for Detaching<T> {
    fn drop(&mut self) {
        self.0.take().expect("it is dropped once").detach();
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(stop, _)| drop(stop.take()));
        for (_, thread) in self.0.drain(..) {
            thread.join().expect("the executor does not panic");
        }
    }
}

impl Peer for Smol {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Detaching(Some(SMOL.spawn(future)))
    }

    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = T> + Send + 'static
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        blocking::unblock(f)
    }

    async fn yield_now() {
        futures_lite::future::yield_now().await;
    }

    async fn sleep(duration: Duration) {
        async_io::Timer::after(duration).await;
    }
}
