//! Places where tests widen a race (`cfg(threadlet_fail)`).

/// Names a step of the region protocol. In a build with `cfg(threadlet_fail)` it may sleep or
/// yield there; in any other it is nothing.
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(threadlet_fail)]
        crate::primitive::failpoint::hit($name);
    };
}
pub(crate) use fail_point;

/// Yields at one hit in four and sleeps at one in sixty-four, by a cheap generator of the thread's
/// own whose start is `THREADLET_FAIL_SEED`.
#[cfg(threadlet_fail)]
pub(crate) fn hit(_name: &'static str) {
    use std::cell::Cell;
    use std::sync::OnceLock;
    use std::time::Duration;
    static SEED: OnceLock<u64> = OnceLock::new();
    thread_local!(static STATE: Cell<u64> = const { Cell::new(0) });
    let seed = *SEED.get_or_init(|| {
        let given = std::env::var("THREADLET_FAIL_SEED").ok();
        given.and_then(|text| text.parse().ok()).unwrap_or(1)
    });
    let _ = STATE.try_with(|state| {
        let mut x = state.get();
        if x == 0 {
            // The address of a thread-local tells threads apart.
            x = seed ^ (std::ptr::from_ref(state).addr() as u64) | 1;
        }
        // Marsaglia's xorshift, "Xorshift RNGs", 2003.
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        match x % 64 {
            0 => std::thread::sleep(Duration::from_micros(x >> 32 & 127)),
            1..16 => std::thread::yield_now(),
            _ => {}
        }
    });
}
