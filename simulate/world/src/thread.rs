//! `std::thread`, of the world.

pub use ::std::thread::*;

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

pub use crate::local::{AccessError, LocalKey};
use crate::{engine, kernel};

/// As the standard library's.
#[derive(Debug, Default)]
pub struct Builder {
    name: Option<String>,
}

/// As the standard library's.
#[derive(Debug)]
pub struct JoinHandle<T> {
    id: usize,
    result: Place<T>,
}

type Place<T> = Rc<RefCell<Option<Result<T>>>>;

// SAFETY: threads of a world are all on one real thread, and the bounds of `spawn` are those of the
// standard library.
unsafe impl<T> Send for JoinHandle<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for JoinHandle<T> {}

/// A thread's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadId(i32);

/// As the standard library's, but for what nobody asks for.
#[derive(Clone, Debug)]
pub struct Thread(ThreadId);

impl Thread {
    pub fn id(&self) -> ThreadId {
        self.0
    }
}

/// The calling thread.
pub fn current() -> Thread {
    Thread(ThreadId(kernel::tid()))
}

impl Builder {
    pub fn new() -> Self {
        Builder::default()
    }

    #[must_use]
    pub fn name(self, name: String) -> Self {
        Builder { name: Some(name) }
    }

    #[must_use]
    pub fn stack_size(self, _size: usize) -> Self {
        self
    }

    /// # Errors
    ///
    /// As the run's luck is.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        engine::point();
        let result = Place::default();
        let place = result.clone();
        let body = move || {
            let value = catch_unwind(AssertUnwindSafe(f));
            place.replace(Some(value));
        };
        let id = engine::begin(self.name.unwrap_or_default(), Box::new(body));
        let id = id.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
        Ok(JoinHandle { id, result })
    }
}

/// As the standard library's.
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("the thread is not refused")
}

impl<T> JoinHandle<T> {
    pub fn join(self) -> Result<T> {
        engine::point();
        kernel::wait_ended(self.id);
        self.result.take().expect("what has ended has a result")
    }

    pub fn is_finished(&self) -> bool {
        engine::point();
        self.result.borrow().is_some()
    }
}

/// As the standard library's.
pub fn sleep(duration: Duration) {
    kernel::block(duration.as_nanos().try_into().unwrap_or(u64::MAX >> 1));
}

/// As the standard library's.
pub fn yield_now() {
    engine::yields();
}
