//! What `main` may return is decided by the standard library.

#[threadlet::main]
async fn main() -> u32 {
    7
}
