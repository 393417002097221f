//! Values that want a cache line for themselves.

/// Keeps its value away from its neighbours' cache lines. 128 bytes, because the adjacent-line
/// prefetchers of current x86 and the lines of some arm64 machines work on pairs of 64.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
