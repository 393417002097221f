//! A tiny executor for tests: one future, one thread, one driver.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::{Driver, Handle};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

struct Signal {
    woken: AtomicBool,
    handle: Handle,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.handle.unpark();
    }
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Counter {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// A waker and its counter.
pub(crate) fn counter() -> (Arc<Counter>, Waker) {
    let counter = Arc::new(Counter::default());
    (counter.clone(), Waker::from(counter))
}

thread_local! {
    static ENTERED: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// The bare driver that a test has entered.
pub(crate) fn entered() -> Option<Handle> {
    ENTERED.with_borrow(Clone::clone)
}

/// Enters a driver for as long as it lives.
pub(crate) struct Entered(Option<Handle>);

pub(crate) fn enter(handle: &Handle) -> Entered {
    Entered(ENTERED.with(|entered| entered.replace(Some(handle.clone()))))
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.with(|entered| entered.replace(self.0.take()));
    }
}

/// Runs `future` to its end, turning `driver` while it waits.
pub(crate) fn block_on_with<F: Future>(
    driver: &mut Driver,
    handle: &Handle,
    future: F,
) -> F::Output {
    let _entered = enter(handle);
    let signal = Arc::new(Signal { woken: AtomicBool::new(true), handle: handle.clone() });
    let waker = Waker::from(signal.clone());
    let mut future = pin!(future);
    let mut ready = Vec::new();
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "the test hangs");
        if signal.woken.swap(false, Ordering::AcqRel) {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
            driver.turn(Some(Duration::ZERO), &mut ready).expect("the driver turns");
        } else {
            driver.turn(Some(PATIENCE), &mut ready).expect("the driver turns");
        }
        ready.drain(..).for_each(Waker::wake);
    }
}

/// The same with a driver of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let (mut driver, handle) = super::new(1);
    block_on_with(&mut driver, &handle, future)
}
