//! Tests beside a `main`; without `--test` they must vanish without a trace.
#![deny(warnings)]

#[threadlet::test]
async fn plain() {}

#[threadlet::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "on purpose")]
async fn panics() {
    panic!("on purpose");
}

#[ignore = "slow"]
#[threadlet::test(max_async_threads = 1)]
async fn slow() -> Result<(), std::num::ParseIntError> {
    let _: u32 = "7".parse()?;
    Ok(())
}

fn main() {}
