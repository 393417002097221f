//! `thread_local!`, for threads of the world.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine;

/// As the standard library's, for the threads of the world.
#[macro_export]
macro_rules! thread_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = const { $init:expr } $(; $($rest:tt)*)?) => {
        $crate::thread_local!(@one [$(#[$attr])*] $vis $name $type, $init);
        $($crate::thread_local!($($rest)*);)?
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = $init:expr $(; $($rest:tt)*)?) => {
        $crate::thread_local!(@one [$(#[$attr])*] $vis $name $type, $init);
        $($crate::thread_local!($($rest)*);)?
    };
    (@one [$(#[$attr:meta])*] $vis:vis $name:ident $type:ty, $init:expr) => {
        $(#[$attr])*
        $vis static $name: $crate::local::LocalKey<$type> = $crate::local::LocalKey::new(|| $init);
    };
}

/// The values of one thread, by the numbers of their keys.
#[derive(Default)]
pub(crate) struct Locals {
    values: RefCell<Vec<Option<Box<dyn Any>>>>,
    ended: Cell<bool>,
}

impl Locals {
    /// The thread ends: its values are dropped, in the order in which they were made as far as
    /// keys go.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        let values = std::mem::take(&mut *self.values.borrow_mut());
        drop(values);
    }
}

/// As the standard library's.
#[derive(Debug)]
pub struct LocalKey<T: 'static> {
    /// From 1; 0 as long as it has none.
    number: AtomicUsize,
    init: fn() -> T,
}

/// As the standard library's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError;

impl std::fmt::Display for AccessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the thread has ended")
    }
}

impl std::error::Error for AccessError {}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        LocalKey { number: AtomicUsize::new(0), init }
    }

    fn number(&'static self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        match self.number.load(Ordering::Relaxed) {
            0 => {
                // A number too many, if two real threads come at once: that is no harm.
                let new = NEXT.fetch_add(1, Ordering::Relaxed);
                let set = Ordering::Relaxed;
                self.number.compare_exchange(0, new, set, set).map_or_else(|other| other, |_| new)
            }
            number => number,
        }
    }

    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("a thread-local of a thread that has ended")
    }

    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let number = self.number();
        // SAFETY: they are the calling thread's, which runs; and stand until it has ended.
        let locals = unsafe { &*engine::locals() };
        if locals.ended.get() {
            return Err(AccessError);
        }
        let place = |values: &[Option<Box<dyn Any>>]| -> Option<*const T> {
            let value = values.get(number)?.as_ref()?;
            let value: &T = value.downcast_ref().expect("a number is one key's");
            Some(std::ptr::from_ref(value))
        };
        let known = place(&locals.values.borrow());
        let value = known.unwrap_or_else(|| {
            // It may ask for other keys meanwhile.
            let made: Box<dyn Any> = Box::new((self.init)());
            let mut values = locals.values.borrow_mut();
            if values.len() <= number {
                values.resize_with(number + 1, || None);
            }
            values[number].get_or_insert(made);
            place(&values).expect("it has just been put there")
        });
        // SAFETY: the value is in a box of this thread's, which stands until the thread ends: that
        // takes the whole list away, and then no key is looked up any more. `f` cannot keep it.
        Ok(f(unsafe { &*value }))
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    pub fn set(&'static self, value: T) {
        self.with(|cell| *cell.borrow_mut() = value);
    }

    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}
