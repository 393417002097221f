//! The processor's own counter, where the kernel makes its clock from it.

use std::sync::atomic::{AtomicU8, Ordering};

/// What the kernel makes its clock from.
const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Whether that is the counter: then it counts evenly, alike on all processors, and reading it is no
/// more than the clock itself does. Asked once; elsewhere the counter is not to be read, since a
/// hypervisor may have to be asked for it.
pub(crate) fn makes_the_clock() -> bool {
    const UNKNOWN: u8 = 2;
    static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);
    if !cfg!(target_arch = "x86_64") {
        return false;
    }
    // Ordering: Relaxed: nothing comes with the answer. Nobody waits for another who asks: in a child of
    // `fork` that one may not be there.
    match ANSWER.load(Ordering::Relaxed) {
        UNKNOWN => {
            let source = std::fs::read_to_string(SOURCE);
            let makes = source.is_ok_and(|source| source.trim_end() == "tsc");
            ANSWER.store(makes.into(), Ordering::Relaxed);
            makes
        }
        answer => answer == 1,
    }
}

/// The counter as it stands. It does not wait for what the processor has begun before, and so may be
/// some nanoseconds off.
#[inline(always)]
pub(crate) fn count() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every such processor has it. A thread that was forbidden to read it
    // (`PR_SET_TSC`) cannot ask the kernel's clock either.
    let count = unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    let count = 0;
    count
}
