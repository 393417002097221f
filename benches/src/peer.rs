//! The runtimes behind one trait, so that a workload is written once and is the same for all.

use std::future::Future;
use std::time::Duration;

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
