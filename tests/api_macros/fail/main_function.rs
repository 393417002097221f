//! What the function under `main` must be.

#[threadlet::main]
fn not_async() {}

#[threadlet::main]
async fn arguments(args: Vec<String>, n: u32) {
    drop((args, n));
}

#[threadlet::main]
async fn generic<T: Default>() {
    drop(T::default());
}

#[threadlet::main]
async fn clause()
where
    u32: Copy,
{
}

#[threadlet::main]
async unsafe fn not_safe() {}

#[threadlet::main]
async extern "C" fn foreign() {}

#[threadlet::main(workers = 4)]
fn all_at_once(_: u32) {}

struct Receiver;

impl Receiver {
    #[threadlet::main]
    async fn method(&self) {}
}

fn main() {
    not_async();
    arguments();
    generic();
}
