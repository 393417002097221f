//! One message: none that `main` is missing or must not be `async`.

#[threadlet::main]
async fn main(args: Vec<String>) {
    drop(args);
}
