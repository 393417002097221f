//! What the function under `main` must be.

#[threadlet::main]
fn not_async() {}

mod arguments {
    #[threadlet::main]
    async fn main(args: Vec<String>, n: u32) {
        drop((args, n));
    }
}

mod generic {
    #[threadlet::main]
    async fn main<T: Default>() {
        drop(T::default());
    }
}

mod clause {
    #[threadlet::main]
    async fn main()
    where
        u32: Copy,
    {
    }
}

#[threadlet::main]
async unsafe fn not_safe() {}

#[threadlet::main]
async extern "C" fn foreign() {}

#[threadlet::main(workers = 4)]
extern "C" fn all_at_once(_: u32) {}

fn main() {
    not_async();
}
