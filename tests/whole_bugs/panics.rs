//! Panics, and regions in places where there is nothing to lend.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::{task, threadlet, time};

use super::one_core;
use super::support::{in_time, wait_until};

/// A value whose `Drop` panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in a drop");
        }
    }
}

/// A panic in a region, in a region in a region, in a `Drop` inside one, of a future and of a
/// result nobody sees. Each reaches whoever awaits, and what the thread had entered it has left:
/// the next region blocks, is seen, and its permit comes back.
#[test]
fn a_panic_in_a_region_leaves_everything_as_it_was() {
    let runtime = one_core();
    type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    let nap = || std::thread::sleep(Duration::from_millis(2));
    let panics: Vec<(&str, Task)> = vec![
        ("here", Box::pin(async { threadlet!(panic!("here")) })),
        ("coreless", Box::pin(async { threadlet!(will_block; panic!("coreless")) })),
        (
            "after a block",
            Box::pin(async move {
                threadlet!({
                    nap();
                    panic!("after a block")
                })
            }),
        ),
        (
            "nested",
            Box::pin(async move {
                threadlet::run(|| {
                    nap();
                    threadlet::run(|| panic!("nested"))
                })
            }),
        ),
        ("in a drop", Box::pin(async { threadlet!(drop(Bomb)) })),
        (
            "unmarked",
            Box::pin(async move {
                nap();
                panic!("unmarked")
            }),
        ),
    ];
    for (text, future) in panics {
        let error = in_time(&runtime, text, runtime.spawn(future)).unwrap_err();
        assert!(error.to_string().ends_with(&format!("{text:?}")), "{error}");
        goes_on(&runtime, text);
    }
    // The future panics when it is dropped, and so does a result nobody sees.
    let bomb = Bomb;
    let pending = runtime.spawn(async move {
        let _bomb = bomb;
        std::future::pending::<()>().await;
    });
    pending.abort();
    assert!(in_time(&runtime, "abort", pending).unwrap_err().is_panic());
    goes_on(&runtime, "a future's drop");
    drop(runtime.spawn(async {
        threadlet!(std::thread::sleep(Duration::from_millis(1)));
        Bomb
    }));
    goes_on(&runtime, "a result's drop");
}

/// The runtime still hands over, and nothing is missing.
fn goes_on(runtime: &Runtime, after: &str) {
    let before = runtime.metrics();
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() });
    let free = runtime.spawn(async move { sender.send(()).unwrap() });
    in_time(runtime, after, blocked).unwrap();
    in_time(runtime, after, free).unwrap();
    assert!(runtime.metrics().regions > before.regions, "{after}: still a region");
    wait_until(after, || {
        let now = runtime.metrics();
        now.async_threads == 0 && now.tasks_alive == 0 && now.permits_free == 512
    });
}

/// A region in the destructor of a thread-local, on a worker and elsewhere, where much of the
/// runtime's own state is gone: a plain call.
#[test]
fn a_region_in_a_thread_local_destructor_is_a_plain_call() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            threadlet::run(|| RAN.fetch_add(1, Ordering::SeqCst));
            task::block_in_place(|| RAN.fetch_add(1, Ordering::SeqCst));
            let call = std::pin::pin!(async { threadlet!(RAN.fetch_add(1, Ordering::SeqCst)) });
            assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_ready());
            assert!(Handle::try_current().is_err());
        }
    }
    thread_local!(static LATE: Late = const { Late });
    let runtime = one_core();
    let touched = runtime.spawn(async {
        LATE.with(|_| ());
        threadlet!(std::thread::sleep(Duration::from_millis(1)));
    });
    in_time(&runtime, "the task runs", touched).unwrap();
    drop(runtime);
    assert_eq!(RAN.load(Ordering::SeqCst), 3);
    std::thread::spawn(|| LATE.with(|_| ())).join().unwrap();
    assert_eq!(RAN.load(Ordering::SeqCst), 6);
}

/// Polls a future on the calling thread, as a foreign executor does.
fn foreign<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// In another executor a region is a plain call; inside a task, other work goes on meanwhile.
#[test]
fn a_region_in_a_foreign_runtime_is_a_plain_call() {
    assert_eq!(foreign(async { threadlet!(3) }), 3);
    assert_eq!(foreign(async { threadlet!(or_fail, will_block; 4) }), Ok(4));
    let runtime = one_core();
    let (sender, receiver) = mpsc::channel::<()>();
    let inner = runtime.spawn(async move {
        foreign(async { threadlet!(receiver.recv()).unwrap() });
    });
    let other = runtime.spawn(async move { sender.send(()).unwrap() });
    in_time(&runtime, "the other task", other).unwrap();
    in_time(&runtime, "the inner executor", inner).unwrap();
}

/// `block_on` inside a task: of another runtime, of another one with one core, and of the same one.
/// The outer core is lent meanwhile, so what the inner future waits for may be the outer runtime's.
#[test]
fn a_nested_runtime_lends_the_outer_core() {
    // Without rescue, so that it takes a region to hand the core over.
    let outer = Builder::new_multi_thread().worker_threads(1).rescue(false).build().unwrap();
    let several = one_core();
    let single = Builder::new_current_thread().build().unwrap();
    let (several, single) = (several, Arc::new(single));
    for which in 0..3 {
        let handle = match which {
            0 => several.handle().clone(),
            1 => single.handle().clone(),
            _ => outer.handle().clone(),
        };
        let (sender, receiver) = oneshot::channel::<u32>();
        let waiting = outer.spawn(async move {
            handle.block_on(async {
                // A region in the nested runtime, before and after.
                assert_eq!(threadlet!(1), 1);
                let value = receiver.await.unwrap();
                threadlet!(std::thread::sleep(Duration::from_millis(1)));
                value
            })
        });
        let other = outer.spawn(async move {
            time::sleep(Duration::from_millis(5)).await;
            sender.send(5).unwrap();
        });
        wait_until("the outer runtime goes on", || other.is_finished());
        wait_until("the inner one ends", || waiting.is_finished());
        assert_eq!(outer.block_on(waiting).unwrap(), 5);
    }
    wait_until("permits come back", || outer.metrics().permits_free == 512);
}
