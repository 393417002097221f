//! Where tasks wait, by the crate async-backtrace, which works in any runtime.

use std::time::Duration;

use threadlet::runtime::Builder;

#[async_backtrace::framed]
async fn outer() {
    inner().await;
}

#[async_backtrace::framed]
async fn inner() {
    std::future::pending::<()>().await;
}

#[test]
fn the_functions_that_a_task_waits_in_are_told() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let waits = runtime.spawn(async_backtrace::frame!(outer()));
    let found = (0..5000).any(|_| {
        std::thread::sleep(Duration::from_millis(1));
        let tree = async_backtrace::taskdump_tree(false);
        let (outer, inner) = (tree.find("outer"), tree.find("inner"));
        outer.is_some() && outer < inner
    });
    assert!(found, "{}", async_backtrace::taskdump_tree(false));
    waits.abort();
}
