//! `#[threadlet::test]` as a user writes it.

use std::num::ParseIntError;

/// Returns `Pending` once, so that the body is really driven.
async fn step_aside() {
    let mut asked = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut asked, true) {
            std::task::Poll::Ready(())
        } else {
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    })
    .await;
}

#[threadlet::test]
#[should_panic(expected = "after the first await")]
async fn the_body_runs_to_its_end() {
    step_aside().await;
    panic!("after the first await");
}

#[threadlet::test]
async fn a_test_may_return_a_result() -> Result<(), ParseIntError> {
    step_aside().await;
    let n: u32 = "7".parse()?;
    if n == 7 {
        return Ok(());
    }
    panic!("{n} is not 7");
}

#[threadlet::test(flavor = "multi_thread", worker_threads = 2, max_async_threads = 3)]
#[should_panic(expected = "ran on two workers")]
async fn a_test_may_have_workers() {
    step_aside().await;
    panic!("ran on two workers");
}

#[threadlet::test(crate = threadlet)]
#[ignore = "shows that `ignore` is kept: it must never run"]
async fn an_ignored_test_stays_ignored() {
    panic!("ran in spite of `ignore`");
}

#[threadlet::main(flavor = "current_thread")]
async fn parse_nothing() -> Result<u32, ParseIntError> {
    step_aside().await;
    let n = "".parse()?;
    Ok(n)
}

#[test]
fn the_value_of_the_body_reaches_the_caller() {
    assert!(parse_nothing().is_err());
}
