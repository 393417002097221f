//! Numbers that are none, or too small.

#[threadlet::main(worker_threads = 0)]
async fn no_workers() {}

#[threadlet::main(max_async_threads = 0)]
async fn no_threads() {}

#[threadlet::main(worker_threads = "4")]
async fn string() {}

#[threadlet::main(max_async_threads = -4)]
async fn negative() {}

const N: usize = 4;

#[threadlet::main(worker_threads = N)]
async fn constant() {}

#[threadlet::main(worker_threads = 4u8)]
async fn suffix() {}

#[threadlet::main(max_async_threads = 99999999999999999999999999)]
async fn huge() {}

fn main() {
    println!("{N}");
}
