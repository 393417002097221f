//! Flavors that do not exist or do not go with the rest.

#[threadlet::main(flavor = "threaded")]
async fn unknown() {}

#[threadlet::main(flavor = multi_thread)]
async fn not_a_string() {}

#[threadlet::main(flavor = "current_thread", worker_threads = 4)]
async fn workers_of_one_core() {}

fn main() {}
