//! `std::sync::atomic`: a point before each.

pub use ::std::sync::atomic::Ordering;

use std::fmt;
use std::sync::atomic as real;

use crate::engine::point;

// All that is done here is done by one real thread, whatever order the caller asks for.
const ANY: Ordering = Ordering::Relaxed;

/// As the standard library's.
#[inline]
pub fn fence(_order: Ordering) {
    point();
}

macro_rules! common {
    ([$($of:tt)*] $name:ty, $value:ty) => {
        impl$($of)* $name {
            #[inline]
            pub fn load(&self, _order: Ordering) -> $value {
                point();
                self.0.load(ANY)
            }

            #[inline]
            pub fn store(&self, value: $value, _order: Ordering) {
                point();
                self.0.store(value, ANY);
            }

            #[inline]
            pub fn swap(&self, value: $value, _order: Ordering) -> $value {
                point();
                self.0.swap(value, ANY)
            }

            /// # Errors
            ///
            /// What is there, if that is not `from`.
            #[inline]
            pub fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                _success: Ordering,
                _failure: Ordering,
            ) -> Result<$value, $value> {
                point();
                self.0.compare_exchange(from, to, ANY, ANY)
            }

            /// # Errors
            ///
            /// What is there, if that is not `from`.
            #[inline]
            pub fn compare_exchange_weak(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(from, to, success, failure)
            }

            /// # Errors
            ///
            /// What is there, if `f` has nothing to put in its place.
            pub fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut seen = self.load(failure);
                while let Some(next) = f(seen) {
                    match self.compare_exchange(seen, next, success, failure) {
                        Ok(before) => return Ok(before),
                        Err(other) => seen = other,
                    }
                }
                Err(seen)
            }

            /// What is there, for the world.
            #[inline]
            pub fn peek(&self) -> $value {
                self.0.load(ANY)
            }

            pub fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }
        }

        impl$($of)* fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $value:ty) => {
        /// As the standard library's.
        #[derive(Default)]
        #[repr(transparent)]
        pub struct $name(real::$name);

        impl $name {
            pub const fn new(value: $value) -> Self {
                $name(real::$name::new(value))
            }

            number!(fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min: $value);
        }

        common!([] $name, $value);
    };
    ($($method:ident)*: $value:ty) => {
        $(
            #[inline]
            pub fn $method(&self, value: $value, _order: Ordering) -> $value {
                point();
                self.0.$method(value, ANY)
            }
        )*
    };
}

number!(AtomicU8, u8);
number!(AtomicU16, u16);
number!(AtomicU32, u32);
number!(AtomicU64, u64);
number!(AtomicUsize, usize);
number!(AtomicI32, i32);
number!(AtomicI64, i64);

/// As the standard library's.
#[derive(Default)]
#[repr(transparent)]
pub struct AtomicBool(real::AtomicBool);

impl AtomicBool {
    pub const fn new(value: bool) -> Self {
        AtomicBool(real::AtomicBool::new(value))
    }

    number!(fetch_and fetch_or fetch_xor: bool);
}

common!([] AtomicBool, bool);

/// As the standard library's.
#[repr(transparent)]
pub struct AtomicPtr<T>(real::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub const fn new(value: *mut T) -> Self {
        AtomicPtr(real::AtomicPtr::new(value))
    }
}

common!([<T>] AtomicPtr<T>, *mut T);
