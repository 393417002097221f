//! Stands for `traced` without the feature `tracing`: nothing is told.

use std::panic::Location;

use super::header::Birth;

#[inline(always)]
pub(crate) fn task<F>(future: F, _kind: &str, _name: &str, _birth: &Birth) -> F {
    future
}

#[inline(always)]
pub(crate) fn root<F>(future: F, _place: &'static Location<'static>) -> F {
    future
}
