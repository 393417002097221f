//! What the function under `test` must be.

#[threadlet::test]
fn not_async() {}

#[threadlet::test]
async fn arguments(_: u32) {}

#[threadlet::test]
async fn generic<const N: usize>() {}

#[threadlet::test]
#[test]
async fn tested_twice() {}

#[threadlet::test]
const NOT_A_FUNCTION: u32 = 7;

fn main() {}
