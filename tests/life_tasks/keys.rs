//! `task_local!`.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use threadlet::{task, threadlet, time};

use super::support::in_time;
use super::{LIMIT, cores};

threadlet::task_local! {
    static NUMBER: u32;
    /// Not `Copy`, and of another type.
    static NAME: String
}

/// Wherever a task goes on, and though its call blocks, the value is its own.
#[test]
fn a_value_goes_along() {
    let runtime = cores(2);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            runtime.spawn(NUMBER.scope(number, async move {
                for round in 0..20 {
                    assert_eq!(NUMBER.get(), number);
                    match (number + round) % 3 {
                        0 => task::yield_now().await,
                        1 => time::sleep(Duration::from_micros(50)).await,
                        _ => threadlet!({
                            std::thread::sleep(Duration::from_micros(20));
                            assert_eq!(NUMBER.get(), number);
                        }),
                    }
                }
                // A task of its own has no value.
                task::spawn(async { NUMBER.try_get().is_err() }).await.unwrap()
            }))
        })
        .collect();
    for task in tasks {
        assert!(in_time(&runtime, "all tasks", task).unwrap());
    }
    assert!(NUMBER.try_with(|_| ()).is_err());
}

#[test]
fn scopes_within_scopes() {
    let nested = NUMBER.scope(
        1,
        NAME.scope("a".to_owned(), async {
            assert_eq!(
                NUMBER.sync_scope(2, || NUMBER.sync_scope(3, || NUMBER.get()) + NUMBER.get()),
                5
            );
            let inner = NUMBER.scope(4, async {
                task::yield_now().await;
                (NUMBER.get(), NAME.get())
            });
            assert_eq!(inner.await, (4, "a".to_owned()));
            // Two at once, in turns.
            let five = NUMBER.scope(5, async {
                task::yield_now().await;
                NUMBER.get()
            });
            let six = NUMBER.scope(6, async { NUMBER.get() });
            assert_eq!(futures::future::join(five, six).await, (5, 6));
            NUMBER.get()
        }),
    );
    assert_eq!(threadlet::block_on(nested), 1);
}

/// A panic takes the value back, too.
#[test]
fn a_panic_leaves_nothing_behind() {
    assert!(catch_unwind(|| NUMBER.sync_scope(1, || panic!("on purpose"))).is_err());
    assert!(NUMBER.try_get().is_err());
    let mut scope = Box::pin(NUMBER.scope(2, async { panic!("on purpose") }));
    let poll = || scope.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
    assert!(NUMBER.try_get().is_err());
    let missing = catch_unwind(|| NUMBER.get()).unwrap_err();
    assert!(missing.downcast_ref::<String>().unwrap().contains("within `LocalKey::scope`"));
}

#[test]
fn a_scope_cannot_be_entered_while_its_value_is_looked_at() {
    NUMBER.sync_scope(1, || {
        NUMBER.with(|one| {
            let refused = catch_unwind(|| NUMBER.sync_scope(2, || ())).unwrap_err();
            let words = refused.downcast_ref::<&str>().unwrap();
            assert!(words.contains("inside `with`"), "{words}");
            assert_eq!((*one, NUMBER.get()), (1, 1));
        });
    });
}

#[test]
fn a_value_can_be_taken_out() {
    let mut scope = Box::pin(NUMBER.scope(1, async { NUMBER.try_get() }));
    assert_eq!(scope.as_mut().take_value(), Some(1));
    assert_eq!(scope.as_mut().take_value(), None);
    assert!(threadlet::block_on(scope.as_mut()).is_err(), "without a value");
    let again = || scope.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(catch_unwind(AssertUnwindSafe(again)).is_err(), "after its end");
}

/// Sends the value that it finds when it is dropped.
struct Tells(Option<mpsc::Sender<Result<u32, task::AccessError>>>);

impl Future for Tells {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.take().unwrap().send(NUMBER.try_get()).unwrap();
    }
}

#[test]
fn a_destructor_finds_the_value() {
    let runtime = cores(1);
    let (tell, told) = mpsc::channel();
    let told = || told.recv_timeout(LIMIT).unwrap();
    let ends = runtime.spawn(NUMBER.scope(1, Tells(Some(tell.clone()))));
    assert_eq!(told(), Ok(1));
    in_time(&runtime, "the end", ends).unwrap();
    let tells = Tells(Some(tell.clone()));
    let aborted = runtime.spawn(NUMBER.scope(2, async move {
        let _tells = tells;
        pending::<()>().await;
    }));
    aborted.abort();
    assert_eq!(told(), Ok(2));
    // One that was never polled, on a plain thread.
    drop(NUMBER.scope(3, Tells(Some(tell))));
    assert_eq!(told(), Ok(3));
}
