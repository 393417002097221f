//! What tokio refuses, and in which words: a program may have a test that says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::runtime::{Builder, Handle, LocalRuntime, Runtime};
use tokio::task::{self, LocalSet};

const LONG: Duration = Duration::from_secs(20);

/// What `f` says when it panics.
fn words(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    match payload.downcast::<String>() {
        Ok(words) => *words,
        Err(payload) => payload.downcast_ref::<&str>().expect("words").to_string(),
    }
}

#[test]
fn a_runtime_has_what_it_was_asked_for() {
    let bare = Builder::new_current_thread().build().unwrap();
    bare.block_on(async {
        let timers = words(|| drop(tokio::time::sleep(LONG)));
        assert!(timers.contains("Call `enable_time`"), "{timers}");
        let sockets = words(|| drop(UnixStream::pair()));
        assert!(sockets.contains("Call `enable_io`"), "{sockets}");
        // What needs neither is there.
        assert_eq!(tokio::spawn(async { 7 }).await.unwrap(), 7);
    });
    let timed = Builder::new_multi_thread().enable_time().build().unwrap();
    timed.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    let full = Builder::new_current_thread().enable_all().build().unwrap();
    full.block_on(async { drop((tokio::time::sleep(LONG), UnixStream::pair().unwrap())) });
    // threadlet's own runtimes lack nothing.
    threadlet::block_on(async { drop((tokio::time::sleep(LONG), UnixStream::pair().unwrap())) });
}

#[test]
fn outside_a_runtime_that_is_said() {
    for outside in [
        words(|| drop(tokio::time::timeout(LONG, async {}))),
        words(|| drop(Handle::current())),
        words(|| drop(tokio::spawn(async {}))),
        Handle::try_current().unwrap_err().to_string(),
    ] {
        assert!(outside.contains("must be called from the context of a Tokio"), "{outside}");
    }
}

#[test]
fn nobody_waits_for_a_future_in_a_poll() {
    let (outer, inner) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let waits: [fn(&Runtime); 4] = [
        |inner| inner.block_on(async {}),
        |inner| inner.handle().block_on(async {}),
        |inner| LocalSet::new().block_on(inner, async {}),
        |_| {
            let local = LocalRuntime::new().unwrap();
            let said = words(|| local.block_on(async {}));
            local.shutdown_background();
            panic!("{said}");
        },
    ];
    for waits in waits {
        let said = words(|| outer.block_on(async { waits(&inner) }));
        assert!(said.contains("Cannot start a runtime from within a runtime"), "{said}");
    }
    // In a call that may block it is what one does.
    let handle = inner.handle().clone();
    outer.block_on(async {
        assert_eq!(task::block_in_place(|| inner.block_on(async { 7 })), 7);
        let waits = handle.clone();
        let call = task::spawn_blocking(move || waits.block_on(async { 7 }));
        assert_eq!(call.await.unwrap(), 7);
        assert_eq!(threadlet::threadlet!(handle.block_on(async { 7 })), 7);
    });
    let _entered = outer.enter();
    assert_eq!(inner.block_on(async { 7 }), 7, "entered is not polled");
}

#[test]
fn nobody_waits_for_the_end_of_a_runtime_in_a_poll() {
    let outer = Runtime::new().unwrap();
    let ends: [fn(Runtime); 2] = [drop, |inner| inner.shutdown_timeout(LONG)];
    for ends in ends {
        let said = words(|| outer.block_on(async { ends(Runtime::new().unwrap()) }));
        assert!(said.contains("Cannot drop a runtime in a context"), "{said}");
    }
    outer.block_on(async {
        Runtime::new().unwrap().shutdown_background();
        Runtime::new().unwrap().shutdown_timeout(Duration::ZERO);
        task::block_in_place(|| drop(Runtime::new().unwrap()));
    });
}

#[test]
fn what_was_entered_last_is_left_first() {
    let runtime = Runtime::new().unwrap();
    let (first, last) = (runtime.enter(), runtime.enter());
    let said = words(|| drop(first));
    assert!(said.contains("out of order"), "{said}");
    // Once they are gone all is as before.
    words(|| {
        let _last = last;
        panic!("tokio's guards are not counted behind a mistake");
    });
    drop(runtime.enter());
    assert!(Handle::try_current().is_err());
}
