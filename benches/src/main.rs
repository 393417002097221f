//! threadlet beside its peers.
fn main() {}
