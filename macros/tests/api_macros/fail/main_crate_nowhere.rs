//! A path of the crate that leads nowhere is reported where it is written.

#[threadlet::main(crate = "nowhere")]
async fn main() {}
