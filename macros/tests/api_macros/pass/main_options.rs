//! Every option, with a value that comes through `macro_rules!` among them.
#![deny(warnings)]

macro_rules! with_workers {
    ($n:literal, $cap:expr) => {
        #[threadlet::main(worker_threads = $n, max_async_threads = $cap, flavor = "multi_thread",)]
        async fn main() {
            one_core();
        }
    };
}

with_workers!(2, 16usize);

#[threadlet::main(flavor = "current_thread", max_async_threads = 1)]
async fn one_core() {}
