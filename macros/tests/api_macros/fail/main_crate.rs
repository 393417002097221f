//! Paths of the crate that are no path.

#[threadlet::main(crate = "not a path")]
async fn no_path() {}

#[threadlet::main(crate = 4)]
async fn number() {}

fn main() {}
