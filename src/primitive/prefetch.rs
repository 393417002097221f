//! A word to the processor about what comes next.

/// `place` is about to be written: where the processor can be told, it fetches the cache line meanwhile.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(threadlet_loom)))]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a hint. It reads and writes nothing that the program could see.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(threadlet_loom))))]
    let _ = place;
}
