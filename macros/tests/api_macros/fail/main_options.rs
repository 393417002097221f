//! Options that do not exist, come twice, or lack a value.

#[threadlet::main(workers = 4)]
async fn unknown() {}

#[threadlet::main(worker_threads = 4, worker_threads = 4)]
async fn twice() {}

#[threadlet::main(worker_threads)]
async fn no_value() {}

#[threadlet::main(max_async_threads(4))]
async fn parentheses() {}

#[threadlet::main(current_thread)]
async fn bare_flavor() {}

#[threadlet::main("current_thread")]
async fn no_name() {}

#[threadlet::main(worker_threads = 4 max_async_threads = 4)]
async fn no_comma() {}

fn main() {}
