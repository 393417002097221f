//! Options of a test: those of `main`, with one core unless told otherwise.

#[threadlet::test(worker_threads = 2)]
async fn workers_of_one_core() {}

#[threadlet::test(unhandled_panic = "ignore")]
async fn unknown() {}

#[threadlet::test(start_paused = "yes")]
async fn no_answer() {}

#[threadlet::test(start_paused = true, flavor = "multi_thread")]
async fn a_clock_of_many() {}

#[threadlet::test(max_async_threads = 0)]
async fn no_threads() {}

#[threadlet::test(multi_thread)]
async fn bare_flavor() {}

fn main() {}
