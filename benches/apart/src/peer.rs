//! The two runtimes behind one trait.

use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::Plan;

/// A runtime. What does not take `&self` is called inside it.
pub(crate) trait Peer: Sized {
    type Tcp: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn start(plan: Plan) -> Self;

    fn block_on<F: Future>(&self, future: F) -> F::Output;

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Connections from this program to itself.
    fn connections(count: usize) -> impl Future<Output = Vec<(Self::Tcp, Self::Tcp)>> + Send;

    /// Runs `future` as a task: the thread in `block_on` is no worker.
    fn run<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.block_on(async { Self::spawn(future).await })
    }
}

/// Our functions have tokio's names, so both are the same lines.
macro_rules! peer {
    ($library:ident) => {
        impl Peer for $library::runtime::Runtime {
            type Tcp = $library::net::TcpStream;

            fn start(plan: Plan) -> Self {
                let mut builder = $library::runtime::Builder::new_multi_thread();
                builder.worker_threads(plan.workers).enable_all().build().expect("a runtime")
            }

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

            fn yield_now() -> impl Future<Output = ()> + Send {
                $library::task::yield_now()
            }

            async fn connections(count: usize) -> Vec<(Self::Tcp, Self::Tcp)> {
                let listener = $library::net::TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                let mut pairs = Vec::new();
                for _ in 0..count {
                    let client = Self::Tcp::connect(address).await.expect("it listens");
                    let (server, _from) = listener.accept().await.expect("it has connected");
                    client.set_nodelay(true).expect("it is open");
                    server.set_nodelay(true).expect("it is open");
                    pairs.push((client, server));
                }
                pairs
            }
        }
    };
}

peer!(threadlet);
peer!(tokio);
